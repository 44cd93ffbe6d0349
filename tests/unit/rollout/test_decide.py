"""A rollout goes from its first step to its end in every possible way, and in no other."""

import json
from dataclasses import replace
from typing import Any

import pytest
from rolling import PLAN, START_S, STATUSES, Rolling, rolling_in

from serve_app.rollout.decide import MOST_CLAIMS, RESTARTS
from serve_app.rollout.event import Event
from serve_app.rollout.facts import Wait
from serve_app.rollout.state import Status, weights


def test_a_good_candidate_gets_step_after_step_and_stays() -> None:
    """After shadow, 5 %, 50 %, 100 % and a bake time, it says what may leave the file."""
    story = Rolling()
    seen = [weights(story.state)]
    while story.state.status != "finished":
        assert isinstance(story.tick(), Event)
        seen.append(weights(story.state))
        story.now_s += 300
    assert seen == [(0, False), (0, True), (5, False), (50, False), (100, False), (100, False)]
    assert [event.kind for event in story.events] == ["claimed", *["entered"] * 4, "finished"]
    done = 'done: write `stable: "1.1.0"` and take `rollout` and 1.0.0 out of the file'
    assert story.state.reason == done
    assert story.tick(10**6) == Wait(done)


def test_an_event_says_who_decided_what_when_why_and_on_which_numbers() -> None:
    """The audit is read years later, by somebody who was not there."""
    story = rolling_in("running")
    event = story.tick(400)
    assert isinstance(event, Event)
    assert json.loads(event.line()) == {
        "at": "2027-01-15T08:16:40Z",
        "epoch": 1,
        "writer": "writer-1",
        "seq": 4,
        "rollout": PLAN.id,
        "run": 1,
        "kind": "entered",
        "step": 2,
        "share": 50.0,
        "phase": 3,
        "by": "judge",
        "reason": "judge says pass",
        "cause": "",
        "numbers": {"stable_requests": 2700.0, "candidate_requests": 300.0, "error_ratio": 1.1},
    }
    assert event.at_s == START_S + 1_000


# Status, seconds that pass, facts, and what is waited for.
WAITS: dict[str, tuple[Status, float, dict[str, Any], str]] = {
    "not loaded everywhere": (
        "waiting",
        0,
        {"readiness": "missing"},
        "shadow waits for 1.1.0: candidate missing",
    ),
    "asked for another share": (
        "waiting",
        0,
        {"share": 5.0},
        "shadow: not known yet whether 1.1.0 is ready for it",
    ),
    "too early": ("running", 299, {}, "5 %: 299 of 300 s"),
    "clock set back": ("running", -1_000, {}, "5 %: -1000 of 300 s"),
    "too few requests": ("running", 10_000, {"requests": 299}, "5 %: 299 of 300 requests"),
    "judge cannot tell": ("running", 10_000, {"outcome": "wait"}, "5 %: judge says wait"),
    "hold too early": ("running", 10, {"outcome": "hold"}, "5 %: 10 of 300 s"),
    "counts of another phase": ("running", 10_000, {"phase": 1}, "no counts of phase 2 yet"),
    "verdict on another phase": (
        "running",
        10_000,
        {"phase": 1, "outcome": "fail"},
        "no counts of phase 2 yet",
    ),
    "no replicas for more": (
        "running",
        300,
        {"readiness": "missing"},
        "50 % waits for 1.1.0: candidate missing",
    ),
    "replicas for less": (
        "running",
        300,
        {"share": 5.0},
        "50 %: not known yet whether 1.1.0 is ready for it",
    ),
    "paused": ("paused", 10_000, {}, "paused by ada: pause"),
    "held": ("held", 10_000, {}, "held by judge: judge says hold"),
    "baking": ("baking", 599, {}, "100 %: 599 of 600 s in which 1.0.0 can be brought back at once"),
    "fails as the bake ends": ("baking", 600, {"outcome": "wait"}, "100 %: judge says wait"),
    "fails after the bake": (
        "finished",
        0,
        {"outcome": "fail"},
        "fails now, do not make it stable: judge says fail",
    ),
    # It answers more slowly, or fails a slice; nobody says that it fails.
    "held after the bake": ("finished", 0, {"outcome": "hold"}, "hold: judge says hold"),
    "not known after the bake": (
        "finished",
        0,
        {"outcome": "wait"},
        "do not make it stable yet: judge says wait",
    ),
    "aborted": ("aborted", 10**6, {"outcome": "fail"}, "abort"),
    "rolled back": ("rolled_back", 10**6, {"readiness": "refused"}, "rollback"),
}


@pytest.mark.parametrize(("status", "passed_s", "facts", "reason"), WAITS.values(), ids=WAITS)
def test_a_rollout_waits_and_says_for_what(
    status: Status, passed_s: float, facts: dict[str, Any], reason: str
) -> None:
    """Nothing is written, the share stays, and a person can see what is missing."""
    story = rolling_in(status)
    before = story.state
    assert story.tick(passed_s, story.facts(**facts)) == Wait(reason)
    assert story.state == before


# Status before, seconds that pass, facts, status after, and percent of the candidate after.
DECISIONS: dict[str, tuple[Status, float, dict[str, Any], Status, float]] = {
    "ready": ("waiting", 0, {}, "running", 0),
    "passed": ("running", 300, {}, "running", 50),
    "differs": ("running", 300, {"outcome": "hold"}, "held", 5),
    "worse": ("running", 0, {"outcome": "fail"}, "aborted", 0),
    "worse with few requests": ("running", 0, {"outcome": "fail", "requests": 1}, "aborted", 0),
    "worse while paused": ("paused", 0, {"outcome": "fail"}, "aborted", 0),
    "worse while held": ("held", 0, {"outcome": "fail"}, "aborted", 0),
    "worse at 100 %": ("baking", 0, {"outcome": "fail"}, "rolled_back", 0),
    "refused before it began": ("waiting", 0, {"readiness": "refused"}, "aborted", 0),
    "refused on the way": ("running", 0, {"readiness": "refused", "share": 1.0}, "aborted", 0),
    "refused while paused": ("paused", 0, {"readiness": "refused"}, "aborted", 0),
    "baked": ("baking", 600, {}, "finished", 100),
}


@pytest.mark.parametrize(
    ("before", "passed_s", "facts", "after", "percent"), DECISIONS.values(), ids=DECISIONS
)
def test_a_rollout_decides_when_it_is_time(
    before: Status, passed_s: float, facts: dict[str, Any], after: Status, percent: float
) -> None:
    """There is one event, with a reason; status and share follow from it."""
    story = rolling_in(before)
    event = story.tick(passed_s, story.facts(**facts))
    assert isinstance(event, Event)
    assert event.reason
    assert (story.state.status, weights(story.state)[0]) == (after, percent)


@pytest.mark.parametrize(("status", "kind"), [("running", "aborted"), ("baking", "rolled_back")])
def test_what_the_judge_puts_out_has_its_cause_in_the_log(status: Status, kind: str) -> None:
    """A program tells errors from slow answers without reading sentences."""
    story = rolling_in(status)
    story.tick(0, story.facts("fail", cause="failing"))
    assert (story.events[-1].kind, story.events[-1].cause) == (kind, "failing")
    assert not story.state.accepted


def test_a_hold_at_100_percent_keeps_the_bake_from_ending() -> None:
    """A candidate that takes longer than stable did is not called done."""
    story = rolling_in("baking")
    assert story.tick(10_000, story.facts("hold")) == Wait("100 %: judge says hold")
    story.tick(0, story.facts("pass"))
    assert story.state.status == "finished"


def test_a_refused_contract_tells_the_fields_that_differ() -> None:
    """What the replica said is in the log, because nobody asks the replica later."""
    story = Rolling()
    story.tick(0, story.facts(readiness="refused"))
    assert (story.state.by, story.state.reason) == ("coordinator", "refused: candidate refused")


@pytest.mark.parametrize("status", STATUSES)
def test_a_restart_changes_nothing_but_the_phase(status: Status) -> None:
    """A redeploy of the same file goes on where it was: what is over or held stays so."""
    story = rolling_in(status)
    before = story.state
    story.now_s += 50
    story.restart()
    after = story.state
    if status in ("running", "paused", "held", "baking"):
        assert (after.phase, after.phase_began_s) == (before.phase + 1, story.now_s)
    else:
        assert (after.phase, after.phase_began_s) == (before.phase, before.phase_began_s)
    changed = {"phase": after.phase, "phase_began_s": after.phase_began_s}
    changed |= {"seq": before.seq + 1, "epoch": 2, "n_claims": before.n_claims + 1}
    assert after == replace(before, **changed)


def test_after_a_restart_a_step_is_judged_for_its_whole_time_again() -> None:
    """The counts are lost with the coordinator, and what nobody watched is no evidence."""
    story = rolling_in("running")
    story.now_s += 299
    story.restart()
    assert story.tick(1) == Wait("5 %: 1 of 300 s")
    assert isinstance(story.tick(299), Event)


def test_restarts_that_lose_the_evidence_again_and_again_are_for_a_person() -> None:
    """A coordinator that dies before anybody has counted long enough would keep a bad candidate in
    its step for ever; who accepts that goes on, and the next step counts its own restarts.
    """
    story = rolling_in("running")
    for _ in range(MOST_CLAIMS - 1):
        story.now_s += 9
        story.restart()
    assert isinstance(story.tick(0, story.facts(requests=1)), Wait)
    story.restart()
    story.tick(0, story.facts(requests=1))
    assert (story.state.status, story.state.cause) == ("held", RESTARTS)
    assert story.state.reason.startswith(f"{MOST_CLAIMS} coordinators have begun to count again")
    story.order("resume")
    assert isinstance(story.tick(0, story.facts(requests=1)), Wait)
    story.tick(300)
    assert (story.state.status, story.state.share) == ("running", 50)
    assert story.state.n_claims == 0


def test_a_restart_prolongs_the_bake_time_by_a_minute_at_most() -> None:
    """The bake time is about how long the old version is kept; but who has just started has not
    seen the candidate, and must not advise to make it stable.
    """
    story = rolling_in("baking")
    story.now_s += 599
    story.restart()
    assert story.tick(1) == Wait("100 %: 1 of 60 s in which it is looked at again")
    story.tick(59)
    assert story.state.status == "finished"


def test_restarts_at_100_percent_are_told_since_nobody_judges_meanwhile() -> None:
    """What a candidate fails of all traffic is known after half a minute, which none of them sees.
    Nothing can be held there; it finishes when one has looked for a minute.
    """
    story = rolling_in("baking")
    for n in range(MOST_CLAIMS):
        told = story.tick(0)
        assert isinstance(told, Wait)
        assert "hardly judged" not in told.reason, n
        story.now_s += 25
        story.restart()
    told = story.tick(0)
    assert isinstance(told, Wait)
    assert f"; {MOST_CLAIMS} coordinators have begun to count again since then" in told.reason
    story.now_s += 600
    story.restart()
    told = story.tick(1)
    assert isinstance(told, Wait)
    assert "hardly judged" in told.reason
    story.tick(60)
    assert story.state.status == "finished"


def test_the_first_phase_is_number_one_however_often_the_coordinator_restarted_before() -> None:
    """The judge spends its alpha over the phases, and none before there is anything to judge."""
    story = Rolling()
    story.restart()
    story.restart()
    story.tick()
    assert story.state.phase == 1


@pytest.mark.parametrize("status", ["aborted", "finished", "rolled_back"])
def test_a_run_begun_by_command_has_its_own_first_step_phase_and_salt(status: Status) -> None:
    """Nothing of the run before counts, and other keys come first."""
    story = rolling_in(status)
    old = story.state.id
    story.order("start")
    assert weights(story.state) == (0.0, False)
    assert old == f"{PLAN.id}-run1"
    assert (story.state.run, story.state.id) == (2, f"{PLAN.id}-run2")
    story.tick()
    assert (story.state.share, story.state.phase) == ("shadow", 1)


@pytest.mark.parametrize("status", STATUSES)
def test_a_higher_run_in_the_file_begins_again_and_a_lower_one_does_not(status: Status) -> None:
    """The file says which run is wanted at least: an old file takes back no `start` by command."""
    story = rolling_in(status)
    story.plan = PLAN.model_copy(update={"run": 3})
    story.restart()
    story.tick(0)
    assert (story.state.run, story.state.status, story.state.by) == (3, "waiting", "file")
    assert weights(story.state) == (0.0, False)
    story.plan = PLAN
    story.restart()
    story.tick(0)
    assert (story.state.run, story.state.share) == (3, "shadow")


def test_a_file_that_begins_with_a_later_run_has_that_run_from_its_first_event() -> None:
    """There is no event of a run that never was."""
    story = Rolling(PLAN.model_copy(update={"run": 4}))
    story.tick()
    assert [event.run for event in story.events] == [4, 4]
