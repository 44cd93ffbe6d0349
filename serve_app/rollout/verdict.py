"""What the judge says of a phase: pure functions of the evidence, the plan and the time.

Some rails compare keys, by the sequential test; they need many keys. Others need no comparison: a
candidate that fails most of its requests for ten seconds is out, however few keys there are.
"""

from collections.abc import Collection, Iterator, Mapping

from serve_app.rollout.counts import Arm
from serve_app.rollout.evidence import RAILS, Phase, Record
from serve_app.rollout.facts import Verdict
from serve_app.rollout.fault import WORDS
from serve_app.rollout.few_keys import n_judged_steps
from serve_app.rollout.hold_verdict import (
    BAKE_RATIO,
    BAKE_SHARE,
    TOLERATED_SHARE,
    failing_slices,
    held_by,
    latency,
    slow_answers,
)
from serve_app.rollout.label_verdict import CAUSE, better_on_labels, label_numbers, worse_on_labels
from serve_app.rollout.numbers import evidence_numbers
from serve_app.rollout.recent import KEPT_S, LAST_S, STABLE_SHARE, Seen
from serve_app.rollout.score_verdict import score_holds
from serve_app.rollout.shadow_verdict import of_shadow
from serve_app.rollout.trials import trials_of
from serve_app.settings import Rollout
from serve_app.statistics.clumps import is_more
from serve_app.statistics.intervals import SURE_Z, surprise, wilson
from serve_app.statistics.sequential_test import Evidence, Finding, Judgement, judge

# Two stops of five seconds make more of a minute bad, and one makes less.
HARMFUL_SHARE = 0.1
# A rail without an alpha is looked at twice a second for as long as a step lasts, so that chance
# must explain a look in less than one of a million: -ln of that.
SURPRISE = 13.8


def verdict(
    record: Record, number: int, plan: Rollout, now_s: float, accepted: Collection[str] = ()
) -> Verdict:
    """Return what is known of a candidate in this phase.

    It is cheap enough to be asked at each look. `now_s` is of the clock that the record was told;
    a person has `accepted` these causes of a hold.
    """
    phase = record.phases[number]
    judgement = judged(record, number, plan)
    numbers = evidence_numbers(record, phase, judgement) | label_numbers(record)
    failing = record.recent.failing(now_s)
    if failing is not None and not _is_excused(failing, record, phase, now_s):
        return Verdict("fail", _failing_reason(failing, phase), numbers, "failing")
    # Where only one version is in the server, stops of their processes prove nothing.
    proof = judged(record, number, plan, with_stops=False) if record.is_mixed else judgement
    failed = _failed(proof, phase)
    if failed is not None:
        return Verdict("fail", _rail_reason(failed, phase), numbers, failed.rail)
    worse = worse_on_labels(record, plan)
    if worse:
        return Verdict("fail", worse, numbers, CAUSE)
    if phase.share == "shadow":
        return of_shadow(phase, plan, numbers, accepted)
    if phase.percent == 100:
        return _of_all_traffic(record, phase, plan, now_s, numbers, accepted)
    if failing is not None:
        reason = (
            f"many bad answers, but stable's may be as many, so that nothing can be said: "
            f"{_shares(failing)}"
        )
        return Verdict("wait", reason, numbers)
    doubted = _failed(judgement, phase)
    return _at_the_end_of_a_step(record, phase, plan, doubted, numbers, accepted)


def judged(record: Record, number: int, plan: Rollout, *, with_stops: bool = True) -> Judgement:
    """Compare every guardrail with its limits, since this phase began and since the run did."""
    phase = record.phases[number]
    guardrails = plan.guardrails
    evidence = []
    for rail in RAILS:
        in_step = trials_of(rail, phase.counted, phase.percent, guardrails, with_stops=with_stops)
        in_rollout = [
            trials
            for one in record.phases.values()
            for trials in trials_of(rail, one.first, one.percent, guardrails, with_stops=with_stops)
        ]
        evidence.append(Evidence(rail, in_step, tuple(in_rollout)))
    n_steps = n_judged_steps(plan)
    return judge(evidence, alpha=guardrails.alpha, n_steps=n_steps, restarts=record.restarts)


def _is_excused(seen: Seen, record: Record, phase: Phase, now_s: float) -> bool:
    """Tell whether stable fails too, or may, so that nothing is said of the candidate.

    At 100 % only where it is broken when it is asked in the candidate's place: that it is late or
    full there may be for its few replicas, and it gets more when it is back.
    """
    if phase.percent == 100:
        return seen.is_stable_broken
    if seen.stable_share >= STABLE_SHARE:
        return True
    # Of ten requests five are bad by chance once in an hour, where a fifth of all are.
    # Where few requests come, more of them are in ten minutes.
    longer = [record.recent.between(now_s - passed_s, now_s) for passed_s in (LAST_S, KEPT_S)]
    return not any(_is_surely_worse(one) for one in (seen, *longer))


def _is_surely_worse(seen: Seen) -> bool:
    """Tell whether the candidate fails more than stable may, whenever it is asked."""
    n_requests = seen.requests["candidate"]
    return surprise(seen.bad["candidate"], n_requests, _most_of_stable(seen)) >= SURPRISE


def _failed(judgement: Judgement, phase: Phase) -> Finding | None:
    """Return the guardrail that the candidate broke.

    Not that of errors while hardly a request of it is bad in this phase: one late answer in 20,000
    is no harm, even if stable has none. What was tolerated in the steps before is so until a
    request of this one says more.
    """
    total = phase.total
    n_requests = total.requests["candidate"]
    # It is asked at each look, so that it must be sure.
    low = wilson(total.bad["candidate"], n_requests, SURE_Z)[0] if n_requests else 0.0
    if low > TOLERATED_SHARE:
        return judgement.failed
    return Judgement(tuple(f for f in judgement.findings if f.rail != "errors")).failed


def _of_all_traffic(
    record: Record,
    phase: Phase,
    plan: Rollout,
    now_s: float,
    numbers: Mapping[str, float],
    accepted: Collection[str],
) -> Verdict:
    """Judge a candidate that answers everybody by what stable did before.

    It passes when the last minute was sound: nobody is told to make it stable while it fails. A
    hold lets it bake on: a person puts it out, or makes it stable all the same. Of stable that was
    hardly seen before nobody knows what it fails, so that the candidate is not out for failing
    more.
    """
    before = record.stable_before()
    most = _tolerated(_most_of_stable(before))
    since = f"since {_of_stable(before)} were bad before"
    faults = _faults(phase, "candidate")
    worse = _worse_than_before(record, now_s, most)
    if worse:
        reason = (
            f"bad answers: {worse}; tolerated: up to {100 * most:.1f} % of them, {since} ({faults})"
        )
        return Verdict("fail", reason, numbers, "worse than before")
    last = record.recent.between(now_s - LAST_S, now_s)
    limit = _tolerated(before.stable_share)
    if last.candidate_share > limit:
        reason = (
            f"bad answers: {_of_candidate(last)} in the last minute; it is "
            f"done with {100 * limit:.1f} % or less, {since} ({faults})"
        )
        return Verdict("wait", reason, numbers)
    held = held_by(_against_stable(record, phase, plan), numbers, accepted)
    return held or Verdict("pass", "no more bad answers than stable gave before", numbers)


def _worse_than_before(record: Record, now_s: float, most_share: float) -> str:
    """Say what the candidate fails of all traffic beyond this share, and for how long; empty: not.

    Nothing is said where stable fails as well when it is asked in its place.
    """
    above = record.recent.above(now_s, most_share)
    if above is not None and not above.is_stable_broken:
        return f"{_of_candidate(above)} in the last half minute, in {above.n_incidents} incidents"
    lasting = record.recent.lasting(now_s, most_share)
    if lasting is not None and not lasting.is_stable_broken:
        return (
            f"{_of_candidate(lasting)} in the last minute, a quarter or more "
            "in each ten seconds of it"
        )
    return ""


def _tolerated(stable_share: float) -> float:
    return max(BAKE_SHARE, BAKE_RATIO * stable_share)


def _most_of_stable(before: Seen) -> float:
    """Return the most that stable may have failed of all that it was asked: a bound of 95 %."""
    if not before.n_asked_stable:
        return 1.0
    _, high = wilson(before.n_bad_of_stable, before.n_asked_stable)
    return high


def _at_the_end_of_a_step(
    record: Record,
    phase: Phase,
    plan: Rollout,
    doubted: Finding | None,
    numbers: Mapping[str, float],
    accepted: Collection[str],
) -> Verdict:
    """Judge a candidate of which no guardrail has proof; one would, but for where it runs."""
    held = held_by(_holds(record, phase, plan, doubted), numbers, accepted)
    if held is not None:
        return held
    n_slow = phase.counted["slow"]["candidate"]
    reason = (
        f"{phase.requests['candidate']} requests of the candidate within the rails "
        f"(errors: {phase.n_bad_keys('candidate')} keys or stops, slow: {n_slow} series)"
    )
    better = better_on_labels(record, plan)
    if better:
        reason = f"{reason}; {better}"
    return Verdict("pass", reason, numbers)


def _holds(
    record: Record, phase: Phase, plan: Rollout, doubted: Finding | None
) -> Iterator[tuple[str, str]]:
    """Yield (cause, reason) of all that a person must look at after a step, the worst first."""
    if doubted is not None:
        reason = (
            f"{_rail_reason(doubted, phase)}; but one of the two is in the server, where a stop "
            "leaves no late answer"
        )
        yield "stops", reason
    if phase.n_left_out:
        reason = f"{phase.n_left_out} bad keys had no room, so that the judge does not see all"
        yield "too many bad keys", reason
    yield from _against_stable(record, phase, plan)
    total = phase.total
    if _is_worse(phase, plan.guardrails.max_error_ratio):
        reason = (
            f"bad answers: {_of_candidate(total)}, {_of_stable(total)}; the keys do not tell "
            "whether the candidate is the cause"
        )
        yield "rates differ", reason
    yield from score_holds(phase)


def _against_stable(record: Record, phase: Phase, plan: Rollout) -> Iterator[tuple[str, str]]:
    """Yield (cause, reason) of what can be told at 100 % too, by what stable did before."""
    for failing in failing_slices(record, phase, plan):
        yield failing.cause, failing.reason
    for cause, look in (("latency", latency), ("slow answers", slow_answers)):
        reason = look(record, phase, plan)
        if reason:
            yield cause, reason


def _is_worse(phase: Phase, max_ratio: float) -> bool:
    """Tell whether the candidate's share of bad requests is above stable's beyond chance.

    Requests of one key go together, so that this is no proof. In a short step a process that ends
    again and again has stopped a few times only: a tenth of the requests is enough then, if stable
    had fewer.
    """
    clumps = phase.clumps
    if is_more(clumps["candidate"], clumps["stable"], max_ratio, TOLERATED_SHARE):
        return True
    total = phase.total
    if total.candidate_share < HARMFUL_SHARE:
        return False
    low, _ = wilson(total.bad["candidate"], total.requests["candidate"])
    return low > max_ratio * _most_of_stable(total)


def _failing_reason(failing: Seen, phase: Phase) -> str:
    return (
        f"failing: {_of_candidate(failing)} had no valid answer of it in time "
        f"({_faults(phase, 'candidate')}), and {_of_stable(failing)}"
    )


def _rail_reason(failed: Finding, phase: Phase) -> str:
    if failed.rail != "errors":
        return failed.reason
    return f"{failed.reason} (the candidate in this step: {_faults(phase, 'candidate')})"


def _faults(phase: Phase, arm: Arm) -> str:
    """Name what was bad in the phase, most of it first."""
    found = phase.bad[arm].most_common()
    return ", ".join(f"{n_requests} {WORDS[fault]}" for fault, n_requests in found)


def _shares(seen: Seen) -> str:
    return f"{_of_candidate(seen)}, {_of_stable(seen)} are bad"


def _of_candidate(seen: Seen) -> str:
    return f"{seen.bad['candidate']} of {seen.requests['candidate']} requests of the candidate"


def _of_stable(seen: Seen) -> str:
    """Write what stable failed of all that it was asked, by which the candidate is judged."""
    return f"{seen.n_bad_of_stable} of {seen.n_asked_stable} that stable was asked"
