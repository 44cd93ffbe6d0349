"""What the tests of a rollout's counting share: a manifest, a table, counters and counts."""

import time
from collections.abc import Callable
from typing import Any

from serve_app.bundle.manifest import GoldenRow, Manifest, Reference
from serve_app.contract import ModelSpec
from serve_app.models import get_spec
from serve_app.rollout.counts import ARMS, Counts, digest
from serve_app.rollout.fleet import Replicas
from serve_app.rollout.phase_counter import PhaseCounter
from serve_app.settings import Table
from serve_app.statistics.moments import Moments

SPEC = get_spec("churn")
STABLE = "1.0.0"
CANDIDATE = "1.1.0"
RUN = "run-1"


def manifest(kind: str = "binary_classifier", **changes: Any) -> Manifest:
    """Return a manifest with golden scores 0.00 to 0.99, and bins for two of the features."""
    row = SPEC.examples[0].row.model_dump()
    return Manifest.model_construct(
        model="churn",
        version=STABLE,
        kind=kind,
        features=list(SPEC.contract),
        references={
            "monthly_active_days": Reference(share_missing=0, counts=[1, 1, 1], edges=[10, 20]),
            "nps_score": Reference(share_missing=0, counts=[1, 1], edges=[5]),
        },
        golden_rows=[GoldenRow(row=row, score=n / 100) for n in range(100)],
        **({"parameters": {}} | changes),
    )


def table(**rollout: Any) -> Table:
    """Return a table with a rollout."""
    plan = {"stable": STABLE, "candidate": CANDIDATE, "steps": ["shadow", 5, 50, 100], **rollout}
    return Table.model_validate({"rollout": plan})


def phase_counter(
    run: str = RUN,
    phase: int = 1,
    of: Table | None = None,
    spec: ModelSpec = SPEC,
    clock: Callable[[], float] = time.monotonic,
    **kind: Any,
) -> PhaseCounter:
    """Return the counter of one phase, which has counted nothing."""
    plan = (of or table()).rollout
    assert plan is not None
    return PhaseCounter(spec, plan, (run, phase), manifest(**kind), clock)


def counts_of(phase: int = 1, run: str = RUN, **counts: Any) -> Counts:
    """Return what a server counted in one phase.

    `requests`, `bad`, `scores` and their `moments` are (stable, candidate); so are `errors` and
    `slow`, of keys by name, each of which begins an incident; `late` are keys with which one of a
    process began.
    `pairs` says of each key, by name, whether the versions disagree.
    """
    found = Counts(run, phase)
    for i, arm in enumerate(ARMS):
        found.errors.first[arm] = {digest(key) for key in counts.get("errors", ((), ()))[i]}
        found.slow.first[arm] = {digest(key) for key in counts.get("slow", ((), ()))[i]}
        # A key that begins an incident was bad in a request.
        n_bad = len(found.errors.first[arm])
        found.bad[arm]["raised"] = counts.get("bad", (n_bad, n_bad))[i]
        late = {digest(key) for key in counts.get("late", ((), ()))[i]}
        found.errors.first[arm] |= late
        found.errors.of_process[arm] = late
        found.bad[arm]["late"] = len(late)
        n_requests = found.bad[arm].total()
        found.requests[arm] = counts.get("requests", (n_requests, n_requests))[i]
    found.n_stood_in = counts.get("stood_in", found.bad["candidate"].total())
    found.n_stops = len(found.errors.of_process["candidate"])
    found.is_mixed = counts.get("is_mixed", False)
    found.n_broken_in_place = counts.get("broken_in_place", 0)
    for i, arm in enumerate(ARMS):
        found.scores[arm] = list(counts.get("scores", ((), ()))[i])
        found.moments[arm] = counts.get("moments", (Moments(), Moments()))[i]
    for key, disagrees in counts.get("pairs", {}).items():
        found.shadowed.pairs[digest(key)] = disagrees
    found.shadowed.n_requests = len(found.shadowed.pairs)
    return found


class FakeIsolated:
    """Stands in for applications of isolated versions; `found` says what Ray counts."""

    def __init__(self) -> None:
        self.found = Replicas(0)
        self.wishes: list[int] = []
        self.error: Exception | None = None

    async def replicas(self, version: str) -> Replicas:
        """Return what the test says, or raise its error."""
        if self.error:
            raise self.error
        return self.found

    async def wish(self, version: str, n_replicas: int) -> None:
        """Note how many replicas were wished for."""
        self.wishes.append(n_replicas)
