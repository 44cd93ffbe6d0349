"""Which features a version leans on: how much worse it gets when one column is shuffled."""

from dataclasses import dataclass

import numpy as np

from serve_app.contract.block import Block, Layout, Scores
from training.candidate import Candidate
from training.metrics import brier, mae

MAX_ROWS = 1_000
N_REPEATS = 5


@dataclass(frozen=True)
class Importance:
    """How much the error rises (Brier score or mean absolute error) over `N_REPEATS` shuffles."""

    feature: str
    mean: float
    deviation: float


def importances(candidate: Candidate, seed: int = 0) -> list[Importance]:
    """Measure permutation importance on the hold-out (Breiman, 2001, section 10), largest first."""
    rng = np.random.default_rng(seed)
    holdout = candidate.holdout.take(np.arange(min(MAX_ROWS, len(candidate.holdout))))
    error = brier if candidate.spec.kind == "binary_classifier" else mae
    base = error(holdout.target, candidate.score(holdout.block))

    def rise(feature: str) -> float:
        return error(holdout.target, _score_shuffled(candidate, holdout.block, feature, rng)) - base

    found = []
    for feature in (f.name for f in candidate.spec.contract):
        rises = [rise(feature) for _ in range(N_REPEATS)]
        found.append(Importance(feature, float(np.mean(rises)), float(np.std(rises))))
    return sorted(found, key=lambda item: -item.mean)


def _score_shuffled(
    candidate: Candidate, block: Block, feature: str, rng: np.random.Generator
) -> Scores:
    layout = Layout(candidate.spec.contract)
    shuffled = Block(block.numbers.copy(), block.categories.copy())
    is_number = feature in layout.number_names
    names = layout.number_names if is_number else layout.category_names
    column = (shuffled.numbers if is_number else shuffled.categories)[:, names.index(feature)]
    column[:] = rng.permutation(column)
    return candidate.score(shuffled)
