"""The log of a rollout: one event a file, in a folder or an object store.

The files are `<state>/<model>/<application>/<rollout>/00000001.json` and so on: two applications of
one model decide each for itself.

A file is created only where none is (put-if-absent): of two writers one gets a place, so the log is
one order. A coordinator that starts claims the log with an epoch above all before; the one before
it then finds its next place taken, and stops. The files, one after another, are the audit as JSON
lines.

Next to them, `out-run<n>.json` is an order that the candidate is out in run n: whoever was asked
left it while no coordinator answered. It is no event, since its writer does not hold the log, and
it needs no place in the order: it is only ever added, and only takes away. Every call waits for the
store.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from serve_app.bundle.objects import (
    NoSuchObject,
    ObjectExists,
    ObjectFault,
    Objects,
    ObjectTooLarge,
    open_objects,
    scheme_fault,
)
from serve_app.errors import Fenced, RolloutError
from serve_app.rollout.event import BY_A_PERSON, REMEDY, Draft, Event, NewerEvent, Out, parse

RETRY_S = 5.0
TIMEOUT_S = 30.0
# Reading a log takes memory and, from an object store, a round trip each. Decisions and commands
# are far fewer (command.py); what makes more is a coordinator that never stops restarting.
MOST_EVENTS = 10_000
READ_TOGETHER = 16
# An event has 1 to 4 KB.
MOST_EVENT_BYTES = 64 * 1024
EVENT_FILE = re.compile(r"(?<=/)[0-9]{8}(?=\.json\Z)")
ORDER_FILE = re.compile(r"(?<=/out-run)[0-9]{1,9}(?=\.json\Z)")
ORDER = TypeAdapter(Out)
# That it is there is the order; what it says is for the audit.
UNREADABLE = Out("unknown", "ordered while no coordinator answered", BY_A_PERSON)


def open_log(state: str, model: str, application: str, rollout: str) -> "Log":
    """The log of a rollout (`Rollout.id`) under a folder or `s3://…`, `gs://…`, `az://…`.

    A rollout whose log was begun when the application was no part of its place goes on there.
    Waits for the store. Raises RolloutError.
    """
    fault = scheme_fault(state)
    if fault:
        raise RolloutError(f"state: {fault}")
    try:
        objects = open_objects(state, retry_s=RETRY_S, timeout_s=TIMEOUT_S)
    except (ValueError, OSError) as error:
        raise RolloutError(f"state: {state} cannot be opened ({error})") from error
    log = Log(objects, state, f"{model}/{application}", rollout)
    before = Log(objects, state, model, rollout)
    return before if before.is_begun() and not log.is_begun() else log


class Log:
    """One rollout's events, in a folder inside that of its `owner`.

    `events` are those known here, `ordered_out` says in which runs the candidate was ordered out,
    and `epoch` is 0 unless this writer holds the log.
    """

    def __init__(self, objects: Objects, state: str, owner: str, rollout: str) -> None:
        self.events: tuple[Event, ...] = ()
        self.ordered_out: dict[int, Out] = {}
        self.epoch = 0
        self._objects = objects
        self._rollout = rollout
        self._folder = f"{owner}/{rollout}"
        self._place = f"{state}/{self._folder}"
        self._writer = secrets.token_hex(4)

    def is_begun(self) -> bool:
        """Whether there is any event. Raises RolloutError."""
        return _last(self._listed()) > 0

    def read(self) -> tuple[Event, ...]:
        """All events, in order; orders that are there too are known then.

        Raises RolloutError when one is missing, or is none of this rollout's.
        """
        keys = self._listed()
        for name in [ORDER_FILE.search(key) for key in keys]:
            if name and int(name[0]) not in self.ordered_out:
                self.ordered_out[int(name[0])] = self._order(int(name[0]))
        last = _last(keys)
        if last > MOST_EVENTS:
            raise RolloutError(
                f"{self._place}: found {last} events, expected {MOST_EVENTS} or fewer; {REMEDY}"
            )
        if last < len(self.events):
            raise RolloutError(
                f"{self._place}: found {last} events, expected {len(self.events)} or more; {REMEDY}"
            )
        # What is there never changes: only what is new is fetched. Not each listed name: a folder
        # that is written to meanwhile may show the last of two new files alone.
        wanted = range(len(self.events) + 1, last + 1)
        if len(wanted) < READ_TOGETHER:
            self.events += tuple(self._event(seq) for seq in wanted)
            return self.events
        with ThreadPoolExecutor(READ_TOGETHER) as threads:
            self.events += tuple(threads.map(self._event, wanted))
        return self.events

    def claim(self, first: Callable[[Sequence[Event]], Draft], now_s: float) -> Event:
        """Become the one writer; `first` makes the claiming event from all before it.

        Raises RolloutError.
        """
        self.epoch = 0
        n_seen = -1
        # Again while its place was taken: then it claims after what came meanwhile.
        while len(self.read()) > n_seen:
            n_seen = len(self.events)
            epoch = max((event.epoch for event in self.events), default=0) + 1
            event = self._created(first(self.events), epoch, now_s)
            if event:
                self.epoch = epoch
                return event
        raise RolloutError(
            f"{self._place}: {_file(n_seen + 1)} is there, but is not listed; claim it later"
        )

    def append(self, draft: Draft, now_s: float) -> Event:
        """Write an event; it is the last of `events` when this returns.

        Raises Fenced when another writer holds the log, for good. Raises RolloutError when the
        event is not known to be written: decide again from `events`, which by then may hold it,
        since its first attempt came through.
        """
        if not self.epoch:
            raise Fenced(
                f"{self._place}: not held by this coordinator; expected it to claim the log first"
            )
        event = self._created(draft, self.epoch, now_s)
        if event:
            return event
        if any(event.epoch > self.epoch for event in self.read()):
            self.epoch = 0
            holder = self.events[-1]
            raise Fenced(
                f"{self._place}: coordinator {holder.writer} claimed it; this one must write no "
                "more"
            )
        raise RolloutError(
            f"{self._place}: {draft.kind} not written, its place was taken; decide again"
        )

    def is_held(self) -> bool:
        """Whether this writer still holds the log; `epoch` is 0 when it does not.

        Raises RolloutError.
        """
        if any(event.epoch > self.epoch for event in self.read()):
            self.epoch = 0
        return self.epoch > 0

    def order_out(self, run: int, out: Out) -> None:
        """Leave the order that the candidate is out in this run; a second one changes nothing.

        Anybody may, and nobody needs to hold the log. Raises RolloutError.
        """
        try:
            self._objects.create(f"{self._folder}/{_order_file(run)}", ORDER.dump_json(out))
        except ObjectExists:
            return
        except ObjectFault as error:
            raise RolloutError(f"{self._place}: cannot be written ({error.kind})") from error

    def _listed(self) -> list[str]:
        try:
            return self._objects.inside(self._folder)
        except ObjectFault as error:
            raise RolloutError(f"{self._place}: cannot be listed ({error.kind})") from error

    def _order(self, run: int) -> Out:
        key = f"{self._folder}/{_order_file(run)}"
        try:
            return ORDER.validate_json(self._objects.get(key, MOST_EVENT_BYTES))
        except (ObjectFault, ObjectTooLarge, NoSuchObject, ValidationError):
            return UNREADABLE

    def _created(self, draft: Draft, epoch: int, now_s: float) -> Event | None:
        """The event in the log; None when another event has its place."""
        for known in self.events:
            if isinstance(known, NewerEvent):
                raise RolloutError(
                    f"{self._place}: found {known.newer_kind!r} in {_file(known.seq)}, which a "
                    "newer Sluice wrote: this one does not write behind it; deploy the newer one"
                )
        found = (draft.seq, draft.rollout)
        expected = (len(self.events) + 1, self._rollout)
        if found != expected:
            raise RolloutError(
                f"{self._place}: {draft.kind} is decided for {found}, expected {expected}; decide "
                "again"
            )
        event = Event(
            at=datetime.fromtimestamp(now_s, UTC), epoch=epoch, writer=self._writer, **dict(draft)
        )
        try:
            self._objects.create(f"{self._folder}/{_file(event.seq)}", event.line().encode())
        except ObjectExists:
            # The same event: it came through, and only the answer was lost.
            if self._event(event.seq) != event:
                return None
        except ObjectFault as error:
            raise RolloutError(f"{self._place}: cannot be written ({error.kind})") from error
        self.events = (*self.events, event)
        return event

    def _event(self, seq: int) -> Event:
        place = f"{self._place}/{_file(seq)}"
        try:
            data = self._objects.get(f"{self._folder}/{_file(seq)}", MOST_EVENT_BYTES)
        except NoSuchObject:
            raise RolloutError(f"{place}: is missing; {REMEDY}") from None
        except ObjectTooLarge as error:
            raise RolloutError(
                f"{place}: found {error.n_bytes} bytes, expected {MOST_EVENT_BYTES} or fewer; "
                f"{REMEDY}"
            ) from None
        except ObjectFault as error:
            raise RolloutError(f"{place}: cannot be read ({error.kind})") from error
        event = parse(data, place)
        found = (event.seq, event.rollout)
        expected = (seq, self._rollout)
        if found != expected:
            raise RolloutError(
                f"{place}: found event and rollout {found}, expected {expected}; {REMEDY}"
            )
        return event


def _file(seq: int) -> str:
    return f"{seq:08d}.json"


def _order_file(run: int) -> str:
    return f"out-run{run}.json"


def _last(keys: Sequence[str]) -> int:
    """Return the highest number of an event's file; 0 when there is none."""
    names = [EVENT_FILE.search(key) for key in keys]
    return max((int(name[0]) for name in names if name), default=0)
