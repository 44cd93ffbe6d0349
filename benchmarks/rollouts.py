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

RATE_PER_S, MIN_SECONDS, MIN_REQUESTS, MAX_SECONDS = 100.0, 300.0, 300.0, 3600.0
STEPS = (1.0, 5.0, 25.0, 50.0)  # percent; the shadow before and 100 % after them compare nothing


@dataclass(frozen=True)
class Events:
    """What is counted in one step of many rollouts, in order of time."""

    at_s: Floats  # (n_rollouts, n_events), infinite where a rollout has fewer
    hits: Flags  # the same shape: whether it was the candidate's
    share: (
        float | Floats
    )  # the candidate's share, as the judge is told it: one number, or one at each event


@dataclass(frozen=True)
class Step:
    """One step of many rollouts: what is counted since the step began, and since the rollout began."""

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
    """Every request has a key of its own. A share `error` of stable's is bad, `ratio` times that of the candidate's."""
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
    """Key k has 1/k of the first key's requests, and a share of bad ones of its own: Beta(0.5, ·) with mean `error`.

    A step lasts until the candidate has had MIN_REQUESTS, as in a real plan.
    """
    zipf = 1 / np.arange(1, n_keys + 1)
    traffic = np.broadcast_to(RATE_PER_S * zipf / zipf.sum(), (n, n_keys))
    errors = rng.beta(0.5, 0.5 * (1 - error) / error, (n, n_keys))
    position = rng.uniform(0, 100, (n, n_keys))
    new = np.ones((n, n_keys), bool)  # not bad so far
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
            at_s, ours = np.take_along_axis(at_s, order, 1), np.take_along_axis(hits, order, 1)
            observed = {"assigned": weight / 100, "of requests": requests / RATE_PER_S}
            share = _share_of_keys(seen_s, hits, at_s) if told == "of keys" else observed[told]
            both.append(Events(at_s, ours, share))
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
