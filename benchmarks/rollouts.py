"""Canary rollouts simulated: which keys turn bad in which second, on whose side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counted = Literal["keys", "requests"]
Share = Literal["assigned", "of keys", "of requests"]

RATE_PER_S = 100.0
MIN_SECONDS = 300.0
MIN_REQUESTS = 300.0
MAX_SECONDS = 3600.0
# Percent; the shadow before and 100 % after them compare nothing.
STEPS = (1.0, 5.0, 25.0, 50.0)


@dataclass(frozen=True)
class Events:
    """What is counted in one step of many rollouts, in order of time.

    `at_s` (n_rollouts, n_events) is infinite where a rollout has fewer events. `hits` has the same
    shape and says whether it was the candidate's. `share` is the candidate's share as the judge is
    told it: one number, or one at each event.
    """

    at_s: Floats
    hits: Flags
    share: float | Floats


@dataclass(frozen=True)
class Step:
    """One step of many rollouts: what is counted since the step, and since the rollout began."""

    step: Events
    rollout: Events


def even_keys(
    rng: np.random.Generator,
    n: int,
    error: float,
    ratio: float,
    weights: Sequence[float] = STEPS,
    length_s: float = 0,
) -> list[Step]:
    """Simulate rollouts in which every request has a key of its own.

    A share `error` of stable's requests is bad, and `ratio` times that of the candidate's.
    """
    steps = []
    for share in (weight / 100 for weight in weights):
        length = length_s or max(MIN_SECONDS, MIN_REQUESTS / (RATE_PER_S * share))
        counts = rng.poisson(RATE_PER_S * length * error * (1 - share + ratio * share), n)
        at_s = np.sort(_padded(rng.uniform(0, length, (n, int(counts.max()))), counts))
        hits = rng.random(at_s.shape) < ratio * share / (ratio * share + 1 - share)
        events = Events(at_s, hits, share)
        steps.append(Step(events, events))
    return steps


def zipf_keys(
    rng: np.random.Generator,
    n: int,
    error: float,
    ratio: float,
    counted: Counted = "keys",
    told: Share = "assigned",
    n_keys: int = 500,
) -> list[Step]:
    """Simulate rollouts in which key k has 1/k of the first key's requests.

    Each key has a share of bad requests of its own: Beta(0.5, ·) with mean `error`. A step lasts
    until the candidate has had MIN_REQUESTS, as in a real plan.
    """
    zipf = 1 / np.arange(1, n_keys + 1)
    traffic = np.broadcast_to(RATE_PER_S * zipf / zipf.sum(), (n, n_keys))
    errors = rng.beta(0.5, 0.5 * (1 - error) / error, (n, n_keys))
    position = rng.uniform(0, 100, (n, n_keys))
    # Not bad so far.
    new = np.ones((n, n_keys), bool)
    steps = []
    for weight in STEPS:
        hits = position < weight
        bad = np.minimum(1, errors * np.where(hits, ratio, 1))
        requests = (traffic * hits).sum(1, keepdims=True)
        length_s = np.clip(MIN_REQUESTS / np.maximum(1e-9, requests), MIN_SECONDS, MAX_SECONDS)
        if counted == "requests":
            events = _bad_requests(rng, traffic * bad, hits, length_s, weight / 100)
            steps.append(Step(events, events))
            continue
        seen_s = rng.exponential(1 / traffic)
        waits_s = np.where(
            rng.random(bad.shape) < bad, 0, rng.exponential(1 / np.maximum(1e-12, traffic * bad))
        )
        bad_s = seen_s + waits_s
        bad_s[bad_s > length_s] = np.inf
        both = []
        for at_s in (bad_s, np.where(new, bad_s, np.inf)):
            order = np.argsort(at_s, axis=1)
            sorted_s = np.take_along_axis(at_s, order, 1)
            ours = np.take_along_axis(hits, order, 1)
            if told == "of keys":
                share: float | Floats = _share_of_keys(seen_s, hits, sorted_s)
            elif told == "of requests":
                share = requests / RATE_PER_S
            else:
                share = weight / 100
            both.append(Events(sorted_s, ours, share))
        steps.append(Step(*both))
        new &= np.isinf(bad_s)
    return steps


def _padded(at_s: Floats, counts: NDArray[np.int64]) -> Floats:
    return np.where(np.arange(at_s.shape[1]) < counts[:, None], at_s, np.inf)


def _bad_requests(
    rng: np.random.Generator, bad_per_s: Floats, hits: Flags, length_s: Floats, share: float
) -> Events:
    """Every bad request, however many of one key."""
    totals = bad_per_s.sum(1, keepdims=True)
    counts = rng.poisson(totals * length_s)[:, 0]
    at_s = np.sort(_padded(rng.uniform(0, length_s, (len(counts), int(counts.max()))), counts))
    return Events(
        at_s, rng.random(at_s.shape) < (bad_per_s * hits).sum(1, keepdims=True) / totals, share
    )


def _share_of_keys(seen_s: Floats, hits: Flags, at_s: Floats) -> Floats:
    """The candidate's share of the keys that were seen by each moment: (n_rollouts, n_events)."""
    shares = np.empty_like(at_s)
    for row in range(len(at_s)):
        of_candidate = np.searchsorted(np.sort(seen_s[row, hits[row]]), at_s[row], "right")
        shares[row] = of_candidate / np.searchsorted(np.sort(seen_s[row]), at_s[row], "right")
    return shares
