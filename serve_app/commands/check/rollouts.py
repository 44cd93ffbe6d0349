"""What keeps the judge of a rollout from knowing enough."""

import math
from collections.abc import Iterator

from serve_app.commands.check.document import Fault
from serve_app.commands.check.plan import Plan
from serve_app.rollout.few_keys import fewest_bad_keys, fewest_pairs
from serve_app.rollout.shadow_verdict import UNDECIDED_FACTOR
from serve_app.settings import Rollout


def requests(plan: Plan) -> Iterator[Fault]:
    """A step has as many requests as the judge needs to say anything of it."""
    for app, _, table in plan.servers:
        if table.rollout is None:
            continue
        place = (*app.table_place, "rollout", "min_requests")
        for text in (_shadow_fault(table.rollout), _step_fault(table.rollout)):
            if text:
                yield Fault(place, f"found {table.rollout.min_requests}, {text}", "warning")


def _shadow_fault(rollout: Rollout) -> str:
    """Say why shadow is held although no pair disagrees; nothing where it can pass."""
    if rollout.steps[0] != "shadow":
        return ""
    fewest = fewest_pairs(rollout.guardrails)
    if fewest <= UNDECIDED_FACTOR * rollout.min_requests:
        return ""
    tolerated = f"max_disagreement_percent: {rollout.guardrails.max_disagreement_percent:g}"
    if math.isinf(fewest):
        return f"but {tolerated} can never be shown: shadow is always held; raise that"
    expected = math.ceil(fewest / UNDECIDED_FACTOR)
    return (
        f"expected {expected} or more: {tolerated} takes {math.ceil(fewest)} keys in shadow "
        f"without one disagreement, and a person must decide after {UNDECIDED_FACTOR} times "
        "min_requests"
    )


def _step_fault(rollout: Rollout) -> str:
    """Name the first step that may be over before its keys could tell anything."""
    for share in rollout.steps:
        if share == "shadow" or share == 100:
            continue
        fewest = fewest_bad_keys(share, rollout)
        if rollout.min_requests < fewest:
            return (
                f"expected {fewest} or more: at {share:g} % errors put a candidate out by {fewest} "
                "keys at the least, and the step may be over before that"
            )
    return ""
