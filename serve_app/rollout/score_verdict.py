"""Whether the scores of both versions lie elsewhere: a hold, since a better model may want that."""

from collections.abc import Iterator

from serve_app.rollout.evidence import Phase
from serve_app.statistics.moments import is_mean_shifted
from serve_app.statistics.psi import HOLD_PSI, is_shifted, psi


def score_holds(phase: Phase) -> Iterator[tuple[str, str]]:
    """Yield (cause, reason) by a key's first score in the step: PSI, then the mean."""
    stable = phase.scores["stable"]
    candidate = phase.scores["candidate"]
    if phase.has_scores_of_both and is_shifted(stable, candidate):
        reason = (
            f"the scores lie elsewhere: PSI {psi(stable, candidate):.2f} of {sum(candidate)} "
            f"scores of the candidate and {sum(stable)} of stable, more than {HOLD_PSI:g} and "
            "than chance gives"
        )
        yield "psi", reason
    before = phase.moments["stable"]
    now = phase.moments["candidate"]
    if is_mean_shifted(before, now):
        reason = (
            f"the mean score is {now.mean:.4g} of {now.n} of the candidate and {before.mean:.4g} "
            f"of {before.n} of stable, more than a tenth of the spread of stable's "
            f"({before.spread:.4g}) apart, and more than chance gives"
        )
        yield "mean score", reason
