"""What was counted in a phase, as the sequential test wants it."""

from collections.abc import Mapping

from serve_app.rollout.counts import Arm
from serve_app.rollout.incidents import Kind
from serve_app.settings import Guardrails
from serve_app.statistics.sequential_test import Rail, Trials, bad_keys, pairs

# If no disagreement at all were tolerated, a single pair would be proof of anything.
LEAST_TOLERATED_PERCENT = 0.01
# Of the incidents of processes, where both versions have as many.
EVEN_PERCENT = 50.0


def trials_of(
    rail: Rail,
    counted: Mapping[Kind, Mapping[Arm, int]],
    percent: float,
    limits: Guardrails,
    *,
    with_stops: bool = True,
) -> tuple[Trials, ...]:
    """Return what a guardrail counted at one share, by the odds at which it is weighed.

    Without stops it is what needs no process to stop as often as another.
    """
    if rail == "errors":
        n_keys = counted["errors"]
        found = error_trials(n_keys, counted["processes"], percent, limits.max_error_ratio)
        return found if with_stops else found[:1]
    hits = counted[rail]["candidate"]
    others = counted[rail]["stable"]
    if rail == "slow":
        # Mostly the end of a stop, at which all that waited is answered.
        if not with_stops:
            return ()
        return (bad_keys(hits, others, even_percent(percent), limits.max_slow_ratio),)
    tolerated_percent = max(limits.max_disagreement_percent, LEAST_TOLERATED_PERCENT)
    if tolerated_percent >= 100:
        return ()
    return (pairs(hits, hits + others, tolerated_percent),)


def error_trials(
    n_keys: Mapping[Arm, int], n_incidents: Mapping[Arm, int], percent: float, max_ratio: float
) -> tuple[Trials, Trials]:
    """Return keys that the models failed, and incidents of their processes."""
    even = even_percent(percent)
    return (
        bad_keys(n_keys["candidate"], n_keys["stable"], percent, max_ratio),
        bad_keys(n_incidents["candidate"], n_incidents["stable"], even, max_ratio),
    )


def even_percent(percent: float) -> float:
    """Return the share by which incidents of processes are weighed.

    Which version's process stops has nothing to do with keys: one that answers a tenth of them
    stops as often as one that answers the rest. So they are even odds, or more; in shadow, where
    nobody is answered by the candidate, they say nothing.
    """
    return max(EVEN_PERCENT, percent) if percent else 0.0
