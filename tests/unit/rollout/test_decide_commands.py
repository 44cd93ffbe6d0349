"""What a person commands leads where it should, and is refused where it makes no sense."""

from dataclasses import replace
from typing import Any

import pytest
from rolling import PLAN, STATUSES, Rolling, rolling_in

from serve_app.errors import CommandRefused
from serve_app.rollout.command import ACTIONS, MOST_COMMANDED, Action, actions, can_step, command
from serve_app.rollout.decide import END, next_step
from serve_app.rollout.event import Event
from serve_app.rollout.facts import Wait
from serve_app.rollout.state import Status, weights

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
        assert event.cause == ("person" if action in ("abort", "rollback") else "")
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
def test_a_log_is_bounded_and_out_is_taken_all_the_same(status: Status) -> None:
    """Every coordinator reads the log whole; what takes share away is never refused for that."""
    story = rolling_in(status)
    full = replace(story.state, seq=MOST_COMMANDED)
    for action in actions(full):
        if action in ("abort", "rollback"):
            assert command(full, PLAN, action, "ada").share == 0
            continue
        assert command(replace(full, seq=MOST_COMMANDED - 1), PLAN, action, "ada")
        with pytest.raises(
            CommandRefused, match=r"the log has 1000 decisions; only `out` is taken"
        ):
            command(full, PLAN, action, "ada")
