"""What the page of a rollout says of numbers, in a few words."""

import re
from collections.abc import Sequence

from serve_app.rollout.counts import ARMS, Arm
from serve_app.rollout.event import Share
from serve_app.rollout.fault import Fault
from serve_app.rollout.state import OUT
from serve_app.rollout.view import RailView, RolloutView

SHORT: dict[Fault, str] = {
    "late": "late",
    "raised": "raised",
    "invalid": "not a number",
    "not_ready": "not ready",
    "refused": "refused",
}
# The reason of a rail as the judge writes it (statistics/sequential_test.py), here or in an older
# Sluice, which knew of keys alone.
COUNTED = re.compile(
    r": (\d+ of \d+) (?:bad )?(keys or stops|keys|series|pairs).* since the (\w+) began; "
    r"tolerated: up to (.*)"
)
OF_SHADOW = {
    "shadow_missed_requests": "not answered in time",
    "shadow_dropped_rows": "rows dropped",
}
# Numbers of the view that are about scores, in the order in which they are shown.
OF_SCORES = {
    "psi": "PSI",
    "rank_correlation": "rank correlation",
    "mean_difference": "mean difference",
    "largest_shift": "largest shift",
}


def progress(view: RolloutView) -> tuple[float, str]:
    """Return how far the step is, by the slower of time and requests, and both in words."""
    if view.status in ("baking", "finished"):
        return 1.0, f"{view.candidate_requests:,} requests"
    passed = min(view.seconds / view.min_seconds, view.candidate_requests / view.min_requests, 1.0)
    counts = (
        f"{view.seconds:.0f} of {view.min_seconds} s, "
        f"{view.candidate_requests:,} of {view.min_requests:,} requests"
    )
    return min(passed, 0.99), counts


def nearest(evidence: Sequence[RailView]) -> list[RailView]:
    """Return of each rail what is nearest to its limit: since the step began, or the rollout."""
    nearest: dict[str, RailView] = {}
    for rail in evidence:
        known = nearest.get(rail.rail)
        if known is None or _share_of(rail) > _share_of(known):
            nearest[rail.rail] = rail
    return list(nearest.values())


def _share_of(rail: RailView) -> float:
    log_e = rail.limit if rail.log_e is None else rail.log_e
    return log_e / rail.limit


def counted(rail: RailView) -> str:
    """Write what a rail has counted in a few words; as the judge says it where that is other."""
    found = COUNTED.search(rail.reason)
    if found is None:
        return rail.reason.partition(": ")[2]
    counted, noun, since, tolerated = found.groups()
    # A line of 80 columns has no room for more.
    noun = noun.replace(" or ", "/")
    return f"{counted} {noun}, up to {tolerated} ({since})"


def bad_of(view: RolloutView, arm: Arm) -> str:
    """Write how many requests of a version were bad, and how; of shadow what was compared."""
    numbers = view.numbers
    if arm == "candidate" and view.share == "shadow":
        compared = f"{numbers.get('disagreements') or 0:,.0f} of {numbers.get('pairs') or 0:,.0f}"
        more = [f"{numbers.get(name) or 0:,.0f} {said}" for name, said in OF_SHADOW.items()]
        return f"{compared} keys disagree, {', '.join(more)}"
    n_requests = view.stable_requests if arm == "stable" else view.candidate_requests
    n_bad = numbers.get(f"{arm}_bad_requests") or 0
    kinds = []
    for fault, word in SHORT.items():
        n_requests_of_kind = numbers.get(f"{arm}_{fault}_requests")
        if n_requests_of_kind:
            kinds.append(f"{n_requests_of_kind:,.0f} {word}")
    said = f"{n_bad:,.0f} of {n_requests:,} bad"
    return f"{said}: {', '.join(kinds)}" if kinds else said


def examples_of(view: RolloutView) -> str:
    """Write the ids of bad requests, the candidate's first: a server's log has a line of each."""
    found = []
    for arm in reversed(ARMS):
        for fault, request_id in view.examples.get(arm, {}).items():
            found.append(f"{arm} {SHORT[fault]}: {request_id}")
    return ", ".join(found)


def named(share: Share) -> str:
    """Write a share as people do."""
    return share if isinstance(share, str) else f"{share:g} %"


def scores_of(view: RolloutView) -> str:
    """Write how the scores of the versions lie to each other."""
    found = []
    for name, label in OF_SCORES.items():
        value = view.numbers.get(name)
        if value is not None:
            found.append(f"{label} {value:.3g}")
    return ", ".join(found)


def times_of(view: RolloutView) -> str:
    """Write the 95th percentiles of both versions; nothing while one of them is not known."""
    found = [view.numbers.get(f"{arm}_p95_ms") for arm in ARMS]
    if None in found:
        return ""
    return ", ".join(f"{arm} {p95_ms:.3g} ms" for arm, p95_ms in zip(ARMS, found, strict=True))


def labels_of(view: RolloutView) -> str:
    """Write what labels say of the candidate; nothing before the first of them."""
    labels = view.labels
    if labels is None:
        return ""
    said = labels.said.removeprefix("labels: ")
    return f"{labels.n_stable:,} and {labels.n_candidate:,} labelled keys: {said}"


def failing_of(view: RolloutView) -> str:
    """Write the slices that the candidate fails, with what both versions failed in them."""
    return " · ".join(
        f"{part.feature} {part.rows}: {part.candidate_bad_requests:,} of "
        f"{part.candidate_requests:,} bad, stable {part.stable_bad_requests:,} of "
        f"{part.stable_requests:,}"
        for part in view.failing_slices
    )


def commands_of(view: RolloutView) -> list[str]:
    """Return what a person can do now: `out` first, which is meant for a hurry."""
    commands: list[str] = [*view.commands]
    if view.status not in OUT:
        commands = ["out", *commands]
    has_next = view.step is not None and view.step + 1 < len(view.steps)
    is_wanted = view.promoted or view.stepping
    if has_next and not is_wanted and "promote" in view.commands:
        commands.append("step")
    return commands
