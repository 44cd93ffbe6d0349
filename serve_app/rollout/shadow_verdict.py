"""What the judge says of a shadow: pure functions of what both versions said of the same rows."""

import math
from collections.abc import Collection, Iterator, Mapping

from serve_app.rollout.counts import Slice
from serve_app.rollout.evidence import Phase, requests_of
from serve_app.rollout.facts import Verdict
from serve_app.rollout.hold_verdict import held_by
from serve_app.settings import Rollout
from serve_app.statistics.intervals import wilson
from serve_app.statistics.slicing import MIN_ROWS

# After it was asked for this many times `min_requests` requests, a person decides.
UNDECIDED_FACTOR = 10
# The cause of a hold then.
UNDECIDED = "shadow"
# What a person must see before the candidate goes on.
MIN_COMPARED_ROWS = 200
LEAST_CORRELATION = 0.5
MOST_SHIFT = 0.1
SHIFT_NOISES = 4.0
MOST_MISSED_SHARE = 0.2
N_WORST = 5


def of_shadow(
    phase: Phase, plan: Rollout, numbers: Mapping[str, float], accepted: Collection[str] = ()
) -> Verdict:
    """Judge shadow: it passes when no more disagree than is tolerated, by the upper 95 % bound.

    A person has `accepted` these causes of a hold.
    """
    held = held_by(_differences(phase, plan), numbers, accepted)
    if held is not None:
        return held
    found = "no row was scored by both versions yet"
    high_percent = math.inf
    if phase.n_pairs:
        low, high = wilson(phase.n_disagree, phase.n_pairs)
        high_percent = 100 * high
        found = (
            f"{phase.n_disagree} of {phase.n_pairs} keys disagree, "
            f"{100 * low:.1f} to {high_percent:.1f} %"
        )
    most_percent = plan.guardrails.max_disagreement_percent
    if high_percent <= most_percent:
        return Verdict("pass", f"{found}; tolerated: up to {most_percent:g} %", numbers)
    _, n_asked = requests_of(phase)
    if n_asked >= UNDECIDED_FACTOR * plan.min_requests:
        reason = f"{found}, neither within nor beyond {most_percent:g} % after {n_asked} requests"
        if UNDECIDED in accepted:
            return Verdict("pass", f"{reason}; a person has accepted it", numbers)
        return Verdict("hold", f"{reason}; a person decides", numbers, UNDECIDED)
    reason = f"{found}; passes when the upper bound is within {most_percent:g} %"
    return Verdict("wait", reason, numbers)


def _differences(phase: Phase, plan: Rollout) -> Iterator[tuple[str, str]]:
    """Yield (cause, reason) of all in which the scores go together less than a good candidate's.

    Labels alone do not show it: a constant may keep most of them.
    """
    shadowed = phase.shadowed
    _, n_asked = requests_of(phase)
    if shadowed.n_missed > MOST_MISSED_SHARE * n_asked:
        yield "late", f"{shadowed.n_missed} of {n_asked} requests it did not answer in time"
    agreement = shadowed.agreement
    if agreement.n_rows < MIN_COMPARED_ROWS:
        return
    correlation = agreement.rank_correlation()
    if correlation is not None and correlation < LEAST_CORRELATION:
        reason = (
            f"the order of the rows is another one: rank correlation {correlation:.2f} of "
            f"{agreement.n_rows} rows, expected {LEAST_CORRELATION} or more"
        )
        yield "order", reason
    shift = agreement.mean_difference
    is_beyond_noise = abs(shift) > SHIFT_NOISES * agreement.noise
    if is_beyond_noise and abs(shift) > MOST_SHIFT * agreement.spread > 0:
        reason = (
            f"the scores are shifted by {shift:+.4g} in the mean of {agreement.n_rows} rows, more "
            f"than a tenth of their spread ({agreement.spread:.4g})"
        )
        yield "shift", reason
    yield from _different_slices(phase, plan)


def _different_slices(phase: Phase, plan: Rollout) -> Iterator[tuple[str, str]]:
    most_percent = plan.guardrails.max_disagreement_percent
    for feature, label, part in worst_slices(phase):
        low, _ = wilson(part.n_disagree, part.n_rows)
        if 100 * low > most_percent:
            reason = (
                f"{part.n_disagree} of {part.n_rows} rows disagree where {feature} is {label}, "
                f"more than {most_percent:g} %"
            )
            # Not the cause of a slice that fails: who accepts this one has not seen that.
            yield f"disagreement in {feature}: {label}", reason


def worst_slices(phase: Phase) -> list[tuple[str, str, Slice]]:
    """Return (feature, bin, counts) of the slices where the versions disagree most, worst first.

    They are ranked by the lower 95 % bound of the share of rows that disagree, which must be above
    the share over all rows.
    """
    whole = phase.shadowed.whole
    overall = whole.n_disagree / whole.n_rows if whole.n_rows else 0.0
    worst = []
    for (feature, label), part in phase.shadowed.slices.items():
        if part.n_rows < MIN_ROWS or not part.n_disagree:
            continue
        low, _ = wilson(part.n_disagree, part.n_rows)
        if low > overall:
            worst.append((low, (feature, label, part)))
    worst.sort(key=lambda ranked: ranked[0], reverse=True)
    return [found for _, found in worst[:N_WORST]]
