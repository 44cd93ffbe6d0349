"""What the tests of a rollout's counting share: a manifest, a table, a course, tallies."""

from typing import Any

from serve_app.bundle.manifest import GoldenRow, Manifest, Reference
from serve_app.models import get_spec
from serve_app.rollout.active_rollout import ActiveRollout
from serve_app.rollout.counts import Counts, digest
from serve_app.rollout.fleet import Replicas
from serve_app.rollout.orders import Orders
from serve_app.settings import Table

SPEC = get_spec("churn")
STABLE, CANDIDATE = "1.0.0", "1.1.0"
RUN = "run-1"


def manifest(kind: str = "binary_classifier", **changes: Any) -> Manifest:
    """A manifest with golden scores 0.00 to 0.99, and bins for two of the features."""
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
    """A table with a rollout."""
    plan = {"stable": STABLE, "candidate": CANDIDATE, "steps": ["shadow", 5, 50, 100], **rollout}
    return Table.model_validate({"rollout": plan})


def course(
    percent: float = 30.0,
    *,
    shadow: bool = False,
    run: str = RUN,
    of: Table | None = None,
    **kind: Any,
) -> ActiveRollout:
    """A course with these orders."""
    of = of or table()
    assert of.rollout is not None
    return ActiveRollout(of, Orders(of.rollout.id, run, 1, percent, shadow), manifest(**kind))


def tally(phase: int = 1, run: str = RUN, **counts: Any) -> Counts:
    """Counts: `errors`, `slow`, `requests` as (stable, candidate), of keys by name; `pairs` as name
    → disagrees.
    """
    found = Counts(run, phase)
    for arm, at in (("stable", 0), ("candidate", 1)):
        found.requests[arm] = counts.get("requests", (0, 0))[at]
        found.errors[arm] = {digest(key) for key in counts.get("errors", ((), ()))[at]}
        found.slow[arm] = {digest(key) for key in counts.get("slow", ((), ()))[at]}
        found.scores[arm] = list(counts.get("scores", ((), ()))[at])
    found.shadowed.pairs = {digest(key): apart for key, apart in counts.get("pairs", {}).items()}
    return found


class FakeIsolated:
    """Isolated replicas: `found` says what Ray counts."""

    def __init__(self) -> None:
        self.found = Replicas(0)
        self.wishes: list[int] = []
        self.error: Exception | None = None

    async def replicas(self, version: str) -> Replicas:
        """Told."""
        if self.error:
            raise self.error
        return self.found

    async def wish(self, version: str, n_replicas: int) -> None:
        """Noted."""
        self.wishes.append(n_replicas)
