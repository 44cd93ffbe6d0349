"""What a model promises: typed rows in, typed answers out, and how a score becomes an answer.

The pydantic types are the single source: the contract kept in a bundle, the OpenAPI document and
the texts of validation errors are all derived from them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, create_model
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from serve_app.contract.feature import Feature, Kind, feature_of

DEFAULT_THRESHOLD = 0.5


class Features(BaseModel):
    """One row, strict: no coercion, no unknown field, no NaN.

    A field that may be `None` may be missing data.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Prediction(BaseModel):
    """One answer; a NaN or infinity in it is an error of the model."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )


@dataclass(frozen=True)
class Choice:
    """Limits an `int` field to a few values. `Literal[1]` would accept `true`: `True == 1`."""

    values: tuple[int, ...]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "enum": list(self.values)}

    def _check(self, value: int) -> int:
        if value not in self.values:
            raise PydanticCustomError("not_a_choice", "is not one of the allowed values")
        return value


@dataclass(frozen=True)
class Example:
    """A row that people understand: shown in the docs, used by tests and for warming up."""

    name: str
    summary: str
    row: Features


@dataclass(frozen=True)
class ModelSpec:
    """A model: its name, its contract, and how one score becomes one answer.

    `answer(score, parameters)` gets the probability of the positive class or the predicted value,
    and the `parameters` of the bundle (for instance the half-width of an interval).

    `threshold` is for binary classifiers: a probability at or above it gets the positive label.
    Where labels are compared (golden rows, compilation, rollouts, `sluice diff`), they are cut
    there.
    """

    name: str
    title: str
    kind: Kind
    target: str
    features: type[Features]
    prediction: type[Prediction]
    answer: Callable[[float, Mapping[str, float]], Prediction]
    examples: tuple[Example, ...]
    threshold: float = DEFAULT_THRESHOLD

    @cached_property
    def contract(self) -> tuple[Feature, ...]:
        """The fields in order. Raises TypeError for a field whose values are not bounded."""
        schema = self.features.model_json_schema()
        required = set(schema.get("required", ()))
        return tuple(
            feature_of(f"{self.name}.{name}", name, field, is_required=name in required)
            for name, field in schema["properties"].items()
        )

    def __post_init__(self) -> None:
        self._check_threshold()
        for name, field in self.features.model_fields.items():
            if _has_int_literal(field.annotation):
                raise TypeError(
                    f"{self.name}.{name}: found Literal of integers, which lets `true` pass; use "
                    "Choice"
                )
        fields = {**self.features.model_fields, **self.prediction.model_fields}
        odd = [name for name, field in fields.items() if field.alias or field.serialization_alias]
        odd += list(self.prediction.model_computed_fields)
        if odd:
            raise TypeError(
                f"{self.name}: found {', '.join(odd)} with an alias or computed; expected plain "
                "fields"
            )

    def _check_threshold(self) -> None:
        if not 0 < self.threshold < 1:
            raise TypeError(
                f"{self.name}: found threshold {self.threshold!r}, expected a number between 0 and "
                "1"
            )
        if self.kind != "binary_classifier" and self.threshold != DEFAULT_THRESHOLD:
            raise TypeError(
                f"{self.name}: found threshold {self.threshold!r} for a {self.kind}, which has no "
                "labels; expected none"
            )

    @cached_property
    def answer_type(self) -> type[BaseModel]:
        """The HTTP answer: the prediction, then who gave it and under which id."""
        return create_model(
            self.prediction.__name__.removesuffix("Prediction") + "Answer",
            __base__=self.prediction,
            model_version=(str, ...),
            prediction_id=(str, ...),
        )


def _has_int_literal(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return any(isinstance(value, int) for value in get_args(annotation))
    return any(_has_int_literal(part) for part in get_args(annotation))
