"""Which features a version leans on: how much worse it gets when one column is shuffled."""

from dataclasses import dataclass

import numpy as np

from serve_app.contract.block import Block, Layout
from training.candidate import Candidate
from training.table import Numbers, Table

MAX_ROWS = 1_000
N_REPEATS = 5
# Many fields are shuffled less often, so that a report takes seconds.
MAX_SHUFFLES = 200


@dataclass(frozen=True)
class Importance:
    """How much the version's error rises over some shuffles (see `Yardstick.error`).

    For an anomaly score: how far the score moves.
    """

    feature: str
    mean: float
    deviation: float


def importances(candidate: Candidate, seed: int = 0) -> list[Importance]:
    """Measure permutation importance on the hold-out (Breiman, 2001, section 10), largest first."""
    rng = np.random.default_rng(seed)
    holdout = candidate.holdout.take(np.arange(min(MAX_ROWS, len(candidate.holdout))))
    scores = candidate.score(holdout.block)
    target = scores if candidate.spec.is_anomaly_score else holdout.target
    error = candidate.yardstick.error
    base = error(target, scores)
    n_repeats = max(1, min(N_REPEATS, MAX_SHUFFLES // len(candidate.spec.contract)))
    found = []
    for feature in (f.name for f in candidate.spec.contract):
        shuffled = candidate.score(_shuffled(holdout, feature, n_repeats, rng))
        rises = [error(target, part) - base for part in np.split(shuffled, n_repeats)]
        found.append(Importance(feature, float(np.mean(rises)), float(np.std(rises))))
    return sorted(found, key=lambda item: -item.mean)


def _shuffled(rows: Table, feature: str, n_repeats: int, rng: np.random.Generator) -> Block:
    """The rows several times, one below the other, each time with the column in another order."""
    block = Block.concat([rows.block] * n_repeats)
    if n_repeats == 1:
        block = Block(block.numbers.copy(), block.categories.copy())
    layout = Layout(rows.spec.contract)
    column: Numbers = rows.column(feature)
    shuffled = np.concatenate([rng.permutation(column) for _ in range(n_repeats)])
    is_number = feature in layout.number_names
    names = layout.number_names if is_number else layout.category_names
    matrix = block.numbers if is_number else block.categories
    matrix[:, names.index(feature)] = shuffled
    return block
