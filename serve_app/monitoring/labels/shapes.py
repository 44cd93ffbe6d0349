"""By kind of model: which numbers of an answer an id carries, and what a label of it may be."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from math import isfinite, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.contract import ModelSpec
from serve_app.contract.block import Scores
from serve_app.contract.labels import name_of_label
from serve_app.errors import InvalidLabel
from serve_app.monitoring.labels.carried import Numbers

# Of more outputs the first ones are measured: an id has room for three numbers.
MOST_OUTPUTS = 3


class Shape(IntEnum):
    """What the numbers of an id are. The values stand in ids: they never change their meaning."""

    # The probability of the positive class.
    BINARY = 1
    # The probability of the label, and its place among the classes.
    CLASSES = 2
    # The value, and the half-width of its interval, if it has one.
    VALUE = 3
    # The median of the outputs, the lowest and the highest.
    QUANTILES = 4
    # The first outputs.
    OUTPUTS = 5
    # A score that has no truth.
    ANOMALY = 6


# The positive label or not, and the numbers.
Answer = tuple[bool, Numbers]
# Of n rows, with shapes (n,) and (n, 3).
Answers = tuple[NDArray[np.bool_], NDArray[np.float64]]


def shape_of(spec: ModelSpec) -> Shape:
    """The shape of a model's answers."""
    if spec.kind == "binary_classifier":
        return Shape.BINARY
    if spec.kind == "classifier":
        return Shape.CLASSES
    if spec.is_anomaly_score:
        return Shape.ANOMALY
    if spec.outputs:
        return Shape.QUANTILES if spec.target else Shape.OUTPUTS
    return Shape.VALUE


class Shaper:
    """Numbers of scores and truths of labels, for one model."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self.shape = shape_of(spec)
        self.has_one_number = self.shape in (Shape.BINARY, Shape.VALUE, Shape.ANOMALY)
        self.outputs = spec.outputs[:MOST_OUTPUTS]
        # By the name of a class: 1, 1.0, "1" and true are one label.
        self._places = {name_of_label(label): i for i, label in enumerate(spec.classes)}

    def answers(self, scores: Scores, parameters: Mapping[str, float]) -> Answers:
        """What each row's id carries; `parameters` are those of the bundle that answered."""
        n_rows = len(scores)
        is_positive = np.zeros(n_rows, bool)
        numbers = np.full((n_rows, 3), nan)
        if self.shape is Shape.CLASSES:
            places = scores.argmax(axis=1)
            numbers[:, 0] = scores[np.arange(n_rows), places]
            numbers[:, 1] = places
        elif self.shape is Shape.QUANTILES:
            ordered = np.sort(scores, axis=1)
            n_outputs = scores.shape[1]
            middle = ordered[:, (n_outputs - 1) // 2] + ordered[:, n_outputs // 2]
            numbers[:] = np.stack((middle / 2, ordered[:, 0], ordered[:, -1]), axis=1)
        elif self.shape is Shape.OUTPUTS:
            kept = scores[:, :MOST_OUTPUTS]
            numbers[:, : kept.shape[1]] = kept
        else:
            numbers[:, 0] = scores
        if self.shape is Shape.BINARY:
            is_positive = scores >= self._spec.threshold_of(parameters)
        if self.shape is Shape.VALUE:
            numbers[:, 1] = parameters.get("half_width", nan)
        if scores.ndim > 1:
            numbers[np.isnan(scores).any(axis=1)] = nan
        return is_positive, numbers

    def answer_of_one(self, score: float, parameters: Mapping[str, float]) -> Answer:
        """What `answers` gives for a row, of a model that `has_one_number` for each."""
        if self.shape is Shape.BINARY:
            return score >= self._spec.threshold_of(parameters), (score, nan, nan)
        half_width = parameters.get("half_width", nan) if self.shape is Shape.VALUE else nan
        return False, (score, half_width, nan)

    def threshold_of(self, parameters: Mapping[str, float]) -> float:
        """Where a version with these parameters cuts its probability."""
        return self._spec.threshold_of(parameters)

    def truth_of(self, actual: Any) -> tuple[float, ...]:
        """What came true as numbers: 1 for the positive class, the place of a class, or values.

        Raises InvalidLabel.
        """
        if self.shape is Shape.ANOMALY:
            raise InvalidLabel(
                "This model scores how unusual a row is: there is no truth to compare it with."
            )
        if self.shape in (Shape.BINARY, Shape.CLASSES):
            return (self._class_of(actual),)
        if self.shape is not Shape.OUTPUTS:
            return (_number(actual, "actual"),)
        names = self._spec.outputs
        if not isinstance(actual, Mapping) or set(actual) != set(names):
            raise InvalidLabel(f"actual: expected an object with a number for {', '.join(names)}.")
        found = {name: _number(actual[name], f"actual.{name}") for name in names}
        return tuple(found[name] for name in self.outputs)

    def _class_of(self, actual: Any) -> float:
        place = None
        # A text as long as a class may be, or a number of which the text is short.
        is_short = len(actual) <= 1_000 if isinstance(actual, str) else True
        if isinstance(actual, int | float) and not isinstance(actual, bool):
            is_short = abs(actual) < 1e15
        if is_short and isinstance(actual, str | int | float):
            place = self._places.get(name_of_label(actual))
        if place is None:
            shown = ", ".join(str(label) for label in self._spec.classes[:20])
            raise InvalidLabel(f"actual: expected one of the classes {shown}.")
        if self.shape is Shape.CLASSES:
            return float(place)
        return float(self._spec.classes[place] == self._spec.positive)


def _number(actual: Any, name: str) -> float:
    if isinstance(actual, bool) or not isinstance(actual, int | float):
        raise InvalidLabel(f"{name}: expected a number.")
    try:
        found = float(actual)
    except OverflowError:
        found = nan
    # What no float32 holds was never answered.
    if not isfinite(found) or abs(found) > 3e38:
        raise InvalidLabel(f"{name}: expected a number that is not beyond all bounds.")
    return found


@dataclass(frozen=True, slots=True)
class Label:
    """A prediction and what came true, joined.

    `id` is the prediction's own, in 64 bits. `numbers` are as the shape says; of `truth` there are
    as many as the model has targets, at most three. `run`, `phase` and `key` are those of the
    rollout that chose the version, as digests; `run` is 0 where none did.
    """

    id: int
    version: str
    at_s: int
    is_positive: bool
    numbers: Numbers
    truth: tuple[float, ...]
    run: int = 0
    phase: int = 0
    key: int = 0
