"""Where the rounding of a sum would be seen, because the steps of a staircase follow it.

What follows most sums is smooth: a float32 moves an answer by a millionth of it. Behind a steep
step it moves the answer by the height of the step, in one row of ten thousands, which no proof on
some thousand rows finds.
"""

from typing import Any

from training.estimators import walk

IN_FLOAT32 = "adds up in float32, whose rounding shows behind"


def staircase(pipeline: Any) -> str:
    """What in a pipeline is a staircase behind sums, for a sentence; empty where nothing is."""
    for part in walk(pipeline):
        found = staircase_of(part)
        if found:
            return found
    return ""


def staircase_of(estimator: Any) -> str:
    """Whether the estimator itself puts a staircase behind its members, and which."""
    if getattr(estimator, "method", None) == "isotonic":
        return "isotonic calibration"
    final = getattr(estimator, "final_estimator_", None)
    if final is not None and any(cuts_numbers(part) for part in walk(final)):
        return "trees that cut the answers of other models"
    return ""


def cuts_numbers(estimator: Any) -> bool:
    """Whether it is a tree, or boosted ones of scikit-learn's histograms."""
    return hasattr(estimator, "tree_") or hasattr(estimator, "_predictors")
