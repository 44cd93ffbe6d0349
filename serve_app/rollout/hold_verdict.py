"""What a person must look at before a candidate goes on, in the order in which it is told.

Pure functions of the evidence and the plan. Each reason has a cause, a person accepts it by
resuming, and then the next one is looked at.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from serve_app.rollout.counts import ARMS, Arm
from serve_app.rollout.evidence import Phase, Record
from serve_app.rollout.facts import Verdict
from serve_app.rollout.seen_slices import SeenSlice
from serve_app.rollout.trials import error_trials
from serve_app.settings import Rollout
from serve_app.statistics.bins import Name
from serve_app.statistics.intervals import SURE_Z, wilson
from serve_app.statistics.sequential_test import Trials, attempt_share, log_e
from serve_app.statistics.times import EDGES_MS, Times, bar_ms, is_beyond

# A candidate's 95th percentile below this part of `slow_ms` holds nothing: what is far from slow is
# nobody's harm, and an isolated candidate takes some milliseconds where one in the server takes
# none.
FLOOR_OF_SLOW = 0.5
# How often equal candidates are held by any slice, at most.
SLICE_ALPHA = 0.005
# In one sentence of a hold.
MOST_REASONS = 4
# Below this share of bad requests a ratio to stable's means nothing.
TOLERATED_SHARE = 0.001
# At 100 % and while baking: this many times what stable did before, and never less than this share.
BAKE_RATIO = 2.0
BAKE_SHARE = 0.01


def held_by(
    holds: Iterable[tuple[str, str]], numbers: Mapping[str, float], accepted: Collection[str]
) -> Verdict | None:
    """Return a hold with all reasons; its cause is the first, after which the next holds.

    `holds` are (cause, reason), the worst first; a person has `accepted` these causes.
    """
    open_ones = [(cause, reason) for cause, reason in holds if cause not in accepted]
    if not open_ones:
        return None
    reasons = [reason for _, reason in open_ones[:MOST_REASONS]]
    return Verdict("hold", f"{'; '.join(reasons)}; a person decides", numbers, open_ones[0][0])


@dataclass(frozen=True)
class Failing:
    """A slice in which the candidate fails more than is tolerated, by more than chance."""

    name: Name
    seen: SeenSlice

    @property
    def cause(self) -> str:
        """Return the word for what a person accepts."""
        return f"slice {self.name[0]}: {self.name[1]}"

    @property
    def reason(self) -> str:
        """Return field, slice, and the numbers of both versions."""
        feature, label = self.name
        bad = " and ".join(f"{self._of(arm)} of {_named(arm)}" for arm in reversed(ARMS))
        return f"bad answers where {feature} is {label}: {bad}"

    def _of(self, arm: Arm) -> str:
        seen = self.seen
        n_counted = seen.n_bad_keys(arm)
        return f"{seen.bad[arm]} of {seen.requests[arm]} requests ({n_counted} keys or stops)"


def latency(record: Record, phase: Phase, plan: Rollout) -> str:
    """Say by how much the candidate's 95th percentile is beyond stable's; empty: it is not."""
    stable = stable_times(record, phase)
    candidate = phase.times["candidate"]
    ratio = plan.guardrails.max_p95_ratio
    floor_ms = FLOOR_OF_SLOW * plan.guardrails.slow_ms
    limit_ms = bar_ms(stable, ratio, floor_ms)
    if limit_ms is None or not is_beyond(candidate, limit_ms):
        return ""
    return (
        f"answers take longer: p95 {shown_ms(candidate)} of the candidate, {shown_ms(stable)} of "
        f"stable; tolerated: up to {limit_ms:.3g} ms, which is {ratio:g} times the most that "
        f"stable's can be, or half of slow_ms ({floor_ms:g} ms)"
    )


def slow_answers(record: Record, phase: Phase, plan: Rollout) -> str:
    """Say by how much more often the candidate is slow than stable; empty: it is not.

    The guardrail of slow answers counts those of two seconds once, since a stop is one event; this
    counts them all, by bounds that a stop makes wider. Times are kept in bins, so that slow is here
    what takes longer than the first edge that is no shorter than `slow_ms`.
    """
    place = bisect_left(EDGES_MS, plan.guardrails.slow_ms)
    if place >= len(EDGES_MS):
        return ""
    stable = stable_times(record, phase)
    candidate = phase.times["candidate"]
    low, _ = candidate.bounds(place)
    _, high = stable.bounds(place)
    if low <= max(TOLERATED_SHARE, plan.guardrails.max_slow_ratio * high):
        return ""
    return (
        f"slow answers: {_shown_above(candidate, place)} of the candidate's and "
        f"{_shown_above(stable, place)} of stable's take more than {EDGES_MS[place]:.3g} ms"
    )


def _shown_above(times: Times, place: int) -> str:
    return f"{int(times.above[place])} of {times.n_times}"


def stable_times(record: Record, phase: Phase) -> Times:
    """Return what stable's answers take in this phase; at 100 % what they took before."""
    if phase.percent < 100:
        return phase.times["stable"]
    total = Times()
    for before in record.phases.values():
        if before.percent < 100:
            total += before.times["stable"]
    return total


def shown_ms(times: Times) -> str:
    """Write a 95th percentile."""
    p95_ms = times.p95_ms
    return "unknown" if p95_ms is None else f"{p95_ms:.3g} ms"


def failing_slices(record: Record, phase: Phase, plan: Rollout) -> Iterator[Failing]:
    """Yield the slices in which the candidate fails more than stable, beyond chance.

    Before 100 % keys are compared as those of the rail of errors are, since the rollout began: a
    key counts once in a slice, and what a process does wrong is one incident. The bound is shared
    over the slices. At 100 % it is what stable did before.
    """
    found: dict[Name, SeenSlice] = {}
    for one in record.phases.values():
        if one.percent < 100:
            for name, seen in one.slices.items():
                found.setdefault(name, SeenSlice()).add(seen)
    if phase.percent == 100:
        yield from _since_100(found, phase)
        return
    if not found:
        return
    bound = -math.log(SLICE_ALPHA * attempt_share(record.restarts) / len(found))
    for name, seen in found.items():
        if _is_rare(seen):
            continue
        trials: list[Trials] = []
        for one in record.phases.values():
            part = one.slices.get(name)
            if part is not None:
                ratio = plan.guardrails.max_error_ratio
                trials += error_trials(part.n_keys, part.n_incidents, one.percent, ratio)
        # An e-value is at most what its hits alone say, which is cheap to look at first.
        most = sum(one.hits * math.log1p(1 / one.odds) for one in trials)
        if most >= bound and log_e(trials) >= bound:
            yield Failing(name, seen)


def _since_100(before: dict[Name, SeenSlice], phase: Phase) -> Iterator[Failing]:
    for name, now in phase.slices.items():
        was = before.get(name)
        if was is None or not was.requests["stable"] or not now.requests["candidate"]:
            continue
        low, _ = wilson(now.n_bad_keys("candidate"), now.requests["candidate"], SURE_Z)
        _, high = wilson(was.n_bad_keys("stable"), was.requests["stable"], SURE_Z)
        if low > max(BAKE_SHARE, BAKE_RATIO * high):
            yield Failing(name, _side_by_side(was, now))


def _side_by_side(was: SeenSlice, now: SeenSlice) -> SeenSlice:
    """Return what stable did before, and the candidate does now."""
    return SeenSlice(
        {**now.requests, "stable": was.requests["stable"]},
        {**now.bad, "stable": was.bad["stable"]},
        {**now.n_keys, "stable": was.n_keys["stable"]},
        {**now.n_incidents, "stable": was.n_incidents["stable"]},
    )


def _is_rare(seen: SeenSlice) -> bool:
    """Tell whether the candidate fails hardly a request of a slice."""
    n_requests = seen.requests["candidate"]
    if not n_requests:
        return True
    low, _ = wilson(seen.bad["candidate"], n_requests, SURE_Z)
    return low <= TOLERATED_SHARE


def _named(arm: Arm) -> str:
    return "stable" if arm == "stable" else "the candidate"
