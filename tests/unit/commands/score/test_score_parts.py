"""The parts of `sluice score` that need no bundle: cells of a file, answers in columns."""

import json
from datetime import date
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from every_kind import OrderFeatures, order_spec
from pydantic import AfterValidator, Field, field_validator

from serve_app.commands.score.answers import AnswerColumns
from serve_app.commands.score.column import column_reader, has_plain_rules
from serve_app.commands.score.rows import BlockReader
from serve_app.contract import Choice, Example, Features, ModelSpec
from serve_app.contract.block import Layout
from serve_app.contract.rows import RowReader
from serve_app.errors import InvalidRows
from serve_app.models import get_spec

ORDERS = order_spec()
PLAIN = {
    "amount": "-1500000000.5",
    "n_items": "3",
    "weight_kg": "",
    "priority": "2",
    "channel": "web",
    "city": "Zürich",
    "is_gift": "false",
    "is_member": "True",
    "birthday": "1990-02-28",
    "ordered_at": "2026-11-28T18:30:00",
}
NAMES = [feature.name for feature in ORDERS.contract]
TRICKY = [
    *(
        "",
        " ",
        "0",
        "-0",
        "-0.0",
        "+1",
        "1.0",
        "1.",
        ".5",
        "1e0",
        "1E2",
        "1e-400",
        "1e400",
        "-1e400",
    ),
    *(
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "1_000",
        "1,5",
        "1;5",
        "１",
        "٣",
        "0x10",
        "1e",
        "--1",
        "1 2",
    ),
    *(
        " 3",
        "3 ",
        "\t3\n",
        "\x1f3",
        "\u00a03",
        "3\x00",
        "100",
        "100.0",
        "101",
        "0.999999999999999999",
    ),
    *(
        "2.5",
        "50",
        "50.000000000000001",
        "50.1",
        "1e-320",
        "9007199254740993",
        "1" * 400,
        "4",
        "3.0",
    ),
    *(
        "true",
        "TRUE",
        " false ",
        "yes",
        "1",
        "0.0",
        "01",
        "None",
        "null",
        "web",
        "Web",
        "web ",
        "fax",
    ),
    *(
        "a",
        "x" * 40,
        "x" * 41,
        "ü" * 40,
        "\U0001f600" * 40,
        "e\u0301" * 20,
        '"quoted"',
        "a\nb",
        "\\",
    ),
    *(
        "2026-11-28",
        "2026-1-28",
        "20261128",
        "2026-02-30",
        "1677-12-31",
        "2262-01-01",
        "9999-12-31",
    ),
    *("2026-11-28T18:30", "2026-11-28 18:30:00.123456", "2026-11-28T18:30:00Z", "2026-W48-6"),
    *(
        "2026-11-28T18:30:00+01:00",
        "2026-11-28T24:00:00",
        "2026-11-28T18:30:60",
        "2026-11-28t18:30",
    ),
]


def places(spec: ModelSpec) -> list[Any]:
    """Where the fields stand in a row that has them in their order."""
    return list(enumerate(spec.contract))


def reader_of(spec: ModelSpec) -> BlockReader:
    """Reads rows that have the fields in their order."""
    return BlockReader(spec, places(spec), len(spec.contract))


def verdict(cells: list[str]) -> Any:
    """The values of a row as the server's own reader reads it, or None where it refuses."""
    row = reader_of(ORDERS).row(cells)
    try:
        checked = RowReader(ORDERS).one(json.dumps(row).encode())
    except InvalidRows:
        return None
    return Layout(ORDERS.contract).block([dict(checked)])


def bits(block: Any) -> Any:
    """Numbers with their sign of zero, and texts."""
    return block.numbers.tobytes(), block.categories.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_column_gets_the_verdicts_and_values_that_a_server_gives_row_by_row(
    name: str,
) -> None:
    """Every tricky cell, alone and among all others; what is plain is plain to a server too."""
    rows = [[*(PLAIN | {name: cell}).values()] for cell in TRICKY]
    expected = [verdict(cells) for cells in rows]
    together = reader_of(ORDERS).read(rows)
    good = [i for i, found in enumerate(expected) if found is not None]
    assert together.positions.tolist() == good
    assert set(together.faults) == set(range(len(rows))) - set(good)
    feature = next(feature for feature in ORDERS.contract if feature.name == name)
    for k, i in enumerate(good):
        assert bits(together.block[k : k + 1]) == bits(expected[i]), TRICKY[i]
    read = column_reader(feature)
    n_plain = 0
    for i, cell in enumerate(TRICKY):
        try:
            read((cell,))
        except ValueError:
            continue
        n_plain += 1
        assert i in good, cell
    # The fast way does most of the work: it is no way that refuses all.
    assert n_plain >= 0.8 * len(good) > 0


def test_rows_of_plain_cells_never_reach_the_reader_of_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a million of them would take minutes."""
    monkeypatch.delattr(RowReader, "one")
    found = reader_of(ORDERS).read([[*PLAIN.values()]] * 3)
    assert len(found.block) == 3
    assert not found.faults


def test_a_bad_row_is_named_with_its_reason_and_the_others_keep_their_order() -> None:
    """Too few cells, an empty one and a wrong one; a row that only looks odd is read."""
    odd = PLAIN | {"n_items": " 7"}
    rows = [
        [*PLAIN.values()],
        ["1"],
        [*(PLAIN | {"city": ""}).values()],
        [*odd.values()],
        [*(PLAIN | {"n_items": "x"}).values()],
    ]
    found = reader_of(ORDERS).read(rows)
    assert found.positions.tolist() == [0, 3]
    assert found.block.numbers[:, 1].tolist() == [3.0, 7.0]
    assert found.faults[1] == "found 1 cells, expected 10 as in the header"
    assert found.faults[2] == "city is empty, expected text of 1 to 40 characters"
    assert found.faults[4] == "n_items is not an integer, expected integer from 1 to 100"


def test_no_row_is_no_block() -> None:
    """A chunk may have bad rows only."""
    found = reader_of(ORDERS).read([["1"], ["2"]])
    assert len(found.block) == 0
    assert len(found.faults) == 2


def even(value: int) -> int:
    """A rule that no contract knows."""
    if value % 2:
        raise ValueError("odd")
    return value


class Validated(Features):
    """A field with a validator."""

    n: Annotated[int, Field(ge=0, le=9)]

    @field_validator("n")
    @classmethod
    def _even(cls, value: int) -> int:
        return even(value)


class Annotations(Features):
    """The same, written at the field."""

    n: Annotated[int, Field(ge=0, le=9), AfterValidator(even)]


class Nested(Features):
    """And inside a union."""

    n: Annotated[int, Field(ge=0, le=9), AfterValidator(even)] | None


class Stripped(Features):
    """Another setting of pydantic."""

    model_config = Features.model_config | {"str_strip_whitespace": True}
    n: Literal["4"]


class LongTexts(Features):
    """A text that must have three characters: the contract knows the longest only."""

    n: Annotated[str, Field(min_length=3, max_length=9)]


class PlainDate(Features):
    """Python's own date, which takes no text in a strict model."""

    n: date


def spec_of(type_: type[Features]) -> ModelSpec:
    """A model over some fields."""
    example = Example("one", "One", type_.model_construct())
    return order_spec(features=type_, examples=(example,))


@pytest.mark.parametrize("type_", [Validated, Annotations, Nested, Stripped, LongTexts, PlainDate])
def test_rules_that_the_contract_does_not_know_are_asked_row_by_row(type_: type[Features]) -> None:
    """The author of a contract may write validators; whole columns cannot know them."""
    assert not has_plain_rules(spec_of(type_))


@pytest.mark.parametrize("type_", [Validated, Annotations])
def test_a_validator_decides_as_in_a_server(type_: type[Features]) -> None:
    """4 is taken and 3 is refused, though both are within the bounds."""
    found = reader_of(spec_of(type_)).read([["4"], ["3"]])
    assert found.positions.tolist() == [0]
    assert list(found.faults) == [1]


@pytest.mark.parametrize("spec", [ORDERS, get_spec("churn"), get_spec("delivery_time")])
def test_the_usual_contracts_are_read_by_columns(spec: ModelSpec) -> None:
    """Also those with lists of integers, dates and fields that may be missing."""
    assert has_plain_rules(spec)
    assert Choice in {type(rule) for rule in OrderFeatures.model_fields["priority"].metadata}


def test_answers_have_a_column_for_each_field_and_none_that_the_file_has() -> None:
    """Probabilities by class are JSON, as the server sends them."""
    columns = AnswerColumns(ORDERS, ["city", "label", "error"], as_text=True)
    assert columns.types == {
        "answer_label": str,
        "probability": float,
        "probabilities": str,
        "model_version": str,
        "answer_error": str,
    }
    answer = ORDERS.answer([0.25, 0.5, 0.25], {}).model_dump()
    *cells, probabilities, version, error = columns.good(answer, "1.0.0")
    assert cells == ["in time", 0.5]
    assert json.loads(probabilities) == {"late": 0.25, "in time": 0.5, "early": 0.25}
    assert (version, error) == ("1.0.0", None)
    assert columns.bad("line 3: no") == [None, None, None, None, "line 3: no"]


@pytest.mark.parametrize(("as_text", "shown"), [(True, "false"), (False, False)])
def test_truth_values_are_written_as_json_in_a_text_and_kept_elsewhere(
    as_text: bool, shown: Any
) -> None:
    """Python's `False` is known to Python only."""
    spec = order_spec(kind="regressor", target="", classes=())
    columns = AnswerColumns(spec, [], as_text=as_text)
    assert columns.types["is_anomaly"] is bool
    answer = spec.answer(np.float64(0.5), {}).model_dump()
    assert columns.good(answer, "1.0.0") == [0.5, shown, "1.0.0", None]
