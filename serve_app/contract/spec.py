"""What a model promises: typed rows in, typed answers out, and how a score becomes an answer.

The pydantic types are the single source: the contract kept in a bundle, the OpenAPI document and
the texts of validation errors are all derived from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, create_model

from serve_app.contract.answers import (
    Answer,
    Label,
    Prediction,
    anomaly_answers,
    binary_answers,
    class_answers,
    outputs_answers,
    threshold_of,
    value_answers,
)
from serve_app.contract.feature import Feature, Kind, feature_of

__all__ = ["Example", "Features", "Label", "ModelSpec", "Prediction"]

DEFAULT_THRESHOLD = 0.5


class Features(BaseModel):
    """One row, strict: no coercion, no unknown field, no NaN.

    A field that may be `None` may be missing data.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Example:
    """A row that people understand: shown in the docs, used by tests and for warming up."""

    name: str
    summary: str
    row: Features


@dataclass(frozen=True)
class ModelSpec:
    """A model: its name, its contract, and how one score becomes one answer.

    `kind` says what a score is:

    * `binary_classifier`: the probability of the class `positive`, which is one of the two
      `classes`. Without them the classes are 0 and 1. A probability at or above the threshold gets
      the positive label: the threshold of the pipeline when `threshold` is 0.5, else this one.
    * `classifier`: a probability for each of `classes`.
    * `regressor`: a value, or one for each of `outputs`. With a `target` all outputs are about that
      column (quantiles of it), without one each output is a column of its own. Without both it is
      an anomaly score: what `decision_function` gives, below zero for the unusual.

    `answer(score, parameters)` gets the score, or a list of them where there are several, and the
    `parameters` of the bundle: `threshold` of a binary classifier, `half_width` and `coverage` of a
    value's interval, `half_width_<output>` of each of several values. Without `prediction` and
    `answer` the model answers with the standard fields of its kind (`contract/answers.py`).
    """

    name: str
    title: str
    kind: Kind
    target: str
    features: type[Features]
    prediction: type[Prediction] = None  # type: ignore[assignment]  # set in __post_init__
    answer: Answer = None  # type: ignore[assignment]  # set in __post_init__
    examples: tuple[Example, ...] = ()
    threshold: float = DEFAULT_THRESHOLD
    classes: tuple[Label, ...] = ()
    positive: Label | None = None
    outputs: tuple[str, ...] = ()

    @cached_property
    def contract(self) -> tuple[Feature, ...]:
        """The fields in order. Raises TypeError for a field whose values are not bounded."""
        schema = self.features.model_json_schema()
        required = set(schema.get("required", ()))
        return tuple(
            feature_of(f"{self.name}.{name}", name, field, is_required=name in required)
            for name, field in schema["properties"].items()
        )

    @property
    def is_classifier(self) -> bool:
        """Whether it answers with a label."""
        return self.kind != "regressor"

    @property
    def n_scores(self) -> int:
        """How many numbers a row gets from the model."""
        if self.kind == "classifier":
            return len(self.classes)
        return len(self.outputs) or 1

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns of the data that hold the truth; none for an anomaly score."""
        return (self.target,) if self.target else self.outputs

    @property
    def is_anomaly_score(self) -> bool:
        """Whether there is no truth to learn from: how unusual a row is."""
        return not self.targets

    def __post_init__(self) -> None:
        self._check_kind()
        self._check_threshold()
        self._check_classes()
        self._check_outputs()
        if (self.prediction is None) != (self.answer is None):
            raise TypeError(
                f"{self.name}: found only one of prediction and answer, expected both or none"
            )
        if self.prediction is None:
            prediction, answer = self._standard_answers()
            object.__setattr__(self, "prediction", prediction)
            object.__setattr__(self, "answer", answer)
        self._check_fields()

    def threshold_of(self, parameters: Mapping[str, float]) -> float:
        """Where a version with these parameters of its bundle cuts its probability."""
        return threshold_of(parameters, self.threshold)

    def _check_kind(self) -> None:
        if self.kind not in get_args(Kind):
            raise TypeError(
                f"{self.name}: found kind {self.kind!r}, expected one of "
                f"{', '.join(get_args(Kind))}"
            )

    def _check_threshold(self) -> None:
        if not 0 < self.threshold < 1:
            raise TypeError(
                f"{self.name}: found threshold {self.threshold!r}, expected a number between 0 and "
                "1"
            )
        if self.kind != "binary_classifier" and self.threshold != DEFAULT_THRESHOLD:
            raise TypeError(
                f"{self.name}: found threshold {self.threshold!r} for a {self.kind}, whose answer "
                "has none; expected none"
            )

    def _check_classes(self) -> None:
        if self.kind == "binary_classifier":
            self._set_binary_classes()
        elif self.positive is not None or (self.classes and self.kind == "regressor"):
            raise TypeError(f"{self.name}: found classes or positive for a {self.kind}")
        if not self.is_classifier:
            return
        n_least = 2 if self.kind == "binary_classifier" else 3
        n_names = len({str(label) for label in self.classes})
        if n_names < n_least or n_names != len(self.classes):
            raise TypeError(
                f"{self.name}: found classes {self.classes!r}, expected at least {n_least} "
                f"different ones for a {self.kind}"
            )

    def _set_binary_classes(self) -> None:
        if not self.classes:
            object.__setattr__(self, "classes", (0, 1))
            object.__setattr__(self, "positive", 1)
        if len(self.classes) != 2 or self.positive not in self.classes:
            raise TypeError(
                f"{self.name}: found classes {self.classes!r} with positive {self.positive!r}; "
                "expected two classes, and positive to name the one whose probability is asked"
            )

    def _check_outputs(self) -> None:
        if self.is_classifier and (self.outputs or not self.target):
            raise TypeError(
                f"{self.name}: found a {self.kind} with target {self.target!r} and outputs "
                f"{self.outputs!r}; expected a target and no outputs"
            )
        names = set(self.outputs)
        if len(names) != len(self.outputs) or not all(name.isidentifier() for name in names):
            raise TypeError(
                f"{self.name}: found outputs {self.outputs!r}, expected different Python names"
            )

    def _standard_answers(self) -> tuple[type[Prediction], Answer]:
        name = "".join(word.capitalize() for word in self.name.split("_"))
        if self.kind == "binary_classifier":
            assert self.positive is not None
            return binary_answers(name, self.classes, self.positive, self.threshold)
        if self.kind == "classifier":
            return class_answers(name, self.classes)
        if self.outputs:
            return outputs_answers(name, self.outputs)
        return value_answers(name) if self.target else anomaly_answers(name)

    def _check_fields(self) -> None:
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
