"""The log alone says how far a rollout is, and a log that tells what cannot be is refused."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rolling import PLAN, Rolling, rolling_in

from serve_app.errors import CommandRefused, RolloutError
from serve_app.rollout.command import ACTIONS, actions, can_step
from serve_app.rollout.decide import decide
from serve_app.rollout.event import Event, lines, parse
from serve_app.rollout.state import DONE, State, Status, fold, weights


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
