"""What it means that few keys were seen: a key counts once, however many requests it sends.

Nobody keeps a set of all keys. What is known are keys with a bad answer, pairs in shadow, and how
many keys had a good answer in each server.
"""

from serve_app.rollout.counts import ARMS
from serve_app.rollout.evidence import Phase, Record
from serve_app.settings import Guardrails, Rollout
from serve_app.statistics.intervals import Z, wilson
from serve_app.statistics.sequential_test import bad_keys, limit, log_e

# Few: at least so many requests, and so many of them of each key.
MIN_REQUESTS = 100
REQUESTS_PER_KEY = 10
MOST_COUNTED = 10_000


def few_keys(record: Record, number: int, plan: Rollout) -> str:
    """Say what few keys mean for the judge of this phase; nothing where they are not few."""
    phase = record.phases[number]
    if phase.share == "shadow":
        return _in_shadow(phase, plan)
    if not 0 < phase.percent < 100:
        return ""
    needed = fewest_bad_keys(phase.percent, plan, record.restarts)
    n_requests = sum(phase.requests.values())
    # Those with a good answer, which a server counts once.
    n_keys = sum(sum(phase.scores[arm]) for arm in ARMS)
    if n_keys and n_requests >= MIN_REQUESTS and not phase.requests["candidate"]:
        return (
            f"few keys: {n_requests:,} requests of {n_keys:,}, none of which falls to the "
            f"candidate at {phase.percent:g} %; `step` goes on to the next share"
        )
    n_keys = n_bad_keys(phase)
    n_requests = sum(phase.total.bad.values())
    meaning = (
        f"the judge needs {needed} bad ones to find a candidate that does not fail most requests"
    )
    if is_few(n_keys, n_requests) and n_keys < needed:
        return f"few keys: {n_requests:,} bad requests of {n_keys} keys; {meaning}"
    for before in record.phases.values():
        n_pairs = before.n_pairs
        n_scored = before.shadowed.n_requests
        if is_few(n_pairs, n_scored) and n_pairs < REQUESTS_PER_KEY * needed:
            return f"few keys: in shadow {n_scored:,} requests of {n_pairs}; {meaning}"
    return ""


def n_bad_keys(phase: Phase) -> int:
    """Return how many keys had a bad answer of either version in this phase."""
    return len(phase.seen["errors"] | phase.seen["processes"])


def fewest_bad_keys(percent: float, plan: Rollout, restarts: int = 0) -> int:
    """Return how many keys must turn bad before errors put the candidate out, all of them its own.

    `percent` is above 0 and below 100.
    """
    guardrails = plan.guardrails
    bound = limit(
        "errors",
        "rollout",
        alpha=guardrails.alpha,
        n_steps=n_judged_steps(plan),
        restarts=restarts,
    )
    for n_keys in range(1, MOST_COUNTED):
        trials = bad_keys(n_keys, 0, percent, guardrails.max_error_ratio)
        if log_e((trials,)) >= bound:
            return n_keys
    return MOST_COUNTED


def n_judged_steps(plan: Rollout) -> int:
    """Return the steps before 100 %, in which the versions are compared."""
    return max(1, sum(step != 100 for step in plan.steps))


def fewest_pairs(guardrails: Guardrails) -> float:
    """Return the keys that shadow needs where no pair disagrees; infinite: none are enough.

    It is where the upper 95 % bound (Wilson) of no disagreement is what is tolerated.
    """
    tolerated = guardrails.max_disagreement_percent / 100
    if not tolerated:
        return float("inf")
    return Z * Z * (1 - tolerated) / tolerated


def _in_shadow(phase: Phase, plan: Rollout) -> str:
    n_requests = phase.shadowed.n_requests
    if not is_few(phase.n_pairs, n_requests):
        return ""
    most_percent = plan.guardrails.max_disagreement_percent
    _, high = wilson(phase.n_disagree, phase.n_pairs)
    if 100 * high <= most_percent:
        return ""
    return (
        f"few keys: {n_requests:,} requests of {phase.n_pairs}; each is compared once, so that "
        "shadow passes with more keys, or a person promotes"
    )


def is_few(n_keys: int, n_requests: int) -> bool:
    """Tell whether so many requests came of few keys; no key at all says nothing."""
    return n_keys > 0 and n_requests >= max(MIN_REQUESTS, REQUESTS_PER_KEY * n_keys)
