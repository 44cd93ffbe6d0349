"""How far the candidate is in one server: missing, ready, or refused for good."""

from serve_app.errors import BundleError, BundleUnavailable
from serve_app.rollout.orders import CandidateState
from serve_app.serving.versions import Versions
from serve_app.settings import Rollout, Table

# A bundle that is half copied is wrong at first, and right some seconds later.
FINAL_AFTER_FAILURES = 4


def candidate_of(table: Table | None, versions: Versions, n_failures_before: int) -> CandidateState:
    """What a server reports of the candidate of its table.

    `n_failures_before` attempts to open it failed before this run began: they do not end it.
    """
    if table is None or table.rollout is None:
        return CandidateState("missing")
    name = table.rollout.candidate
    is_isolated = table.entry(name).placement == "isolated"
    member = versions.members().get(name)
    if member is None:
        return CandidateState("missing", isolated=is_isolated)
    if member.opened is not None and member.opened_as == member.identity:
        return CandidateState("ready", "", is_isolated, member.opened.rows_per_s)
    error = member.error
    is_wrong = isinstance(error, BundleError) and not isinstance(error, BundleUnavailable)
    least = max(FINAL_AFTER_FAILURES, n_failures_before + 1)
    is_final = is_wrong and member.n_failures >= least
    return CandidateState("refused" if is_final else "missing", member.detail, is_isolated)


def n_failures_of(plan: Rollout | None, versions: Versions) -> int:
    """How often opening the candidate of a plan has failed in a row; 0 without one."""
    member = versions.members().get(plan.candidate) if plan else None
    return member.n_failures if member else 0
