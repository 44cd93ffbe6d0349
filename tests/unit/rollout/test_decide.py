"""A rollout goes from its first step to its end in every possible way, and in no other."""

import json
import math
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rolling import PLAN, START_S, Rolling, rolling_in

from serve_app.errors import CommandRefused, RolloutError
from serve_app.rollout.decide import (
    END,
    Action,
    actions,
    can_step,
    command,
    decide,
    next_step,
)
from serve_app.rollout.event import Event, lines, parse
from serve_app.rollout.facts import Wait
from serve_app.rollout.state import DONE, State, Status, fold, weights

STATUSES: tuple[Status, ...] = get_args(Status)
ACTIONS: tuple[Action, ...] = get_args(Action)


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


# The statuses in which a command can be given, and the status that it leads to.
COMMANDS: dict[Action, dict[Status, Status]] = {
    "pause": {"waiting": "paused", "running": "paused"},
    "resume": {"paused": "running", "held": "running"},
    "promote": {"waiting": "waiting", "running": "running", "paused": "running", "held": "running"},
    "abort": dict.fromkeys(("waiting", "running", "paused", "held", "baking"), "aborted"),
    "rollback": {"baking": "rolled_back", "finished": "rolled_back"},
    "start": {"aborted": "waiting", "finished": "waiting", "rolled_back": "waiting"},
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("action", ACTIONS)
def test_a_command_leads_where_it_should_or_says_what_is_possible(
    action: Action, status: Status
) -> None:
    """The share is 0 after abort, rollback and start, and unchanged after the others."""
    story = rolling_in(status)
    share = story.state.share
    possible = actions(story.state)
    assert (action in possible) == (status in COMMANDS[action])
    if status in COMMANDS[action]:
        event = story.order(action, "because")
        assert (event.by, event.reason) == ("ada", "because")
        assert story.state.status == COMMANDS[action][status]
        assert story.state.share == (0.0 if action in ("abort", "rollback", "start") else share)
    else:
        with pytest.raises(CommandRefused) as caught:
            story.order(action)
        assert str(caught.value).startswith(f"{action}: the rollout is {status} (")
        assert str(caught.value).endswith(f"possible now: {', '.join(possible)}")


def test_a_word_that_is_no_command_is_refused_like_a_wrong_one() -> None:
    """It comes from a URL, where anything may stand."""
    wrong: Any = "delete"
    with pytest.raises(CommandRefused, match=r"possible now: pause, promote, abort$"):
        command(rolling_in("running").state, PLAN, wrong, "ada")


def test_a_person_decides_on_the_numbers_of_that_moment() -> None:
    """Numbers of the phase that is judged stand next to the command; those of another do not."""
    story = rolling_in("held")
    assert story.order("resume", facts=story.facts()).numbers["candidate_requests"] == 300
    assert story.order("pause", facts=story.facts(phase=1)).numbers == {}


def test_a_pause_before_the_first_step_leads_back_to_waiting() -> None:
    """While it is paused the candidate gets nothing; when resumed it begins with its first step."""
    story = Rolling()
    story.order("pause")
    assert story.tick() == Wait("paused by ada: pause")
    story.order("resume")
    assert story.state.status == "waiting"
    story.tick()
    assert weights(story.state) == (0.0, True)


def test_resume_goes_on_with_the_evidence_that_is_there() -> None:
    """A pause takes no counts away: the phase is the same, and the next step comes at once."""
    story = rolling_in("running")
    before = story.state
    story.now_s += 200
    story.order("pause")
    story.now_s += 100
    story.order("resume")
    after = story.state
    assert (after.phase, after.phase_began_s) == (before.phase, before.phase_began_s)
    assert (after.step, after.step_began_s) == (before.step, before.step_began_s)
    assert isinstance(story.tick(0), Event)
    assert story.state.share == 50


def test_who_resumes_a_held_rollout_accepts_what_held_it_and_nothing_else() -> None:
    """A better model may differ: it is not held again for the same cause in this run."""
    story = rolling_in("held")
    assert story.order("resume").reason == "resume, psi accepted"
    assert (story.state.cause, story.state.accepted) == ("", ("psi",))
    story.tick(0, story.facts("hold"))
    assert (story.state.status, story.state.share) == ("running", 50)
    story.restart()
    story.tick(300, story.facts("hold", cause="disagreement"))
    assert (story.state.status, story.state.share) == ("held", 50)
    story.order("resume")
    story.tick(0, story.facts("hold", cause="disagreement"))
    assert story.state.status == "baking"
    story.order("rollback")
    story.order("start")
    story.tick()
    story.tick(300, story.facts("hold"))
    assert story.state.status == "held"


def test_promote_goes_to_100_percent_when_the_candidate_has_the_replicas_for_it() -> None:
    """It waits for no time, requests or hold, but until the candidate is ready for 100 %."""
    story = rolling_in("held")
    story.order("promote", "it is better")
    assert next_step(story.state, PLAN) == (3, 100)
    unknown = story.tick(0, story.facts("hold", share=50.0))
    assert unknown == Wait("100 %: not known yet whether 1.1.0 is ready for it")
    missing = story.tick(0, story.facts("hold", readiness="missing"))
    assert missing == Wait("100 % waits for 1.1.0: candidate missing")
    story.tick(0, story.facts("hold", requests=0))
    assert (story.state.status, story.state.share, story.state.by) == ("baking", 100, "ada")
    assert story.state.reason == "promoted: it is better"


@pytest.mark.parametrize("status", ["running", "paused", "held"])
def test_step_goes_one_step_further_when_the_candidate_is_ready_for_it(status: Status) -> None:
    """It waits for no time, requests or hold of this step; the next one is judged as ever."""
    story = rolling_in(status)
    assert story.order("step", "it is better").kind == "resumed"
    missing = story.tick(0, story.facts("hold", readiness="missing"))
    assert missing == Wait("50 % waits for 1.1.0: candidate missing")
    story.restart()
    story.tick(0, story.facts("hold", requests=0))
    assert (story.state.status, story.state.share, story.state.by) == ("running", 50, "ada")
    assert story.state.reason == "stepped: it is better"
    assert story.tick(0) == Wait("50 %: 0 of 300 s")
    story.tick(300, story.facts("hold"))
    assert (story.state.status, story.state.share) == ("held", 50)


def test_the_judge_still_ends_a_step_that_a_person_wants() -> None:
    """A candidate that is worse gets no more by it; and a pause takes the wish back."""
    story = rolling_in("running")
    story.order("step")
    story.order("pause")
    story.order("resume")
    assert story.tick(0) == Wait("5 %: 0 of 300 s")
    story.order("step")
    story.tick(0, story.facts("fail"))
    assert (story.state.status, story.state.share, story.state.by) == ("aborted", 0, "judge")


@pytest.mark.parametrize("status", sorted(set(STATUSES) - {"running", "paused", "held"}))
def test_there_is_no_step_where_nothing_can_be_skipped(status: Status) -> None:
    """Before the first step readiness alone is waited for; at 100 % and after it there is none."""
    story = rolling_in(status)
    assert not can_step(story.state, story.plan)
    with pytest.raises(CommandRefused, match=f"step: the rollout is {status}"):
        story.order("step")


def test_after_the_last_step_below_100_percent_only_promote_goes_on() -> None:
    """A plan that ends there leaves the rest to a person, and `step` does not guess."""
    story = Rolling(PLAN.model_copy(update={"steps": (5.0,)}))
    story.tick()
    with pytest.raises(CommandRefused, match=r"step: the rollout is running"):
        story.order("step")


@pytest.mark.parametrize(("action", "status"), [("pause", "paused"), ("abort", "aborted")])
def test_a_promotion_that_waits_can_be_taken_back(action: Action, status: Status) -> None:
    """The same commands do it as for any other step; after a pause the plan goes on at its step."""
    story = rolling_in("running")
    story.order("promote")
    assert "promote" not in actions(story.state)
    story.order(action)
    assert story.state.status == status
    if action == "pause":
        story.order("resume")
        assert next_step(story.state, PLAN) == (2, 50)


def test_the_judge_still_ends_a_promotion_that_waits() -> None:
    """A person in a hurry does not switch the judge off."""
    story = rolling_in("running")
    story.order("promote")
    story.tick(0, story.facts("fail"))
    assert (story.state.status, story.state.share, story.state.by) == ("aborted", 0, "judge")


@pytest.mark.parametrize(
    ("steps", "percent"), [(("shadow",), 0), (("shadow", 5.0), 5), ((5.0, 20.0), 20)]
)
def test_a_plan_that_ends_below_100_percent_leaves_the_rest_to_a_person(
    steps: Any, percent: float
) -> None:
    """It is held at its last share, where only promote and abort make sense."""
    story = Rolling(PLAN.model_copy(update={"steps": steps}))
    while story.state.status != "held":
        assert isinstance(story.tick(), Event)
    assert weights(story.state)[0] == percent
    assert story.state.cause == END
    assert actions(story.state) == ("promote", "abort")
    story.restart()
    story.order("promote")
    assert next_step(story.state, story.plan) == (len(steps), 100)
    story.tick(0)
    assert (story.state.status, story.state.share) == ("baking", 100)


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


def test_without_a_log_stable_answers_everybody() -> None:
    """So does a server that has heard nothing, and a coordinator that cannot read."""
    assert weights(State()) == (0.0, False)
    assert fold([]) == State()


def test_a_ratio_to_nothing_does_not_keep_an_abort_from_the_log() -> None:
    """Infinite and undefined numbers do not exist in JSON; they are written as null."""
    story = rolling_in("running")
    ratios = {"error_ratio": math.inf, "slow_ratio": math.nan}
    event = story.tick(0, story.facts("fail", numbers=ratios))
    assert isinstance(event, Event)
    assert event.numbers == {
        "stable_requests": 2700,
        "candidate_requests": 300,
        "error_ratio": None,
        "slow_ratio": None,
    }
    assert parse(event.line().encode(), "log") == event


def test_what_a_fenced_writer_left_behind_counts_for_nothing() -> None:
    """An old coordinator's event after a new claim is passed over; the next comes after it."""
    story = rolling_in("running")
    late = story.tick()
    assert isinstance(late, Event)
    story.events.pop()
    story.restart()
    before = story.state
    story.events.append(late.model_copy(update={"seq": 5}))
    assert story.state == replace(before, seq=5)
    assert story.tick() == story.events[-1]
    assert story.events[-1].seq == 6


IMPOSSIBLE: dict[str, tuple[Status, dict[str, Any]]] = {
    "a share that falls by an entry": (
        "running",
        {"kind": "entered", "step": 2, "share": 1.0, "phase": 3},
    ),
    "an entry into the same share": (
        "running",
        {"kind": "entered", "step": 2, "share": 5.0, "phase": 3},
    ),
    "an entry into no step": (
        "running",
        {"kind": "entered", "step": None, "share": 50.0, "phase": 3},
    ),
    "an entry without a phase of its own": (
        "running",
        {"kind": "entered", "step": 2, "share": 50.0, "phase": 2},
    ),
    "a phase that is skipped": (
        "running",
        {"kind": "entered", "step": 2, "share": 50.0, "phase": 4},
    ),
    "an entry while paused": ("paused", {"kind": "entered", "step": 2, "share": 50.0, "phase": 3}),
    "an entry after an abort": (
        "aborted",
        {"kind": "entered", "step": 2, "share": 50.0, "phase": 3},
    ),
    "an abort that keeps a share": ("running", {"kind": "aborted", "share": 5.0}),
    "a pause that gives more": ("running", {"kind": "paused", "share": 50.0}),
    "a hold of what is paused": ("paused", {"kind": "held"}),
    "a second abort": ("aborted", {"kind": "aborted"}),
    "an end before the bake": ("running", {"kind": "finished"}),
    "a rollback before 100 %": ("running", {"kind": "rolled_back", "share": 0.0}),
    "a resumption of what runs": ("running", {"kind": "resumed"}),
    "a run that changes by itself": ("running", {"kind": "paused", "run": 2}),
    "a start of the same run": ("aborted", {"kind": "started", "step": None, "phase": 0}),
    "a claim of the same epoch": ("running", {"kind": "claimed", "phase": 3}),
    "an epoch that nobody claimed": ("running", {"kind": "paused", "epoch": 2}),
}


@pytest.mark.parametrize(("status", "change"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_log_that_tells_an_impossible_story_is_not_believed(
    status: Status, change: dict[str, Any]
) -> None:
    """When somebody changes a file, the error is clear, and no share comes that nobody decided."""
    story = rolling_in(status)
    story.events.append(story.events[-1].model_copy(update={"seq": story.state.seq + 1} | change))
    message = f"found {change['kind']} .* cannot follow {status} .* restore the log"
    with pytest.raises(RolloutError, match=message):
        fold(story.events)


def test_a_log_that_does_not_begin_with_a_claim_is_not_believed() -> None:
    """This is so when its first files are gone."""
    with pytest.raises(RolloutError, match="cannot follow waiting"):
        fold(rolling_in("running").events[1:])


# Mostly what lets a step pass: otherwise nearly every story ends in its first minutes.
ticks = st.fixed_dictionaries(
    {
        "passed_s": st.sampled_from([600, 600, 300, 300, 299, 0]),
        "outcome": st.sampled_from([*["pass"] * 12, "hold", "hold", "wait", "fail"]),
        "requests": st.sampled_from([300, 300, 300, 300, 299, 0]),
        "readiness": st.sampled_from([*["ready"] * 14, "missing", "refused"]),
        "phase": st.sampled_from([None, None, None, None, 0, 1]),
        "cause": st.sampled_from(["psi", "disagreement"]),
    }
)
moves = st.lists(
    st.one_of(*[ticks] * 5, st.sampled_from([*ACTIONS, "resume", "start", "step", "restart"])),
    max_size=40,
)
plans = st.sampled_from(
    [("shadow", 5.0, 50.0, 100.0), (100.0,), ("shadow",), (1.0, 2.0), ("shadow", 100.0)]
)


def height(state: State) -> float:
    """Return the candidate's share of the answers; in shadow it has none."""
    return weights(state)[0]


def move(story: Rolling, step: Any) -> None:
    """Make one move: a tick, a command that may be refused, or a restart."""
    if step == "restart":
        story.restart()
    elif isinstance(step, str):
        is_step = step == "step" and can_step(story.state, story.plan)
        if step in actions(story.state) or is_step:
            story.order(step)  # type: ignore[arg-type]
        else:
            with pytest.raises(CommandRefused):
                story.order(step)  # type: ignore[arg-type]
    else:
        facts = story.facts(**{name: value for name, value in step.items() if name != "passed_s"})
        now_s = story.now_s + step["passed_s"]
        first = decide(story.state, story.plan, now_s, facts)
        second = decide(story.state, story.plan, now_s, facts)
        assert first == second
        story.tick(step["passed_s"], facts)


@given(steps=plans, story_moves=moves)
def test_no_sequence_of_events_breaks_the_rules(steps: Any, story_moves: list[Any]) -> None:
    """The rules hold whatever comes, in whatever order.

    Only an entry raises the share, only an end or a start lowers it, and only a person begins again
    what is over. Every log that can be written can be read again, to the same state.
    """
    story = Rolling(PLAN.model_copy(update={"steps": steps}))
    for step in story_moves:
        before = story.state
        n_before = len(story.events)
        move(story, step)
        after = story.state
        kind = story.events[-1].kind
        assert len(story.events) - n_before <= 1
        if height(after) > height(before):
            assert kind == "entered"
            assert height(after) == 100 or height(after) in steps
        if height(after) < height(before):
            assert kind in ("aborted", "rolled_back", "started")
        if before.status in DONE and after.status != before.status:
            assert isinstance(step, str)
            assert kind in ("started", "rolled_back")
        if after.status in ("aborted", "rolled_back", "waiting"):
            assert weights(after) == (0.0, False)
        if after.status in ("baking", "finished"):
            assert weights(after) == (100.0, False)
        assert (after.share == "shadow") == weights(after)[1]
        assert after.seq == len(story.events)
    written = lines(story.events).splitlines()
    assert fold(parse(line.encode(), "log") for line in written) == story.state


@given(steps=plans, story_moves=moves)
def test_two_readers_of_the_same_log_decide_alike(steps: Any, story_moves: list[Any]) -> None:
    """State comes from the events alone: the second misses nothing that the first remembered."""
    story = Rolling(PLAN.model_copy(update={"steps": steps}))
    for step in story_moves:
        move(story, step)
    other = Rolling(story.plan)
    other.events = [parse(event.line().encode(), "log") for event in story.events]
    facts = story.facts()
    now_s = story.now_s + 1_000
    first = decide(story.state, story.plan, now_s, facts)
    second = decide(other.state, other.plan, now_s, facts)
    assert first == second
