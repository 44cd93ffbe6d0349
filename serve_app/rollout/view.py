"""What is told of a rollout by `GET /v1/rollout` and `sluice rollout status`."""

import logging
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, Field

from serve_app.rollout.command import Action, actions
from serve_app.rollout.controller import Controller
from serve_app.rollout.counts import ARMS, Arm
from serve_app.rollout.decide import doubt
from serve_app.rollout.event import Event, Share, finite
from serve_app.rollout.evidence import Record, requests_of
from serve_app.rollout.fault import Fault
from serve_app.rollout.few_keys import few_keys, n_bad_keys
from serve_app.rollout.hold_verdict import Failing, failing_slices
from serve_app.rollout.label_verdict import LabelsView, label_numbers, labels_view
from serve_app.rollout.numbers import evidence_numbers
from serve_app.rollout.ongoing import Ongoing, facts_of
from serve_app.rollout.sentence import sentence
from serve_app.rollout.shadow_verdict import worst_slices
from serve_app.rollout.state import OUT, Status
from serve_app.rollout.verdict import judged
from serve_app.statistics.sequential_test import Finding, Rail, Since

logger = logging.getLogger(__name__)

# Each answer carries them, and a log has up to a thousand.
MOST_SHOWN = 50


class RailView(BaseModel):
    """The evidence against the candidate and the limit that puts it out (natural logarithms)."""

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


class FailingSliceView(BaseModel):
    """Requests of a slice in which the candidate fails more than stable, beyond chance.

    At 100 % those of stable are what it did before.
    """

    feature: str
    rows: str = Field(description="which: a value, a range, or missing")
    stable_requests: int
    stable_bad_requests: int
    candidate_requests: int
    candidate_bad_requests: int


class RolloutView(BaseModel):
    """How far a rollout is, why, and what was seen."""

    now: str = Field(
        description="one sentence: what happens now, since when, why, and what comes next"
    )
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
    stepping: bool = Field(
        default=False,
        description="a person wants the next step, entered when the candidate is ready for it",
    )
    reason: str = Field(description="of the newest decision")
    by: str = Field(description="judge, coordinator, file, or who gave the command")
    waits_for: str = Field(description="what the next decision waits for")
    trouble: str = Field(
        description="why the log cannot be read, written or held; empty when it can"
    )
    config_error: str = Field(
        default="", description="why the newest table is not in force in some server"
    )
    is_out: bool = Field(
        default=False, description="the candidate is out, though the log may not say so yet"
    )
    few_keys: str = Field(
        default="", description="what it means that few keys were seen; empty when they suffice"
    )
    commands: list[Action] = Field(description="what a person can do now")
    n_servers: int
    seconds: float = Field(description="since this phase began")
    min_seconds: int
    stable_requests: int
    candidate_requests: int = Field(
        description="in this phase; in shadow: those that it was asked to score"
    )
    min_requests: int
    numbers: dict[str, float | None]
    examples: dict[Arm, dict[Fault, str]] = Field(
        default_factory=dict,
        description="for each kind of bad answer the id of one request, as a server's log has it",
    )
    evidence: list[RailView]
    worst_slices: list[SliceView]
    failing_slices: list[FailingSliceView] = Field(
        default=[], description="of the fields of `slice_by`"
    )
    events: list[Event] = Field(
        description="the newest 50 decisions, as they stand in the log: its files are the audit"
    )
    n_events_before: int = Field(default=0, description="decisions before those of `events`")
    labels: LabelsView | None = Field(
        default=None,
        description="what came true for both versions; nothing before the first label, unless they "
        "judge nothing, which is said",
    )


class Unknown(BaseModel):
    """There is no rollout, or the coordinator does not know yet how far it is."""

    status: Literal["none", "unknown"] = Field(description="none: the table has no rollout")
    detail: str


def view(controller: Controller) -> RolloutView | Unknown:
    """Return all that can be told of a rollout."""
    ongoing = controller.ongoing
    if ongoing is None:
        return _unknown(controller)
    state = ongoing.state
    plan = ongoing.plan
    seen = _seen_safely(ongoing, controller.now_s)
    last_s = ongoing.log.events[-1].at_s if ongoing.log.events else controller.now_s
    is_out = controller.is_falling
    # What the log advises was right when it was written.
    why_not = doubt(state, facts_of(ongoing, controller.fleet, controller.now_s))
    return RolloutView(
        now=sentence(state, plan, last_s, _kept_by(controller), is_out=is_out, doubt=why_not),
        rollout=plan.id,
        run=state.run,
        stable=plan.stable,
        candidate=plan.candidate,
        status=state.status,
        share=0.0 if is_out else state.share,
        step=state.step,
        steps=list(plan.steps),
        promoted=state.promoted,
        stepping=state.stepping,
        reason=why_not or state.reason,
        by=state.by,
        waits_for=controller.waits_for,
        trouble=controller.trouble,
        config_error=controller.fleet.config_error,
        is_out=is_out or state.status in OUT,
        few_keys=seen.few_keys,
        commands=list(actions(state)),
        n_servers=controller.fleet.n_servers,
        seconds=seen.seconds,
        min_seconds=plan.min_seconds,
        stable_requests=seen.stable_requests,
        candidate_requests=seen.candidate_requests,
        min_requests=plan.min_requests,
        numbers=seen.numbers,
        examples=seen.examples,
        evidence=seen.evidence,
        worst_slices=seen.worst_slices,
        failing_slices=seen.failing_slices,
        events=list(ongoing.log.events[-MOST_SHOWN:]),
        n_events_before=max(0, len(ongoing.log.events) - MOST_SHOWN),
        labels=labels_view(ongoing.record, plan),
    )


def _kept_by(controller: Controller) -> str:
    """Return what the next decision waits for; nothing while it is only the time to bake."""
    ongoing = controller.ongoing
    if ongoing is not None and ongoing.state.status == "baking":
        ends_s = ongoing.state.step_began_s + ongoing.plan.bake_seconds
        if controller.now_s < ends_s:
            return ""
    return controller.waits_for


def _unknown(controller: Controller) -> Unknown:
    if controller.fleet.wants_none:
        detail = "The table has no `rollout`."
        refused = controller.fleet.config_error
        if refused:
            detail = f"{detail} A newer one is not in force: {refused}"
        return Unknown(status="none", detail=detail)
    detail = controller.trouble or "The coordinator has just started."
    return Unknown(status="unknown", detail=detail)


@dataclass(frozen=True)
class _Seen:
    """What was seen in the phase that is being judged; nothing before the first step."""

    seconds: float = 0.0
    stable_requests: int = 0
    candidate_requests: int = 0
    numbers: dict[str, float | None] = field(default_factory=dict)
    examples: dict[Arm, dict[Fault, str]] = field(default_factory=dict)
    evidence: list[RailView] = field(default_factory=list)
    worst_slices: list[SliceView] = field(default_factory=list)
    failing_slices: list[FailingSliceView] = field(default_factory=list)
    few_keys: str = ""


def _seen_safely(ongoing: Ongoing, now_s: float) -> _Seen:
    """Return nothing when the judge itself fails: how far the rollout is must be told all the same.

    That it fails is what the rollout waits for then.
    """
    try:
        return _seen(ongoing, now_s)
    except Exception:
        logger.exception("what was seen of rollout %s cannot be told", ongoing.state.id)
        return _Seen()


def _seen(ongoing: Ongoing, now_s: float) -> _Seen:
    state = ongoing.state
    record = ongoing.record
    phase = record.phases.get(state.phase)
    if state.step is None or phase is None:
        return _Seen()
    judgement = judged(record, state.phase, ongoing.plan)
    stable_requests, candidate_requests = requests_of(phase)
    numbers = evidence_numbers(record, phase, judgement) | label_numbers(record)
    numbers["bad_keys"] = n_bad_keys(phase)
    return _Seen(
        seconds=max(0.0, round(now_s - state.phase_began_s, 1)),
        stable_requests=stable_requests,
        candidate_requests=candidate_requests,
        numbers=finite(numbers),
        examples=_examples(record),
        evidence=[_rail(finding) for finding in judgement.findings],
        worst_slices=_slices(record),
        failing_slices=[
            _failing_slice(found) for found in failing_slices(record, phase, ongoing.plan)
        ],
        few_keys=few_keys(record, state.phase, ongoing.plan),
    )


def _rail(found: Finding) -> RailView:
    log_e = finite({"log_e": round(found.log_e, 6)})["log_e"]
    return RailView(
        rail=found.rail, since=found.since, log_e=log_e, limit=found.limit, reason=found.reason
    )


def _examples(record: Record) -> dict[Arm, dict[Fault, str]]:
    """Return those of the newest phase that has any: when the candidate is out, they say why."""
    for phase in reversed(record.phases.values()):
        found = {arm: dict(phase.examples[arm]) for arm in ARMS if phase.examples[arm]}
        if found:
            return found
    return {}


def _failing_slice(found: Failing) -> FailingSliceView:
    feature, rows = found.name
    seen = found.seen
    return FailingSliceView(
        feature=feature,
        rows=rows,
        stable_requests=seen.requests["stable"],
        stable_bad_requests=seen.bad["stable"],
        candidate_requests=seen.requests["candidate"],
        candidate_bad_requests=seen.bad["candidate"],
    )


def _slices(record: Record) -> list[SliceView]:
    """Return those of the newest phase that has any: they are looked at after shadow too."""
    for phase in reversed(record.phases.values()):
        worst = worst_slices(phase)
        if worst:
            return [
                SliceView(
                    feature=feature, rows=rows, n_rows=part.n_rows, n_disagree=part.n_disagree
                )
                for feature, rows, part in worst
            ]
    return []
