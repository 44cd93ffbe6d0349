"""The contract of a model: derived from its types, strict, and comparable with that of a bundle."""

from dataclasses import replace
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from serve_app.contract import Choice, Feature, Features, ModelSpec, Prediction, differences
from serve_app.errors import SettingsError
from serve_app.models import MODELS, get_spec


class _Answer(Prediction):
    value: float


def spec_of(features: type[Features]) -> ModelSpec:
    """A model around some features."""
    return ModelSpec(
        "toy", "Toy", "regressor", "y", features, _Answer, lambda score, _: _Answer(value=score), ()
    )


def features_of(**fields: Any) -> type[Features]:
    """A row type with these annotations."""
    return type("Row", (Features,), {"__annotations__": fields})


def contract_of(**fields: Any) -> tuple[Feature, ...]:
    """The contract of a model with these annotations."""
    return spec_of(features_of(**fields)).contract


def test_a_contract_holds_what_the_types_say() -> None:
    """Name, kind, bounds, unit, choices and what may be missing, in the order of the class."""
    found = contract_of(
        age=Annotated[
            int, Field(ge=0, le=120, description="Years", json_schema_extra={"unit": "years"})
        ],
        price=Annotated[float, Field(gt=0, le=9)],
        plan=Literal["a", "b"],
        term=Annotated[int, Choice((1, 12))],
        ratio=Annotated[float, Field(ge=0, le=1)] | None,
        region=Literal["north"] | None,
    )
    assert found == (
        Feature(
            name="age", dtype="int", description="Years", unit="years", minimum=0.0, maximum=120.0
        ),
        Feature(name="price", dtype="float", exclusive_minimum=0.0, maximum=9.0),
        Feature(name="plan", dtype="category", choices=("a", "b")),
        Feature(name="term", dtype="int", choices=(1, 12)),
        Feature(name="ratio", dtype="float", nullable=True, minimum=0.0, maximum=1.0),
        Feature(name="region", dtype="category", nullable=True, choices=("north",)),
    )
    assert [feature.allowed for feature in found] == [
        "integer from 0 to 120",
        "number > 0 and <= 9",
        "one of a, b",
        "one of 1, 12",
        "number from 0 to 1 or null",
        "one of north or null",
    ]


@pytest.mark.parametrize(
    "kind",
    [
        int,
        float,
        str,
        None,
        Annotated[int, Field(ge=0)],
        Annotated[float, Field(le=1)],
        Annotated[float, Field(ge=0, lt=1)],
        Annotated[str, Field(max_length=9)],
        list[int],
        dict[str, int],
        Annotated[int, Field(ge=0, le=1)] | Annotated[float, Field(ge=0, le=1)],
    ],
    ids=str,
)
def test_a_field_that_is_not_bounded_is_refused(kind: Any) -> None:
    """A programming error, told with the model and the field, before any client can send a
    4,000-digit number.
    """
    with pytest.raises(
        TypeError, match=r"toy\.wide: found .*; expected a required field of one of these types"
    ):
        _ = contract_of(wide=kind)


def test_the_refusal_of_a_field_lists_all_types_that_there_are() -> None:
    """Whoever wrote `lt`, or a type of another library, reads what to write."""
    with pytest.raises(TypeError) as refusal:
        _ = contract_of(wide=Annotated[float, Field(ge=0, lt=1)])
    said = str(refusal.value)
    for words in ("int or float with", "Number", "Choice(", "Literal[", "Text(", "bool, Date"):
        assert words in said
    assert "DateTime" in said
    assert "no lt (le is the upper bound)" in said


def test_a_literal_of_integers_is_refused() -> None:
    """`Literal[1]` would let `true` pass, since True == 1: Choice is for that."""
    with pytest.raises(TypeError, match=r"toy\.wide: .*use Choice"):
        _ = contract_of(wide=Literal[1, 2] | None)


def test_a_field_with_a_default_is_refused() -> None:
    """A forgotten field must not be filled in silently."""

    class Row(Features):
        age: Annotated[int, Field(ge=0, le=9)] = 3

    with pytest.raises(TypeError, match=r"toy\.age"):
        _ = spec_of(Row).contract


@pytest.mark.parametrize("value", [True, False, 1.0, "1", 2, 0, -1, None, [1], 10**50])
def test_a_choice_takes_just_its_values(value: Any) -> None:
    """`True == 1` and `1.0 == 1` in Python, but neither is one of the choices 1, 6 and 12."""
    row = features_of(term=Annotated[int, Choice((1, 6, 12))])
    with pytest.raises(ValidationError):
        row.model_validate({"term": value})
    assert [row.model_validate({"term": good}).model_dump() for good in (1, 6, 12)] == [
        {"term": 1},
        {"term": 6},
        {"term": 12},
    ]


def test_a_row_is_strict_and_cannot_be_changed() -> None:
    """No unknown field, no coercion, no NaN, no assignment."""
    row = features_of(age=Annotated[float, Field(ge=0, le=9)])
    for bad in ({}, {"age": "3"}, {"age": True}, {"age": float("nan")}, {"age": 3.0, "more": 1}):
        with pytest.raises(ValidationError):
            row.model_validate(bad)
    good = row.model_validate({"age": 3})
    with pytest.raises(ValidationError, match="frozen"):
        good.age = 4.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_answer_is_never_nan_or_infinite(value: float) -> None:
    """What is not a number is an error of the model, not an answer."""
    with pytest.raises(ValidationError):
        _Answer(value=value)


INT = {"name": "n", "dtype": "int"}
FLOAT = {"name": "n", "dtype": "float"}
TEXT = {"name": "n", "dtype": "category"}


@pytest.mark.parametrize(
    ("server", "bundle", "fits"),
    [
        (INT | {"minimum": 0.0, "maximum": 9.0}, INT | {"minimum": 0.0, "maximum": 9.0}, True),
        (INT | {"minimum": 0.0, "maximum": 9.0}, INT | {"minimum": -1.0, "maximum": 10.0}, True),
        (INT | {"minimum": 0.0, "maximum": 9.0}, INT | {"minimum": 1.0, "maximum": 9.0}, False),
        (INT | {"minimum": 0.0, "maximum": 9.0}, INT | {"minimum": 0.0, "maximum": 8.0}, False),
        (INT | {"minimum": 0.0, "maximum": 9.0}, FLOAT | {"minimum": 0.0, "maximum": 9.0}, False),
        (
            FLOAT | {"minimum": 0.0, "maximum": 9.0},
            FLOAT | {"exclusive_minimum": 0.0, "maximum": 9.0},
            False,
        ),
        (
            FLOAT | {"exclusive_minimum": 0.0, "maximum": 9.0},
            FLOAT | {"minimum": 0.0, "maximum": 9.0},
            True,
        ),
        (
            FLOAT | {"exclusive_minimum": 0.0, "maximum": 9.0},
            FLOAT | {"exclusive_minimum": 1.0, "maximum": 9.0},
            False,
        ),
        (INT | {"choices": (1, 6)}, INT | {"choices": (1, 6, 12)}, True),
        (INT | {"choices": (1, 6, 12)}, INT | {"choices": (1, 6)}, False),
        (INT | {"choices": (1, 6)}, INT | {"minimum": 1.0, "maximum": 6.0}, True),
        (INT | {"choices": (1, 6)}, INT | {"minimum": 2.0, "maximum": 6.0}, False),
        (INT | {"choices": (1, 6)}, INT | {"exclusive_minimum": 1.0, "maximum": 6.0}, False),
        (INT | {"minimum": 0.0, "maximum": 1.0}, INT | {"choices": (0, 1)}, False),
        (TEXT | {"choices": ("a",)}, TEXT | {"choices": ("a", "b")}, True),
        (TEXT | {"choices": ("a", "b")}, TEXT | {"choices": ("a", "c")}, False),
        (INT | {"choices": (1,)}, INT | {"choices": (1,), "nullable": True}, True),
        (INT | {"choices": (1,), "nullable": True}, INT | {"choices": (1,)}, False),
    ],
)
def test_a_bundle_fits_when_it_takes_all_that_the_server_takes(
    server: dict[str, Any], bundle: dict[str, Any], fits: bool
) -> None:
    """A wider bundle may stand behind a server; a narrower one would see rows that it does not
    know.
    """
    lines = differences((Feature(**server),), (Feature(**bundle),))
    assert (lines == []) is fits
    if not fits:
        (line,) = lines
        assert line.startswith("n: the server takes ")
        assert all(feature.allowed in line for feature in (Feature(**server), Feature(**bundle)))


@pytest.mark.parametrize(
    "value",
    [
        None,
        -1,
        0,
        1,
        6,
        9,
        10,
        10**30,
        -0.5,
        0.0,
        0.5,
        1.0,
        9.5,
        float("nan"),
        float("inf"),
        "",
        "a",
        "b",
        "1",
    ],
)
def test_a_field_of_a_contract_accepts_what_its_type_accepts(value: Any) -> None:
    """The contract in a bundle and the type that it came from say the same of every value."""
    kinds: list[Any] = [
        Annotated[int, Field(ge=0, le=9)],
        Annotated[float, Field(ge=0, le=9)],
        Annotated[float, Field(gt=0, le=9)],
        Annotated[int, Choice((1, 6, 12))],
        Literal["a", "b"],
    ]
    for kind in [*kinds, *(kind | None for kind in kinds)]:
        row = features_of(field=kind)
        try:
            row.model_validate({"field": value})
            is_valid = True
        except ValidationError:
            is_valid = False
        (feature,) = spec_of(row).contract
        assert feature.accepts(value) is is_valid, (feature.allowed, value)


def named(*names: str) -> tuple[Feature, ...]:
    """Equal features with these names."""
    return tuple(Feature(name=name, dtype="int", minimum=0.0, maximum=1.0) for name in names)


def test_a_field_too_many_and_a_field_too_few_are_named() -> None:
    """One line a field, so that one sees what to train again."""
    assert differences(named("a", "b"), named("a", "c")) == [
        "b: missing in the bundle",
        "c: the bundle wants it, the server does not take it",
    ]


def test_another_order_is_a_difference() -> None:
    """Columns go to the model by position: a silent swap is the most dangerous fault of all."""
    assert differences(named("a", "b"), named("b", "a")) == ["the fields come in another order"]
    assert differences(named("a", "b"), named("a", "b")) == []


@pytest.mark.parametrize("name", MODELS)
def test_every_registered_model_is_whole(name: str) -> None:
    """Its name is its key, its fields are bounded and described, and its examples are two different
    valid rows.
    """
    spec = get_spec(name)
    assert spec.name == name
    assert all(feature.description for feature in spec.contract)
    assert all(feature.allowed for feature in spec.contract)
    rows = [example.row.model_dump() for example in spec.examples]
    assert len(rows) >= 2
    assert rows[0] != rows[1]
    for row in rows:
        assert TypeAdapter(spec.features).validate_python(row)
    assert len({example.name for example in spec.examples}) == len(rows)


def test_an_answer_over_http_adds_who_gave_it() -> None:
    """The prediction's own fields first, then the version and the id."""
    for name in MODELS:
        spec = get_spec(name)
        fields = list(spec.answer_type.model_fields)
        assert fields == [*spec.prediction.model_fields, "model_version", "prediction_id"]


@pytest.mark.parametrize("name", ["", "Churn", "os", "../churn", "churn "])
def test_an_unknown_model_is_refused_with_the_choice(name: str) -> None:
    """Nothing outside the registry is imported by a name from the configuration."""
    with pytest.raises(SettingsError, match="expected one of churn, delivery_time"):
        get_spec(name)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, 30.0, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(threshold: float) -> None:
    """At 0 or 1 there would be one label only; 30 is a percentage."""
    with pytest.raises(
        TypeError, match=r"churn: found threshold .* expected a number between 0 and 1"
    ):
        replace(get_spec("churn"), threshold=threshold)


def test_a_threshold_of_a_regressor_is_refused() -> None:
    """It would have no effect, and its author believes that it has one."""
    with pytest.raises(TypeError, match=r"delivery_time: found threshold 0\.3 for a regressor"):
        replace(get_spec("delivery_time"), threshold=0.3)
