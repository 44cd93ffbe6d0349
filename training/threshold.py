"""Where a binary classifier cuts its probabilities, so that labels are the pipeline's own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.call import PipelineCall
from serve_app.contract.block import Scores
from serve_app.contract.spec import DEFAULT_THRESHOLD
from training.estimators import last_step
from training.reading import name_of_class
from training.table import Table

# scikit-learn takes the class with the larger probability, and of two equal ones the first: exactly
# one half is negative.
ABOVE_HALF = float(np.nextafter(0.5, 1))


def find_threshold(
    pipeline: Any, rows: Table, call: PipelineCall, scores: Scores
) -> tuple[float, str | None]:
    """The threshold of a binary classifier, and a sentence where no threshold gives its labels.

    A probability at or above the threshold is positive. An author's own threshold in the contract
    goes first. Then it is the one of the pipeline (FixedThresholdClassifier,
    TunedThresholdClassifierCV), then one half; it is moved into the gap between the negative and
    the positive scores where that is needed to give the labels of `predict`. `scores` (n_rows,) are
    of `rows`, from the runtime that serves.
    """
    spec = rows.spec
    if spec.threshold != DEFAULT_THRESHOLD:
        return spec.threshold, None
    own = own_threshold(pipeline)
    preferred = ABOVE_HALF if own is None else own
    try:
        labels = np.asarray(pipeline.predict(rows.frame_for(call))).reshape(-1)
    except Exception:
        # A probability is all that was asked for.
        return preferred, None
    is_positive = np.array([name_of_class(v) for v in labels]) == name_of_class(spec.positive)
    return separating(scores, is_positive, preferred)


def own_threshold(pipeline: Any) -> float | None:
    """The threshold on the probability that a pipeline was given, or has tuned."""
    last = last_step(pipeline)
    for name in ("best_threshold_", "threshold"):
        value = getattr(last, name, None)
        if isinstance(value, float | int | np.floating) and 0 < value < 1:
            return float(value)
    return None


def separating(
    scores: Scores, is_positive: NDArray[np.bool_], preferred: float
) -> tuple[float, str | None]:
    """A threshold with which the scores give these labels: the preferred one where it does.

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
