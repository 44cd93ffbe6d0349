"""How often the next version answers otherwise than the one that answers now.

Shadow puts out or holds a candidate that does so more often than is tolerated. One that learned a
world that has changed must do so, and here both versions are at hand.
"""

from dataclasses import dataclass

import numpy as np

from serve_app.bundle.loading import load
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.store import Store
from serve_app.commands.diff.scoring import score_both
from serve_app.contract import ModelSpec
from serve_app.contract.block import has_failed
from serve_app.errors import BundleError
from serve_app.settings import Guardrails
from serve_app.statistics.disagreement import Comparison
from serve_app.statistics.intervals import wilson
from serve_app.statistics.score_bins import with_half_widths
from training.bundling import Written
from training.table import Table

# Older rows say less of what shadow will see.
MOST_ROWS = 2_000
# What is written is a multiple of so many percent.
ROUND_PERCENT = 10
DEFAULT_PERCENT = Guardrails().max_disagreement_percent


@dataclass(frozen=True)
class AgainstStable:
    """Of `n_rows` rows that stable could score, `n_otherwise` get another answer.

    `fault` says why nobody knows; it is empty where there are rows.
    """

    n_rows: int = 0
    n_otherwise: int = 0
    fault: str = ""

    @property
    def percent(self) -> float:
        """The share of rows that get another answer."""
        return 100 * self.n_otherwise / self.n_rows

    @property
    def interval_percent(self) -> tuple[float, float]:
        """The 95 % interval of that."""
        low, high = wilson(self.n_otherwise, self.n_rows)
        return 100 * low, 100 * high

    @property
    def tolerated_percent(self) -> int | None:
        """What a rollout has to tolerate: a round number above the upper bound, 100 at most.

        None where the default is enough, and where nothing is known.
        """
        if self.fault:
            return None
        _, high = self.interval_percent
        if high <= DEFAULT_PERCENT:
            return None
        return min(100, (int(high // ROUND_PERCENT) + 1) * ROUND_PERCENT)


def against_stable(
    store: Store,
    spec: ModelSpec,
    stable: str,
    written: Written,
    holdout: Table,
    pin: str | None = None,
) -> AgainstStable:
    """Score the newest rows of a hold-out by both versions, which the store has.

    The hold-out is in the order of time, and `pin` is stable's. Never raises BundleError: `fault`
    says it.
    """
    try:
        before = load(store, spec, stable, pin)
        after = load(store, spec, written.manifest.version, pin=written.manifest_sha256)
    except BundleError as error:
        return AgainstStable(fault=str(error))
    return compared(spec, before, after, newest(holdout))


def newest(rows: Table) -> Table:
    """The last rows, as many as are looked at."""
    return rows.take(np.arange(max(0, len(rows) - MOST_ROWS), len(rows)))


def compared(
    spec: ModelSpec, stable: Predictor, candidate: Predictor, rows: Table
) -> AgainstStable:
    """Count where two versions disagree, exactly as the judge of a rollout counts it."""
    comparison = Comparison.of(
        spec, with_half_widths(stable.manifest), candidate.manifest.parameters
    )
    if not comparison.has_limit:
        return AgainstStable(fault="stable's bundle has no interval to be outside of")
    scored = score_both((rows.values(i) for i in range(len(rows))), stable, candidate)
    n_rows = int((~has_failed(scored.stable)).sum())
    if not n_rows:
        return AgainstStable(fault="stable could score none of the rows that were held out")
    n_otherwise = int(comparison.disagree(scored.stable, scored.candidate).sum())
    return AgainstStable(n_rows, n_otherwise)
