"""How good two versions are on the same labelled rows of a file, as a whole and by slice."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np

from serve_app.bundle.manifest import Metric
from serve_app.commands.diff.csv_rows import NUMBER, BadRow, LabelledRow
from serve_app.commands.diff.scoring import Scored
from serve_app.contract import ModelSpec
from serve_app.contract.block import has_failed
from serve_app.contract.labels import name_of_label
from serve_app.statistics.paired import MeasuredPair, mean_difference, measure_both
from serve_app.statistics.quality import Loss, Truth, loss_of
from serve_app.statistics.slicing import MIN_ROWS, Slice, masks

Parameters = Mapping[str, float]
# With fewer, an interval says nothing.
LEAST_ROWS = MIN_ROWS
N_CLASSES_LISTED = 10


@dataclass(frozen=True)
class SliceQuality(Slice):
    """The mean error of both versions among the rows of one slice.

    `difference` is candidate minus stable: above zero the candidate is worse.
    """

    stable: float
    candidate: float
    difference: Metric

    @property
    def verdict(self) -> str:
        """`better` or `worse` only where the difference is no chance."""
        if self.difference.low > 0:
            return "worse"
        return "better" if self.difference.high < 0 else "alike"


@dataclass(frozen=True)
class Quality:
    """What the labels of a file say of both versions.

    `n_rows` have a label and a score of both versions; `n_unlabelled` rows have an empty label, and
    `bad_labels` are those that cannot be read: their rows are scored all the same. `reason` says
    why nothing was measured, and is empty when it was. `error` names what the slices are compared
    by; slices come with the one first where the candidate loses most.
    """

    n_rows: int
    n_unlabelled: int
    bad_labels: tuple[BadRow, ...]
    reason: str
    metrics: tuple[MeasuredPair, ...] = ()
    error: str = ""
    slices: tuple[SliceQuality, ...] = ()


class Labels:
    """Collects the labels of a file's rows, in their order."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._read = _reader(spec)
        self._missing = [np.nan] * _width(spec)
        self._truth: list[list[float]] = []
        self._has_columns = False
        self._n_unlabelled = 0
        self._bad: list[BadRow] = []

    def add(self, row: LabelledRow) -> None:
        """Take the label of the next row."""
        self._has_columns |= bool(row.labels)
        truth = self._missing
        if row.labels and all(row.labels.values()):
            try:
                truth = [self._read(name, text) for name, text in row.labels.items()]
            except ValueError as error:
                self._bad.append(BadRow(row.line, str(error)))
        else:
            self._n_unlabelled += 1
        self._truth.append(truth)

    def quality(self, scored: Scored, parameters: tuple[Parameters, Parameters]) -> Quality | None:
        """Measure both versions; None where the file has no labels at all.

        `parameters` are those of the bundles of stable and of the candidate.
        """
        if not self._has_columns:
            return None
        truth = np.array(self._truth, dtype=np.float64)
        usable = ~(
            np.isnan(truth).any(axis=1) | has_failed(scored.stable) | has_failed(scored.candidate)
        )
        if len(self._missing) == 1:
            truth = truth[:, 0]
        n_rows = int(usable.sum())
        reason = _reason(self._spec, truth[usable])
        if reason:
            return Quality(n_rows, self._n_unlabelled, tuple(self._bad), reason)
        found = loss_of(self._spec)
        # A model that has a target has an error too.
        assert found is not None
        name, loss = found
        return Quality(
            n_rows,
            self._n_unlabelled,
            tuple(self._bad),
            "",
            measure_both(
                self._spec,
                truth[usable],
                scored.stable[usable],
                scored.candidate[usable],
                parameters,
            ),
            name,
            _slices(scored, truth, usable, loss),
        )


def _width(spec: ModelSpec) -> int:
    return max(1, len(spec.targets))


def _reason(spec: ModelSpec, truth: Truth) -> str:
    """Why these rows measure nothing."""
    if len(truth) < LEAST_ROWS:
        return (
            f"found {len(truth)} rows with a label and a score of both versions, expected at least "
            f"{LEAST_ROWS}"
        )
    if spec.is_classifier and len(np.unique(truth)) < 2:
        return "found one class only among the labels, expected at least two"
    return ""


def _reader(spec: ModelSpec) -> Callable[[str, str], float]:
    """A function of (target, text) to its number; it raises ValueError saying what was found."""
    if not spec.is_classifier:
        return _value
    positions = {name_of_label(label): float(i) for i, label in enumerate(spec.classes)}
    if spec.kind == "binary_classifier":
        positive = name_of_label(spec.positive)
        positions = {name: float(name == positive) for name in positions}
    listed = ", ".join(str(label) for label in spec.classes[:N_CLASSES_LISTED])

    def position(target: str, text: str) -> float:
        found = positions.get(name_of_label(text))
        if found is None:
            raise ValueError(f"{target}: found {text[:40]!r}, expected one of {listed}")
        return found

    return position


def _value(target: str, text: str) -> float:
    number = float(text) if NUMBER.fullmatch(text) else np.nan
    if not isfinite(number):
        raise ValueError(f"{target}: found {text[:40]!r}, expected a finite number")
    return number


def _slices(
    scored: Scored, truth: Truth, usable: np.ndarray, loss: Loss
) -> tuple[SliceQuality, ...]:
    before = loss(truth[usable], scored.stable[usable])
    after = loss(truth[usable], scored.candidate[usable])

    def each() -> Iterator[SliceQuality]:
        for feature, column in scored.columns.items():
            for label, mask in masks(column[usable], feature):
                n_rows = int(mask.sum())
                if n_rows >= MIN_ROWS:
                    yield SliceQuality(
                        feature.name,
                        label,
                        n_rows,
                        float(before[mask].mean()),
                        float(after[mask].mean()),
                        mean_difference(before[mask], after[mask]),
                    )

    # By the bound that the difference is surely above: small slices lie far off by luck.
    return tuple(sorted(each(), key=lambda part: -part.difference.low))
