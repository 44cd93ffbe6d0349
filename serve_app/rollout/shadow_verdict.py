"""What the judge says of a shadow: pure functions of what both versions said of the same rows."""

from collections.abc import Mapping

from serve_app.rollout.evidence import Phase, worst_slices
from serve_app.rollout.facts import Verdict
from serve_app.settings import Rollout
from serve_app.statistics.intervals import wilson

# After this many times `min_requests` pairs, a person decides.
UNDECIDED_FACTOR = 10
# What a person must see before the candidate goes on.
MIN_COMPARED_ROWS = 200
LEAST_CORRELATION = 0.5
MOST_SHIFT = 0.1
SHIFT_NOISES = 4.0
MOST_MISSED_SHARE = 0.2


def of_shadow(phase: Phase, plan: Rollout, numbers: Mapping[str, float]) -> Verdict:
    """Judge shadow: it passes when no more disagree than is tolerated, by the upper 95 % bound."""
    if not phase.n_pairs:
        return Verdict("wait", "no row was scored by both versions yet", numbers)
    low_percent, high_percent = (100 * bound for bound in wilson(phase.n_disagree, phase.n_pairs))
    found = (
        f"{phase.n_disagree} of {phase.n_pairs} keys disagree, "
        f"{low_percent:.1f} to {high_percent:.1f} %"
    )
    most_percent = plan.guardrails.max_disagreement_percent
    difference = _different_scores(phase, plan)
    if difference is not None:
        cause, reason = difference
        return Verdict("hold", f"{reason}; a person decides", numbers, cause)
    if high_percent <= most_percent:
        return Verdict("pass", f"{found}; tolerated: up to {most_percent:g} %", numbers)
    if phase.shadowed.n_requests >= UNDECIDED_FACTOR * plan.min_requests:
        reason = (
            f"{found}, neither within nor beyond {most_percent:g} % after "
            f"{phase.shadowed.n_requests} requests; a person decides"
        )
        return Verdict("hold", reason, numbers, "shadow")
    reason = f"{found}; passes when the upper bound is within {most_percent:g} %"
    return Verdict("wait", reason, numbers)


def _different_scores(phase: Phase, plan: Rollout) -> tuple[str, str] | None:
    """Return (cause, reason) where the scores go together less than those of a good candidate.

    Labels alone do not show it: a constant may keep most of them.
    """
    shadowed = phase.shadowed
    n_asked = shadowed.n_requests + shadowed.n_missed
    if shadowed.n_missed > MOST_MISSED_SHARE * n_asked:
        return "late", f"{shadowed.n_missed} of {n_asked} requests it did not answer in time"
    agreement = shadowed.agreement
    if agreement.n_rows < MIN_COMPARED_ROWS:
        return None
    correlation = agreement.rank_correlation()
    if correlation is not None and correlation < LEAST_CORRELATION:
        reason = (
            f"the order of the rows is another one: rank correlation {correlation:.2f} of "
            f"{agreement.n_rows} rows, expected {LEAST_CORRELATION} or more"
        )
        return "order", reason
    shift = agreement.mean_difference
    is_beyond_noise = abs(shift) > SHIFT_NOISES * agreement.noise
    if is_beyond_noise and abs(shift) > MOST_SHIFT * agreement.spread > 0:
        reason = (
            f"the scores are shifted by {shift:+.4g} in the mean of {agreement.n_rows} rows, more "
            f"than a tenth of their spread ({agreement.spread:.4g})"
        )
        return "shift", reason
    return _different_slice(phase, plan)


def _different_slice(phase: Phase, plan: Rollout) -> tuple[str, str] | None:
    most_percent = plan.guardrails.max_disagreement_percent
    for feature, label, part in worst_slices(phase):
        low, _ = wilson(part.n_disagree, part.n_rows)
        if 100 * low > most_percent:
            reason = (
                f"{part.n_disagree} of {part.n_rows} rows disagree where {feature} is {label}, "
                f"more than {most_percent:g} %"
            )
            return f"slice {feature}: {label}", reason
    return None
