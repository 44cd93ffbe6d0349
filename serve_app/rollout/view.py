"""What is told of a rollout: `GET /v1/rollout`, `sluice rollout status`."""

from typing import Literal

from pydantic import BaseModel, Field

from serve_app.rollout.controller import Controller, Ongoing
from serve_app.rollout.decide import Action, actions
from serve_app.rollout.event import Event, Share, finite
from serve_app.rollout.evidence import requests_of, worst_slices
from serve_app.rollout.state import Status
from serve_app.statistics.sequential_test import Finding, Rail, Since


class RailView(BaseModel):
    """The evidence against the candidate beside the limit at which it is put out, natural logarithms."""

    rail: Rail
    since: Since
    log_e: float | None
    limit: float
    reason: str


class SliceView(BaseModel):
    """Rows scored in shadow among which the versions disagree more often than over all rows."""

    feature: str
    rows: str = Field(description="which: a value, a range, or missing")
    n_rows: int
    n_disagree: int


class RolloutView(BaseModel):
    """How far a rollout is, why, and what was seen."""

    rollout: str
    run: int
    stable: str
    candidate: str
    status: Status
    share: Share = Field(
        description="percent of the routing keys that the candidate answers, or shadow"
    )
    step: int | None = Field(description="place in `steps`, from 0; none before the first")
    steps: list[Share]
    promoted: bool = Field(
        description="a person wants 100 %, which is entered when the candidate is ready for it"
    )
    reason: str = Field(description="of the newest decision")
    by: str = Field(description="judge, coordinator, file, or who gave the command")
    waits_for: str = Field(description="what the next decision waits for")
    trouble: str = Field(
        description="why the log cannot be read, written or held; empty when it can"
    )
    commands: list[Action] = Field(description="what a person can do now")
    n_servers: int
    seconds: float = Field(description="since this phase began")
    min_seconds: int
    stable_requests: int
    candidate_requests: int = Field(
        description="in this phase; in shadow: pairs that both versions scored"
    )
    min_requests: int
    numbers: dict[str, float | None]
    evidence: list[RailView]
    worst_slices: list[SliceView]
    events: list[Event] = Field(description="every decision: the audit, as it stands in the log")


class Unknown(BaseModel):
    """No rollout is held now."""

    status: Literal["none", "unknown"] = Field(description="none: the table has no rollout")
    detail: str


def view(room: Controller, now_s: float) -> RolloutView | Unknown:
    """All of it; `now_s` is seconds since 1970."""
    ongoing = room.ongoing
    if ongoing is None:
        if room.fleet.wants_none:
            return Unknown(status="none", detail="The table has no `rollout`.")
        return Unknown(status="unknown", detail=room.trouble or "The coordinator has just started.")
    state, plan = ongoing.state, ongoing.plan
    phase = ongoing.record.phases.get(state.phase) if state.step is not None else None
    stable_requests, candidate_requests = requests_of(phase) if phase else (0, 0)
    findings = ongoing.record.judgement(state.phase, plan).findings if phase else ()
    return RolloutView(
        rollout=plan.id,
        run=state.run,
        stable=plan.stable,
        candidate=plan.candidate,
        status=state.status,
        share=0.0 if room.is_falling else state.share,
        step=state.step,
        steps=list(plan.steps),
        promoted=state.promoted,
        reason=state.reason,
        by=state.by,
        waits_for=room.waits_for,
        trouble=room.trouble,
        commands=list(actions(state)),
        n_servers=room.fleet.n_servers,
        seconds=max(0.0, round(now_s - state.phase_began_s, 1)) if phase else 0.0,
        min_seconds=plan.min_seconds,
        stable_requests=stable_requests,
        candidate_requests=candidate_requests,
        min_requests=plan.min_requests,
        numbers=finite(ongoing.record.verdict(state.phase, plan).numbers) if phase else {},
        evidence=[_rail(finding) for finding in findings],
        worst_slices=_slices(ongoing) if phase else [],
        events=list(ongoing.log.events),
    )


def _rail(found: Finding) -> RailView:
    log_e = finite({"log_e": round(found.log_e, 6)})["log_e"]
    return RailView(
        rail=found.rail, since=found.since, log_e=log_e, limit=found.limit, reason=found.reason
    )


def _slices(ongoing: Ongoing) -> list[SliceView]:
    """Of the newest phase that has any: they are looked at after the shadow is over too."""
    for phase in reversed(ongoing.record.phases.values()):
        if found := worst_slices(phase):
            return [
                SliceView(
                    feature=feature, rows=rows, n_rows=part.n_rows, n_disagree=part.n_disagree
                )
                for feature, rows, part in found
            ]
    return []
