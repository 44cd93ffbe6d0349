"""The quality below which a model does not become a version."""

from collections.abc import Mapping

from serve_app.bundle.manifest import Metric
from training.candidate import Candidate
from training.errors import QualityTooLow
from training.metrics import HIGHER_IS_BETTER
from training.recipe import Training

# How far a model may stay behind the best reachable score of a recipe that knows it.
FROM_BEST = {"auc": 0.02, "brier": 0.01, "mae": 0.15}


def require_quality(candidate: Candidate, training: Training) -> None:
    """Compare the metrics with the model's own floors and the best reachable.

    Raises QualityTooLow with all faults.
    """
    found = candidate.metrics
    faults = [
        f"{name}: found {found[name].value:.4g}, expected at least {floor:g}"
        for name, floor in training.at_least.items()
        if not found[name].value >= floor
    ]
    faults += [
        f"{name}: found {found[name].value:.4g}, expected at most {floor:g}"
        for name, floor in training.at_most.items()
        if not found[name].value <= floor
    ]
    _refuse(candidate, faults + _behind_best(found))


def require_better_than_constant(candidate: Candidate, constant: Mapping[str, Metric]) -> None:
    """Refuse a pipeline from elsewhere that does not beat the answer that ignores the row.

    Raises QualityTooLow.
    """
    names = ("auc", "brier") if candidate.spec.kind == "binary_classifier" else ("mae",)
    pairs = [(name, candidate.metrics[name].value, constant[name].value) for name in names]
    faults = [
        f"{name}: found {found:.4g}, expected better than a constant's {floor:.4g}"
        for name, found, floor in pairs
        if not _is_better(name, found, floor)
    ]
    _refuse(candidate, faults)


def _behind_best(found: Mapping[str, Metric]) -> list[str]:
    faults = []
    for name, most in FROM_BEST.items():
        best = found.get(f"best_{name}")
        # Not `>`: a metric that is no number is behind too.
        if best is not None and not abs(found[name].value - best.value) <= most:
            faults.append(
                f"{name}: found {found[name].value:.4g}, expected within {most} of the best "
                f"reachable {best.value:.4g}"
            )
    return faults


def _is_better(name: str, found: float, other: float) -> bool:
    return found > other if name in HIGHER_IS_BETTER else found < other


def _refuse(candidate: Candidate, faults: list[str]) -> None:
    if faults:
        raise QualityTooLow(
            f"{candidate.spec.name} {candidate.version} is under its quality floor: "
            + "; ".join(faults)
            + ". Nothing was written. Look at the data first, then at the pipeline."
        )
