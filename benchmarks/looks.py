"""A judge that looks at simulated rollouts at the end of every second.

It is serve_app.statistics.sequential_test over arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.rollouts import Events, Floats, Step
from serve_app.statistics.sequential_test import PRIOR, Rail, limit

# As shipped.
ALPHA = 0.01
MAX_RATIO = 1.5
# With the shadow the plan has five steps before 100 %.
N_STEPS = 5
# (n_grid,) each.
LOG_M, LOG_WEIGHT = np.array(PRIOR).T


@dataclass(frozen=True)
class Aborted:
    """Where and when the judge ended each rollout.

    `at_s` counts from the beginning of the step. Where the judge did not end it, the step is -1 and
    the time infinite.
    """

    step: NDArray[np.int64]
    at_s: Floats

    @property
    def share(self) -> float:
        """How many of all were aborted."""
        return float((self.step >= 0).mean())


def abort(
    steps: Sequence[Step],
    max_ratio: float = MAX_RATIO,
    *,
    alpha: float = ALPHA,
    n_steps: int = N_STEPS,
    rail: Rail = "errors",
) -> Aborted:
    """Find the first look at which the rail's evidence is beyond one of its limits.

    There is one look at the end of each second.
    """
    n = len(steps[0].step.at_s)
    before = np.zeros((n, len(LOG_M)))
    found = np.full(n, -1)
    found_s = np.full(n, np.inf)
    limits = [limit(rail, since, alpha=alpha, n_steps=n_steps) for since in ("step", "rollout")]
    for number, step in enumerate(steps):
        crossed = (
            _crossing(step.step, max_ratio, limits[0]),
            _crossing(step.rollout, max_ratio, limits[1], before),
        )
        at_s = np.minimum(*crossed)
        first = (found < 0) & np.isfinite(at_s)
        found[first] = number
        found_s[first] = at_s[first]
        ours = step.rollout
        seen = np.isfinite(ours.at_s)
        told = ours.share if isinstance(ours.share, float) else ours.share[:, -1:]
        before += log_terms((seen & ours.hits).sum(1), seen.sum(1), _odds(told, max_ratio))
    return Aborted(found, found_s)


def _crossing(
    events: Events, max_ratio: float, bound: float, before: Floats | None = None
) -> Floats:
    """When log_e reaches its limit at the end of a second; infinite where it never does.

    It rises only in seconds with a hit.
    """
    look_s = np.ceil(events.at_s)
    hits = events.hits.cumsum(1)
    last = np.ones_like(events.hits)
    last[:, :-1] = look_s[:, 1:] > look_s[:, :-1]
    known = np.zeros_like(hits)
    known[:, 1:] = np.maximum.accumulate(np.where(last, hits, 0), axis=1)[:, :-1]
    rows, columns = np.nonzero(last & np.isfinite(look_s) & (hits > known))
    found_s = np.full(len(look_s), np.inf)
    for part in np.array_split(np.arange(len(rows)), len(rows) // 20_000 + 1):
        row = rows[part]
        column = columns[part]
        told = events.share
        if not isinstance(told, float):
            told = np.broadcast_to(told, look_s.shape)[row, column][:, None]
        terms = log_terms(hits[row, column], column + 1, _odds(told, max_ratio))
        reached = log_sum(terms if before is None else terms + before[row]) >= bound
        np.minimum.at(found_s, row[reached], look_s[row, column][reached])
    return found_s


def _odds(share: float | Floats, max_ratio: float) -> float | Floats:
    kept = np.clip(share, 1e-9, 1 - 1e-9)
    odds: float | Floats = max_ratio * kept / (1 - kept)
    return odds


def log_terms(hits: NDArray[np.int64], n: NDArray[np.int64], odds: float | Floats) -> Floats:
    """Compute sequential_test.log_e over arrays, before its sum: (n_looks, n_grid).

    A test compares the two.
    """
    terms: Floats = hits[:, None] * LOG_M - n[:, None] * (
        np.log1p(odds * np.exp(LOG_M)) - np.log1p(odds)
    )
    return terms


def log_sum(terms: Floats) -> Floats:
    """Sum sequential_test.log_e over its grid: (n_looks,)."""
    logs = terms + LOG_WEIGHT
    top = logs.max(1, keepdims=True)
    summed: Floats = top[:, 0] + np.log(np.exp(logs - top).sum(1))
    return summed
