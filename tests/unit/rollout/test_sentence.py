"""The first thing that a person reads of a rollout."""

import pytest

from serve_app.rollout.sentence import sentence
from serve_app.rollout.state import State
from serve_app.settings import Rollout

PLAN = Rollout(stable="1.0.0", candidate="1.1.0", steps=(10.0, 100.0))
NOON_S = 1_800_014_400.0
RUNNING = {"step": 0, "share": 10.0, "phase_began_s": NOON_S, "step_began_s": NOON_S}
SAID = {
    "waiting": ({}, "1.0.0 answers everybody: 1.1.0 waits for its first step."),
    "running": (
        RUNNING,
        "1.1.0 answers 10 % of the keys since 15 Jan 12:00:00 UTC. Next is 100 %, at "
        "15 Jan 12:05:00 UTC at the earliest, and waits for 12 of 300 requests.",
    ),
    "held": (
        {**RUNNING, "by": "judge", "reason": "psi"},
        "1.1.0 answers 10 % of the keys, and stays there since 15 Jan 12:00:00 UTC: held by "
        "judge, psi. `resume` goes on, `out` ends it.",
    ),
    "baking": (
        {**RUNNING, "step": 1, "share": 100.0},
        "1.1.0 answers everybody since 15 Jan 12:00:00 UTC; until 15 Jan 13:00:00 UTC it is judged "
        "by what 1.0.0 did before, and `out` brings 1.0.0 back.",
    ),
    "finished": (
        {},
        '1.1.0 answers everybody, for good: write stable: "1.1.0" and take the rollout out of the '
        "file.",
    ),
    "aborted": (
        # A lower run in the file would be passed over: a person has begun the second by command.
        {"by": "judge", "reason": "failing", "run": 2},
        "1.1.0 is out since 15 Jan 12:00:00 UTC: failing (judge). 1.0.0 answers everybody. Correct "
        "it as a new version; `start`, or run: 3 in the file, tries this one again.",
    ),
}


@pytest.mark.parametrize("status", SAID)
def test_one_sentence_says_what_happens_since_when_why_and_what_comes_next(status: str) -> None:
    """At three in the morning nobody wants to put it together from ten fields."""
    fields, expected = SAID[status]
    state = State(status=status, **fields)  # type: ignore[arg-type]
    waits_for = "12 of 300 requests" if status == "running" else ""
    assert sentence(state, PLAN, NOON_S, waits_for, is_out=False) == expected


def test_what_has_baked_and_fails_now_is_not_recommended() -> None:
    """The advice in the log was right when it was written."""
    doubt = "fails now, do not make it stable: 5 of 10 are bad"
    said = sentence(State(status="finished"), PLAN, NOON_S, "", is_out=False, doubt=doubt)
    assert said == f"1.1.0 answers everybody; {doubt}. `out` brings 1.0.0 back."


def test_a_candidate_that_is_out_is_so_before_the_log_says_it() -> None:
    """What is in force comes first."""
    said = sentence(State(status="running", share=10.0, step=0), PLAN, NOON_S, "", is_out=True)
    assert said == "1.1.0 is out: 1.0.0 answers everybody. The log does not say so yet."


def test_at_the_end_of_the_plan_it_names_the_command_that_goes_on() -> None:
    """`resume`, which other holds end by, would be refused there."""
    state = State(status="held", cause="end of the plan", by="coordinator", reason="the plan ends")
    said = sentence(state, PLAN, NOON_S, "", is_out=False)
    assert said.endswith("the plan ends. `promote` goes on, `out` ends it.")


def test_a_candidate_that_bakes_longer_than_planned_says_why() -> None:
    """A time in the past is no answer to "what comes next"."""
    state = State(status="baking", step=1, share=100.0, step_began_s=NOON_S)
    said = sentence(state, PLAN, NOON_S, "100 %: 3 of 60 are bad", is_out=False)
    assert said.endswith("`out` brings 1.0.0 back. It is not done yet: 100 %: 3 of 60 are bad.")
