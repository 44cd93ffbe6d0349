"""What a decision about a rollout is made from, and what it is when there is none yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from serve_app.rollout.event import Share


@dataclass(frozen=True)
class Readiness:
    """Whether the candidate can take `share`.

    It can when it is loaded in every replica or, isolated, has the replicas for that share.
    `refused` means that it does not accept the contract, and never will.
    """

    share: Share
    state: Literal["ready", "missing", "refused"]
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the judge says of a phase; `wait` means that it cannot tell yet.

    A fail counts at any time, the others at the end of a step. `cause` is the same word each time:
    of a hold it is what a person accepts by resuming.
    """

    outcome: Literal["pass", "wait", "hold", "fail"]
    reason: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    cause: str = "judge"


@dataclass(frozen=True)
class Facts:
    """What is known now.

    Requests and verdict are those of `phase`; they count for nothing when another phase is judged.
    In shadow, `candidate_requests` are those that it was asked to score.
    """

    readiness: Readiness
    phase: int
    stable_requests: int
    candidate_requests: int
    verdict: Verdict


@dataclass(frozen=True)
class Wait:
    """There is nothing to decide yet; `reason` says why."""

    reason: str
