"""Why a pipeline is served uncompiled, in words for its author."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.contract.block import Scores
from training.truth import Truth

MAX_LENGTH = 400
MAX_CAUSE_LENGTH = 160
DIFFERS = "compiled, it differs from the pipeline"


def cannot(error: Exception, what: str) -> str:
    """What the converter or the runtime says, its first sentence."""
    text = " ".join((str(error) or type(error).__name__).split()).split(". ")[0]
    return f"{what}: {cut(text, MAX_CAUSE_LENGTH)}"


def difference(found: Scores, truth: Truth, differs: NDArray[np.bool_]) -> str:
    """Where the compiled model is farthest from the truth, with both answers.

    `found` has the shape of the truth's scores, and `differs` is (n_rows,).
    """
    apart = np.abs(found - truth.scores).reshape(len(differs), -1).max(axis=1)
    # A score where none is expected is the worst of all.
    apart = np.where(np.isnan(apart), np.inf, apart)
    worst = int(np.argmax(np.where(differs, apart, -1.0)))
    return (
        f"{DIFFERS} on {int(differs.sum()):,} of {len(differs):,} "
        f"rows; one with {truth.said[worst]}: compiled {_shown(found[worst])}, pipeline "
        f"{_shown(truth.scores[worst])}"
    )


def joined(reasons: list[str]) -> str:
    """One readable sentence or two: why there is no exact graph, then what the converter's does.

    Where both graphs differ from the pipeline, the exact one tells more.
    """
    first = reasons[0]
    last = reasons[-1]
    if len(reasons) == 1 or (first.startswith(DIFFERS) and last.startswith(DIFFERS)):
        return cut(first, MAX_LENGTH)
    return cut(f"{cut(first, MAX_LENGTH // 2)}; {last}", MAX_LENGTH)


def cut(text: str, length: int) -> str:
    """A text of at most so many characters."""
    if len(text) <= length:
        return text
    return text[: length - 1] + "…"


def _shown(score: Any) -> str:
    return ", ".join(
        "no score" if np.isnan(value) else f"{value:.6g}" for value in np.atleast_1d(score)[:4]
    )
