"""The quality below which a model does not become a version."""

from collections.abc import Iterable, Mapping

from serve_app.bundle.manifest import Metric
from training.anomaly import fault_of
from training.errors import QualityTooLow, TrainingError
from training.fitted_pipeline import FittedPipeline
from training.metrics import direction
from training.output_metrics import ends
from training.recipe import Training
from training.yardstick import is_quantiles

# How far a model may stay behind the best reachable score of a recipe that knows it.
FROM_BEST = {"auc": 0.02, "brier": 0.01, "mae": 0.15}
# Quantiles that were fitted one by one cross now and then, but not on most rows.
MOST_CROSSING = 0.5


def require_quality(fitted: FittedPipeline, training: Training) -> None:
    """Compare the metrics with the model's own floors and the best reachable.

    Raises QualityTooLow with all faults, and TrainingError for a floor of an unknown metric.
    """
    found = fitted.metrics
    _require_known({**training.at_least, **training.at_most}, found, fitted)
    faults = []
    # Not `<` and `>`: a metric that is no number is at fault too.
    for name, floor in training.at_least.items():
        if not found[name].value >= floor:
            faults.append(f"{name}: found {found[name].value:.4g}, expected at least {floor:g}")
    for name, ceiling in training.at_most.items():
        if not found[name].value <= ceiling:
            faults.append(f"{name}: found {found[name].value:.4g}, expected at most {ceiling:g}")
    _refuse(fitted, faults + _behind_best(found) + _faults_of_kind(fitted))


def require_better_than_constant(fitted: FittedPipeline, constant: Mapping[str, Metric]) -> None:
    """Refuse a pipeline from elsewhere that does not beat the answer that ignores the row.

    Raises QualityTooLow.
    """
    names = fitted.yardstick.must_beat
    faults = []
    for name in names:
        found = fitted.metrics[name].value
        floor = constant[name].value
        if not _is_better(name, found, floor):
            faults.append(
                f"{name}: found {found:.4g}, expected better than a constant's {floor:.4g}"
            )
    scores = fitted.scores
    is_constant = bool((scores == scores[0]).all())
    if is_constant and not faults and not fitted.spec.is_anomaly_score:
        # By luck it may be a better constant than ours.
        faults.append("score: found the same for every row, expected scores that differ")
    _refuse(fitted, faults + _faults_of_kind(fitted))


def _require_known(
    floors: Iterable[str], found: Mapping[str, Metric], fitted: FittedPipeline
) -> None:
    unknown = [name for name in floors if name not in found]
    if unknown:
        raise TrainingError(
            f"{fitted.spec.name}: Training.at_least or at_most: found {', '.join(unknown)}, "
            f"expected metrics of a {fitted.spec.kind}: {', '.join(found)}"
        )


def _faults_of_kind(fitted: FittedPipeline) -> list[str]:
    """What no model of some kinds may show, whatever its floors are."""
    spec = fitted.spec
    if spec.is_anomaly_score:
        share, origin = fitted.expected_contamination or (None, "")
        fault = fault_of(fitted.scores, share, origin)
        if fault is None:
            return []
        return [fault]
    if is_quantiles(spec) and fitted.metrics["crossing"].value > MOST_CROSSING:
        low, high = (spec.outputs[place] for place in ends(spec.outputs))
        share = fitted.metrics["crossing"].value
        return [
            f"crossing: found {low} above {high} on {share:.0%} of the rows, expected outputs in "
            "ascending order; name them in the contract in the order of the pipeline's columns"
        ]
    return []


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
    if direction(name) > 0:
        return found > other
    return found < other


def _refuse(fitted: FittedPipeline, faults: list[str]) -> None:
    if faults:
        raise QualityTooLow(
            f"{fitted.spec.name} {fitted.version} is under its quality floor: "
            + "; ".join(faults)
            + ". Nothing was written. Look at the data first, then at the pipeline."
        )
