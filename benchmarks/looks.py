"""A judge that looks at simulated rollouts at the end of every second: serve_app.statistics.sequential_test over arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.rollouts import Events, Floats, Step
from serve_app.statistics.sequential_test import PRIOR, Rail, limit

ALPHA, MAX_RATIO, N_STEPS = (
    0.01,
    1.5,
    5,
)  # as shipped; with the shadow the plan has five steps before 100 %
LOG_M, LOG_WEIGHT = np.array(PRIOR).T  # (n_grid,) each


@dataclass(frozen=True)
class Aborted:
    """Where and when each rollout was ended by the judge: step -1 and an infinite time where it was not."""

    step: NDArray[np.int64]
    at_s: Floats  # since that step began

    @property
    def share(self) -> float:
        """How many were aborted, of all."""
        return float((self.step >= 0).mean())


def abort(
    steps: Sequence[Step],
    max_ratio: float = MAX_RATIO,
    *,
    alpha: float = ALPHA,
    n_steps: int = N_STEPS,
    rail: Rail = "errors",
) -> Aborted:
    """The first look, one at the end of each second, at which the rail's evidence is beyond one of its limits."""
    n = len(steps[0].step.at_s)
    before = np.zeros((n, len(LOG_M)))
    found, found_s = np.full(n, -1), np.full(n, np.inf)
    limits = [limit(rail, since, alpha=alpha, n_steps=n_steps) for since in ("step", "rollout")]
    for number, step in enumerate(steps):
        crossed = (
            _crossing(step.step, max_ratio, limits[0]),
            _crossing(step.rollout, max_ratio, limits[1], before),
        )
        at_s = np.minimum(*crossed)
        first = (found < 0) & np.isfinite(at_s)
        found[first], found_s[first] = number, at_s[first]
        ours = step.rollout
        seen = np.isfinite(ours.at_s)
        told = ours.share if isinstance(ours.share, float) else ours.share[:, -1:]
        before += log_terms((seen & ours.hits).sum(1), seen.sum(1), _odds(told, max_ratio))
    return Aborted(found, found_s)


def _crossing(
    events: Events, max_ratio: float, bound: float, before: Floats | None = None
) -> Floats:
    """When log_e reaches its limit at the end of a second; infinite: never. It rises in seconds with a hit only."""
    look_s, hits = np.ceil(events.at_s), events.hits.cumsum(1)
    last = np.ones_like(events.hits)
    last[:, :-1] = look_s[:, 1:] > look_s[:, :-1]
    known = np.zeros_like(hits)
    known[:, 1:] = np.maximum.accumulate(np.where(last, hits, 0), axis=1)[:, :-1]
    rows, columns = np.nonzero(last & np.isfinite(look_s) & (hits > known))
    found_s = np.full(len(look_s), np.inf)
    for part in np.array_split(np.arange(len(rows)), len(rows) // 20_000 + 1):
        row, column = rows[part], columns[part]
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
    """guard.log_e over arrays, before its sum: (n_looks, n_grid). A test compares the two."""
    terms: Floats = hits[:, None] * LOG_M - n[:, None] * (
        np.log1p(odds * np.exp(LOG_M)) - np.log1p(odds)
    )
    return terms


def log_sum(terms: Floats) -> Floats:
    """The sum of guard.log_e over its grid: (n_looks,)."""
    logs = terms + LOG_WEIGHT
    top = logs.max(1, keepdims=True)
    summed: Floats = top[:, 0] + np.log(np.exp(logs - top).sum(1))
    return summed
