"""A record of what servers counted, and what the judge says of it."""

from watching import RUN

from serve_app.rollout.counts import Counts
from serve_app.rollout.evidence import Record
from serve_app.rollout.facts import Verdict
from serve_app.rollout.verdict import verdict
from serve_app.settings import Rollout

PLAN = Rollout(
    stable="1.0.0", candidate="1.1.0", steps=("shadow", 10.0, 50.0, 100.0), min_requests=100
)


def names(prefix: str, n: int) -> list[str]:
    """Return n different keys that begin alike."""
    return [f"{prefix}{i}" for i in range(n)]


def tell(found: Record, counts: Counts, now_s: float = 1.0) -> None:
    """Hand over what a server counted."""
    found.add(counts, now_s)


def record(share: float | str = 10.0, phase: int = 1, **more: int) -> Record:
    """Return a record that has entered one phase."""
    found = Record(RUN, **more)
    found.enter(phase, share)  # type: ignore[arg-type]
    return found


def judged(
    of: Record,
    phase: int = 1,
    now_s: float = 1.0,
    accepted: tuple[str, ...] = (),
    **limits: float,
) -> Verdict:
    """Return the verdict under these guardrails, where a person has accepted these causes."""
    guardrails = PLAN.guardrails.model_copy(update=limits)
    return verdict(of, phase, PLAN.model_copy(update={"guardrails": guardrails}), now_s, accepted)
