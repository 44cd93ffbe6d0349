"""What was bad about an answer, and whose fault it was."""

import pytest
from watching import CANDIDATE, STABLE

from serve_app.errors import DeadlineExceeded, NotReady, Overloaded
from serve_app.rollout.fault import fault_of, in_place_of_candidate, is_of_candidate_alone
from serve_app.serving.answer import Answered, Assignment, Failure

LATE_S = 0.15
LATE = DeadlineExceeded("late")
BROKEN = RuntimeError("broken")


def is_alone(
    candidate: Exception | None,
    stable: Exception | None = None,
    *,
    answers: str = "",
    seconds: float = 0.2,
    is_abandoned: bool = False,
    is_stable_sound: bool = False,
) -> bool:
    """Tell whether the candidate is to blame alone for a request of its own that went like this."""
    failures = [
        Failure(version, error)
        for version, error in ((CANDIDATE, candidate), (STABLE, stable))
        if error is not None
    ]
    answered = Answered((), "ada", Assignment(CANDIDATE, "run-1", 1), seconds, answers)
    answered.failures = tuple(failures)
    answered.is_abandoned = is_abandoned
    fault = fault_of(answered, LATE_S)
    assert fault is not None
    how = in_place_of_candidate(answered, LATE_S)
    return is_of_candidate_alone(answered, fault, how, LATE_S, is_stable_sound=is_stable_sound)


@pytest.mark.parametrize("error", [LATE, BROKEN, NotReady("gone"), Overloaded("full")])
def test_what_stable_answers_well_is_the_fault_of_the_candidate_alone(error: Exception) -> None:
    """Whatever was wrong with it; and where both are broken it is no fault of the candidate."""
    assert is_alone(error, answers=STABLE)
    assert not is_alone(error, BROKEN, is_stable_sound=True)


@pytest.mark.parametrize("stable", [LATE, NotReady("gone"), Overloaded("full")])
def test_a_model_that_raises_is_not_excused_by_a_stable_that_is_late(stable: Exception) -> None:
    """At 100 % stable may have too few replicas for everybody, and the candidate must go all the
    same.
    """
    assert is_alone(BROKEN, stable)


@pytest.mark.parametrize("stable", [LATE, NotReady("gone"), Overloaded("full")])
@pytest.mark.parametrize("is_stable_sound", [False, True])
def test_a_process_that_stops_with_stables_is_judged_by_stables_own_requests(
    stable: Exception, is_stable_sound: bool
) -> None:
    """The whole machine may have stopped, unless stable answers its own keys meanwhile."""
    assert is_alone(NotReady("gone"), stable, is_stable_sound=is_stable_sound) == is_stable_sound


@pytest.mark.parametrize("is_stable_sound", [False, True])
def test_late_is_no_fault_of_the_candidate_alone_where_stable_is_as_late(
    is_stable_sound: bool,
) -> None:
    """Stable may take longer before its client hears of it; it was as late in the end, was not
    asked at all, or the client left before anybody could tell.
    """
    more = {"is_stable_sound": is_stable_sound}
    assert is_alone(LATE, answers=STABLE, seconds=0.4, **more) == is_stable_sound
    assert is_alone(None, answers=CANDIDATE, seconds=0.2, **more) == is_stable_sound
    assert is_alone(LATE, seconds=0.2, is_abandoned=True, **more) == is_stable_sound
