"""What was bad about an answer: one bar for both versions."""

from typing import Literal, get_args

from serve_app.errors import DeadlineExceeded, NotReady, Overloaded, RequestError
from serve_app.serving.answer import Answered, Failure

# late: not within `candidate_deadline_ms`, whichever version it is. invalid: not a number, or no
# answer to a valid row. refused: a 429 of the version itself, whose queue is full.
Fault = Literal["late", "raised", "invalid", "not_ready", "refused"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
# What stable did in the candidate's place: a valid answer, or none by a fault of the model.
InPlace = Literal["sound", "broken"]
# The others are faults of a process, which hit many requests at once.
OF_THE_MODEL: frozenset[Fault] = frozenset({"raised", "invalid"})
WORDS: dict[Fault, str] = {
    "late": "late",
    "raised": "raised an error",
    "invalid": "gave no valid number",
    "not_ready": "not ready",
    "refused": "refused with a full queue",
}


def is_clients_fault(answered: Answered) -> bool:
    """Tell whether nobody answered because the request is wrong (4xx): it is not counted."""
    if answered.version or answered.is_abandoned or not answered.failures:
        return False
    error = answered.failures[-1].error
    return isinstance(error, RequestError) and not isinstance(error, Overloaded)


def fault_of(answered: Answered, late_s: float) -> Fault | None:
    """Return what the version that a request was assigned to did wrong; None: nothing.

    It owes a valid answer of its own to every row within `late_s` seconds. That stable stands in
    for a candidate, or may take longer, changes nothing about what is counted. Of a request whose
    client has left, what had gone wrong by then is its fault.
    """
    assigned = answered.assigned.version
    if answered.version == assigned:
        if answered.n_failed:
            return "invalid"
        return "late" if answered.seconds > late_s else None
    for failure in answered.failures:
        if failure.version == assigned:
            return _kind(failure)
    if answered.is_abandoned:
        return "late" if answered.seconds > late_s else None
    return "not_ready"


def in_place_of_candidate(answered: Answered, late_s: float) -> InPlace | None:
    """Return how stable did where it was asked in the candidate's place; None: nobody can tell.

    That it was late, full or not ready there says nothing: at 100 % it may have too few replicas
    for everybody. Whoever left before it was late says nothing against it.
    """
    if answered.is_abandoned:
        return "sound" if answered.seconds < 2 * late_s else None
    if answered.version == answered.assigned.version:
        return None
    if answered.version:
        return "broken" if answered.n_failed else "sound"
    others = [one for one in answered.failures if one.version != answered.assigned.version]
    return "broken" if any(_kind(failure) in OF_THE_MODEL for failure in others) else None


def is_of_candidate_alone(
    answered: Answered, fault: Fault, how: InPlace | None, late_s: float, *, is_stable_sound: bool
) -> bool:
    """Tell whether the candidate failed where stable would not have, as far as one server sees.

    `how` stable did in its place says so: it answered, and was not as late itself. Where that tells
    nothing, what the model did wrong is the candidate's own. What its process did may be a stop of
    the whole machine, unless stable's own requests are answered well (`is_stable_sound`).
    """
    if how == "broken":
        return False
    is_stable_late = fault == "late" and answered.seconds >= 2 * late_s
    if how == "sound" and not is_stable_late and not answered.is_abandoned:
        return True
    return is_stable_sound or fault in OF_THE_MODEL


def told_of(fault: Fault, answered: Answered) -> str:
    """Write a fault, with what was raised but not its message: that may hold what was sent."""
    for failure in answered.failures:
        if failure.version == answered.assigned.version and failure.error is not None:
            return f"{WORDS[fault]} ({type(failure.error).__name__})"
    return WORDS[fault]


def _kind(failure: Failure) -> Fault:
    match failure.error:
        case None:
            return "invalid"
        case DeadlineExceeded():
            return "late"
        case NotReady():
            return "not_ready"
        case Overloaded():
            return "refused"
        case _:
            return "raised"
