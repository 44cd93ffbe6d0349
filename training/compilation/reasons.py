"""Why a pipeline is served uncompiled, in words for its author."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.contract.block import Scores
from training.estimators import walk
from training.truth import Truth

MAX_LENGTH = 400
MAX_CAUSE_LENGTH = 160


def cannot(error: Exception) -> str:
    """What the converter or the runtime says, its first sentence."""
    text = " ".join((str(error) or type(error).__name__).split()).split(". ")[0]
    return f"skl2onnx cannot convert this pipeline: {cut(text, MAX_CAUSE_LENGTH)}"


def difference(found: Scores, truth: Truth, differs: NDArray[np.bool_]) -> str:
    """Where the compiled model is farthest from the truth, with both answers."""
    apart = np.abs(found - truth.scores).reshape(len(differs), -1).max(axis=1)
    # A score where none is expected is the worst of all.
    apart = np.where(np.isnan(apart), np.inf, apart)
    worst = int(np.argmax(np.where(differs, apart, -1.0)))
    return (
        f"compiled, it differs from the pipeline on {int(differs.sum()):,} of {len(differs):,} "
        f"rows; one with {truth.said[worst]}: compiled {_shown(found[worst])}, pipeline "
        f"{_shown(truth.scores[worst])}"
    )


def joined(pipeline: Any, reasons: list[str]) -> str:
    """One readable sentence or two: what happened last, then the cause where it is known."""
    causes = [reason for reason in reasons[:-1] if reason]
    text = cut(reasons[-1], MAX_LENGTH)
    cause = known_cause(pipeline) or (causes[0] if causes else "")
    if cause and cause not in text:
        text = f"{cut(text, MAX_LENGTH - MAX_CAUSE_LENGTH)}. Cause: {cut(cause, MAX_CAUSE_LENGTH)}"
    return cut(text, MAX_LENGTH)


def known_cause(pipeline: Any) -> str | None:
    """What of a pipeline the converter is known to get wrong."""
    for part in walk(pipeline):
        if type(part).__name__ == "CalibratedClassifierCV" and part.method == "temperature":
            return "CalibratedClassifierCV(method='temperature') has no graph"
    return None


def cut(text: str, length: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _shown(score: Any) -> str:
    return ", ".join(
        "no score" if np.isnan(value) else f"{value:.6g}" for value in np.atleast_1d(score)[:4]
    )
