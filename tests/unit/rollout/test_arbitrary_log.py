"""Two writers in any order, over a store that fails at any time; and files that hold anything."""

import json
from typing import Any

from arbitrary import mutated
from hypothesis import given
from hypothesis import strategies as st
from rolling import PLAN, START_S
from rolling_log import claiming, next_draft
from views import event

from serve_app.bundle.objects import NoSuchObject, ObjectExists, ObjectFault
from serve_app.errors import Fenced, RolloutError
from serve_app.rollout.event import Event, parse
from serve_app.rollout.log import Log
from serve_app.rollout.state import fold

WRITERS = ("a", "b")
# What a call of the store may do: work, fail before it did anything, or fail afterwards.
FATES = st.sampled_from(["works", "works", "works", "fails", "is lost"])
STEPS = st.tuples(
    st.sampled_from(WRITERS),
    st.sampled_from(["claim", "append", "append", "read", "is held"]),
    st.lists(FATES, max_size=4),
)


class FailingObjects:
    """A store in memory; `fates` says of the next calls what becomes of them, then all work."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.fates: list[str] = []

    def get(self, key: str, most_bytes: int) -> bytes:
        """The bytes under a key, of which there are not too many."""
        self._may_fail("fails", "is lost")
        if key not in self.kept:
            raise NoSuchObject(key)
        assert len(self.kept[key]) <= most_bytes
        return self.kept[key]

    def create(self, key: str, data: bytes) -> None:
        """Put bytes where nothing is; the answer may be lost."""
        fate = self.fates[0] if self.fates else "works"
        self._may_fail("fails")
        if key in self.kept:
            raise ObjectExists(key)
        self.kept[key] = data
        if fate == "is lost":
            raise ObjectFault("GenericError")

    def inside(self, folder: str) -> list[str]:
        """The keys in a folder."""
        self._may_fail("fails", "is lost")
        return sorted(key for key in self.kept if key.startswith(f"{folder}/"))

    def _may_fail(self, *fatal: str) -> None:
        if self.fates and self.fates.pop(0) in fatal:
            raise ObjectFault("GenericError")


def carried_out(log: Log, call: str, now_s: float) -> Event | None:
    """A call of a writer, and the event that it acknowledges. Raises RolloutError."""
    match call:
        case "claim":
            return log.claim(claiming, now_s)
        case "append":
            draft = next_draft(log) if log.events else claiming(())
            return log.append(draft, now_s)
        case "read":
            log.read()
        case _:
            log.is_held()
    return None


@given(st.lists(STEPS, max_size=12))
def test_what_two_writers_were_told_is_in_the_log_and_stays(steps: list[Any]) -> None:
    """Nothing acknowledged is lost, what each knows is the beginning of the log, one order of
    claims, and a writer that was fenced writes nothing until it claims again.
    """
    objects = FailingObjects()
    logs = {name: Log(objects, "memory://", "churn/shop", PLAN.id) for name in WRITERS}  # type: ignore[arg-type]
    acknowledged: list[Event] = []
    fenced: set[str] = set()
    for n, (name, call, fates) in enumerate(steps):
        objects.fates = list(fates)
        try:
            told = carried_out(logs[name], call, START_S + n)
        except RolloutError as error:
            if isinstance(error, Fenced):
                fenced.add(name)
        else:
            if call == "claim":
                fenced.discard(name)
            if told is not None:
                assert name not in fenced
                acknowledged.append(told)
    objects.fates = []
    whole = Log(objects, "memory://", "churn/shop", PLAN.id).read()  # type: ignore[arg-type]
    assert [one.seq for one in whole] == list(range(1, len(whole) + 1))
    assert [one.seq for one in acknowledged] == sorted({one.seq for one in acknowledged})
    assert set(map(Event.line, acknowledged)) <= set(map(Event.line, whole))
    assert [one.epoch for one in whole] == sorted(one.epoch for one in whole)
    for log in logs.values():
        assert log.events == whole[: len(log.events)]
    for n in range(len(whole) + 1):
        # Whoever reads while the log grows can tell how far the rollout is.
        assert fold(whole[:n]).seq == n


EVENT = json.loads(
    event(
        2, "entered", 5.0, "judge", "2 of 470 disagree", step=1, phase=2, numbers={"p": 0.5}
    ).line()
)


@given(mutated(EVENT, most=3))
def test_a_changed_event_is_one_or_a_sentence(changed: Any) -> None:
    """What is taken is the same after it was written and read again."""
    try:
        found = parse(json.dumps(changed).encode(), "00000002.json")
    except RolloutError as error:
        assert str(error).startswith("00000002.json: ")
        assert "move its folder away" in str(error)
    else:
        assert parse(found.line().encode(), "00000002.json") == found


@given(st.binary(max_size=100))
def test_any_bytes_for_an_event_are_a_sentence(data: bytes) -> None:
    """A file that was cut off is found before anything is decided from it."""
    try:
        parse(data, "00000002.json")
    except RolloutError as error:
        assert str(error).startswith("00000002.json: ")
    else:
        raise AssertionError("found an event in bytes that are none")
