"""How good an anomaly score is where nobody knows the truth: how many rows it flags.

A score is what `decision_function` gives: below zero for the unusual.
"""

import math
from typing import Any

import numpy as np

from training.estimators import last_step
from training.metrics import Numbers

# The share that is flagged may be off by this factor, and by chance.
FACTOR = 2.0
N_STANDARD_ERRORS = 3.0
# Where no share is known: what is flagged is meant to be unusual.
MOST_FLAGGED = 0.5


def share_flagged(target: Numbers, score: Numbers) -> float:
    """The share of rows with a score below zero."""
    return float(np.mean(score < 0))


def mean_move(target: Numbers, score: Numbers) -> float:
    """How far scores moved from those in `target`."""
    return float(np.mean(np.abs(score - target)))


def own_contamination(pipeline: Any) -> float | None:
    """The share of unusual rows that a detector was told of: `contamination`, or `nu` of an SVM."""
    last = last_step(pipeline)
    for name in ("contamination", "nu"):
        value = getattr(last, name, None)
        if isinstance(value, int | float) and 0 < value < 1:
            return float(value)
    return None


def fault_of(score: Numbers, contamination: float | None, origin: str) -> str | None:
    """Why these scores cannot be those of a detector of so many unusual rows; None when they can.

    `origin` says who named the contamination.
    """
    if score.max() == score.min():
        return f"score: found {score[0]:.4g} for every row, expected scores that differ"
    share = float(np.mean(score < 0))
    if contamination is None:
        if share <= MOST_FLAGGED:
            return None
        return (
            f"share_flagged: found {share:.1%} of the rows below zero, expected the unusual ones, "
            f"at most {MOST_FLAGGED:.0%}; name their share as Training(contamination=…), and fit "
            "the pipeline with it"
        )
    chance = N_STANDARD_ERRORS * math.sqrt(contamination * (1 - contamination) / len(score))
    low = max(0.0, contamination / FACTOR - chance)
    high = contamination * FACTOR + chance
    if low <= share <= high:
        return None
    return (
        f"share_flagged: found {share:.1%} of the rows below zero, expected about "
        f"{contamination:.1%} ({low:.1%} to {high:.1%}), which is {origin}; fit the pipeline with "
        "that contamination, or correct the number"
    )
