"""Which features a version leans on: how much worse it gets when one column is shuffled."""

from dataclasses import dataclass

import numpy as np

from serve_app.contract.block import Block, Layout
from training.fitted_pipeline import FittedPipeline
from training.table import Numbers, Table

MAX_ROWS = 1_000
N_REPEATS = 5
# Many fields are shuffled less often, so that a report takes seconds.
MAX_SHUFFLES = 200
# And on fewer rows, down to so many.
MAX_SCORED = 100_000
MIN_ROWS = 200
# A call of a pipeline takes its time for each column, so fields share one.
N_ROWS_OF_CALL = 8_000


@dataclass(frozen=True)
class Importance:
    """How much the version's error rises over some shuffles (see `Yardstick.error`).

    For an anomaly score: how far the score moves.
    """

    feature: str
    mean: float
    deviation: float


def importances(fitted: FittedPipeline, seed: int = 0) -> list[Importance]:
    """Measure permutation importance on the hold-out (Breiman, 2001, section 10), largest first."""
    rng = np.random.default_rng(seed)
    names = [feature.name for feature in fitted.spec.contract]
    n_repeats = max(1, min(N_REPEATS, MAX_SHUFFLES // len(names)))
    n_rows = min(MAX_ROWS, max(MIN_ROWS, MAX_SCORED // (len(names) * n_repeats)))
    holdout = fitted.holdout.take(np.arange(min(n_rows, len(fitted.holdout))))
    scores = fitted.score(holdout.block)
    target = scores if fitted.spec.is_anomaly_score else holdout.target
    error = fitted.yardstick.error
    base = error(target, scores)
    n_together = max(1, N_ROWS_OF_CALL // max(1, len(holdout) * n_repeats))
    found = []
    for start in range(0, len(names), n_together):
        some = names[start : start + n_together]
        blocks = [_shuffled(holdout, name, n_repeats, rng) for name in some]
        together = fitted.score(Block.concat(blocks))
        for name, shuffled in zip(some, np.split(together, len(some)), strict=True):
            rises = [error(target, part) - base for part in np.split(shuffled, n_repeats)]
            found.append(Importance(name, float(np.mean(rises)), float(np.std(rises))))
    return sorted(found, key=lambda item: -item.mean)


def _shuffled(rows: Table, feature: str, n_repeats: int, rng: np.random.Generator) -> Block:
    """The rows several times, one below the other, each time with the column in another order."""
    block = Block.concat([rows.block] * n_repeats)
    if n_repeats == 1:
        block = Block(block.numbers.copy(), block.categories.copy())
    layout = Layout(rows.spec.contract)
    column: Numbers = rows.column(feature)
    shuffled = np.concatenate([rng.permutation(column) for _ in range(n_repeats)])
    layout.column(block, feature)[:] = shuffled
    return block
