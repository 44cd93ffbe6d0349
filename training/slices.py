"""Error by slice: a good average may hide a group that the model serves badly."""

from dataclasses import dataclass

from serve_app.statistics.slicing import MIN_ROWS, Mask, masks
from training.candidate import Candidate
from training.conformal import share_inside
from training.metrics import brier, mae


@dataclass(frozen=True)
class Slice:
    """The rows with one value, or one range, of one feature.

    `error` is the Brier score or the mean absolute error; `bias` is mean prediction minus mean
    truth.
    """

    feature: str
    label: str
    n_rows: int
    truth: float
    predicted: float
    error: float
    coverage: float | None

    @property
    def bias(self) -> float:
        """Above zero: predicted too high on average."""
        return self.predicted - self.truth


def slices(candidate: Candidate) -> list[Slice]:
    """Measure every slice of the hold-out with enough rows, in the order of the contract."""
    return [
        _slice(candidate, feature.name, label, mask)
        for feature in candidate.spec.contract
        for label, mask in masks(candidate.holdout.column(feature.name), feature)
        if mask.sum() >= MIN_ROWS
    ]


def _slice(candidate: Candidate, feature: str, label: str, mask: Mask) -> Slice:
    target = candidate.holdout.target[mask]
    score = candidate.scores[mask]
    is_regressor = candidate.spec.kind == "regressor"
    width = candidate.parameters.get("half_width")
    coverage = None if width is None else share_inside(target, score, width)
    return Slice(
        feature=feature,
        label=label,
        n_rows=int(mask.sum()),
        truth=float(target.mean()),
        predicted=float(score.mean()),
        error=(mae if is_regressor else brier)(target, score),
        coverage=coverage,
    )
