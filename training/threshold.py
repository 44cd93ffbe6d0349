"""Where a binary classifier cuts its probabilities, so that labels are the pipeline's own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

from serve_app.bundle.call import PipelineCall
from serve_app.contract.block import Scores
from serve_app.contract.spec import DEFAULT_THRESHOLD
from training.estimators import last_step
from training.reading import name_of_class
from training.table import Table

HALF = 0.5
ABOVE_HALF = float(np.nextafter(HALF, 1))


def find_threshold(
    pipeline: Any, rows: Table, call: PipelineCall, scores: Scores
) -> tuple[float, str | None]:
    """The threshold of a binary classifier, and a sentence where no threshold gives its labels.

    A probability at or above the threshold is positive. An author's own threshold in the contract
    goes first. Then it is the one of the pipeline (FixedThresholdClassifier,
    TunedThresholdClassifierCV), then one half, then the probability where its decision function
    cuts: the first that gives the labels of `predict`. Else it is the middle of the gap between the
    negative and the positive scores. `scores` (n_rows,) are of `rows`, from the runtime that
    serves.
    """
    spec = rows.spec
    if spec.threshold != DEFAULT_THRESHOLD:
        return spec.threshold, None
    candidates = _candidates(pipeline, call)
    frame = rows.frame_for(call)
    try:
        labels = np.asarray(pipeline.predict(frame)).reshape(-1)
    except Exception:
        # A probability is all that was asked for.
        return candidates[0], None
    is_positive = np.array([name_of_class(v) for v in labels]) == name_of_class(spec.positive)
    candidates += _of_decision(pipeline, frame, scores)
    for threshold in candidates:
        if not np.any((scores >= threshold) != is_positive):
            return threshold, None
    return separating(scores, is_positive, candidates[0])


def _candidates(pipeline: Any, call: PipelineCall) -> list[float]:
    """Thresholds that a pipeline says itself, the likeliest first."""
    own = own_threshold(pipeline)
    # scikit-learn takes the class with the larger probability, and of two equal ones the first.
    halves = [HALF, ABOVE_HALF] if call.columns == [0] else [ABOVE_HALF, HALF]
    if own is None:
        return halves
    # Where it cuts the probability of the other class, this class is what is above the rest.
    return [own, float(np.nextafter(1 - own, 1)), *halves]


def own_threshold(pipeline: Any) -> float | None:
    """The threshold on the probability that a pipeline was given, or has tuned."""
    value = _cut_of(pipeline)
    if value is None or not 0 < value < 1:
        return None
    return value


def _cut_of(pipeline: Any) -> float | None:
    """The threshold of the part that decides, on whatever it looks at."""
    last = last_step(pipeline)
    while hasattr(last, "best_estimator_"):
        last = last_step(last.best_estimator_)
    if not isinstance(last, FixedThresholdClassifier | TunedThresholdClassifierCV):
        return None
    value = getattr(last, "best_threshold_", getattr(last, "threshold", None))
    return float(value) if isinstance(value, float | int | np.floating) else None


def _of_decision(pipeline: Any, frame: Any, scores: Scores) -> list[float]:
    """The probability where the decision function passes the threshold, if there is such a thing.

    The probability is a logistic function of the decision in most estimators, and between the two
    rows next to the threshold nearly so in all.
    """
    cut = _cut_of(pipeline) or 0.0
    try:
        decision = np.asarray(pipeline.decision_function(frame), dtype=np.float64)
    except Exception:
        # There is none, or not for these.
        return []
    is_inside = (scores > 0) & (scores < 1)
    if decision.shape != scores.shape or is_inside.sum() < 2:
        return []
    decision = decision[is_inside]
    found = []
    # The second is for a decision about the other class.
    for sign in (1, -1):
        order = np.argsort(sign * decision)
        logits = logit(scores[is_inside])[order]
        found.append(float(expit(np.interp(sign * cut, sign * decision[order], logits))))
    return found


def separating(
    scores: Scores, is_positive: NDArray[np.bool_], preferred: float
) -> tuple[float, str | None]:
    """A threshold with which (n_rows,) scores give (n_rows,) labels: the preferred if it does.

    Else the middle of the gap between the two; a sentence where they overlap.
    """
    if not np.any((scores >= preferred) != is_positive):
        return preferred, None
    highest = scores[~is_positive].max(initial=0.0)
    lowest = scores[is_positive].min(initial=1.0)
    if highest < lowest:
        return float((highest + lowest) / 2), None
    n_other = int(((scores >= preferred) != is_positive).sum())
    return preferred, (
        f"predict() of the pipeline gives another label than its own probability cut at "
        f"{preferred:.3g} on {n_other} of {len(scores)} rows; served labels follow the probability"
    )
