"""The log of a rollout: `<state>/<model>/<rollout>/00000001.json`, one event a file, in a folder or an object store.

A file is created only where none is (put-if-absent): of two writers one gets a place, so the log is one order. A
coordinator that starts claims the log with an epoch above all before; the one before it then finds its next place
taken, and stops. The files, one after another, are the audit as JSON lines. Every call waits for the store.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from serve_app.bundle.store import OBJECT_SCHEMES
from serve_app.errors import Fenced, RolloutError
from serve_app.rollout.event import REMEDY, Draft, Event, parse

RETRY_TIMEOUT = timedelta(
    seconds=5
)  # instead of three minutes: the coordinator asks again by itself
EVENT_FILE = re.compile(r"(?<=/)\d{8}(?=\.json$)")


def open_log(state: str, model: str, rollout: str) -> "Log":
    """The log of a rollout (`Rollout.id`) under a folder or `s3://…`, `gs://…`, `az://…`. Raises RolloutError."""
    try:
        if state.startswith(OBJECT_SCHEMES):
            objects: ObjectStore = from_url(
                state, retry_config={"max_retries": 2, "retry_timeout": RETRY_TIMEOUT}
            )
        elif "://" in state:
            raise RolloutError(
                f"state: found {state!r}, expected a folder or one of {', '.join(OBJECT_SCHEMES)}"
            )
        else:
            objects = LocalStore(Path(state).absolute(), mkdir=True)
    except (BaseError, OSError) as error:
        raise RolloutError(f"state: {state} cannot be opened ({type(error).__name__})") from error
    return Log(objects, state, model, rollout)


class Log:
    """One rollout's events. `events` are those known here; `epoch` is 0 unless this writer holds the log."""

    def __init__(self, objects: ObjectStore, state: str, model: str, rollout: str) -> None:
        self.events: tuple[Event, ...] = ()
        self.epoch = 0
        self._objects = objects
        self._rollout = rollout
        self._folder = f"{model}/{rollout}"
        self._place = f"{state}/{self._folder}"
        self._writer = secrets.token_hex(4)

    def read(self) -> tuple[Event, ...]:
        """All events, in order. Raises RolloutError when one is missing, or is none of this rollout's."""
        try:
            found = obstore.list_with_delimiter(self._objects, prefix=self._folder)["objects"]
        except (BaseError, OSError) as error:
            raise RolloutError(
                f"{self._place}: cannot be listed ({type(error).__name__})"
            ) from error
        # Not each name: a folder that is written to meanwhile may show the last of two new files alone.
        last = max(
            (int(name[0]) for entry in found if (name := EVENT_FILE.search(entry["path"]))),
            default=0,
        )
        if last < len(self.events):
            raise RolloutError(
                f"{self._place}: found {last} events, expected {len(self.events)} or more; {REMEDY}"
            )
        # What is there never changes: only what is new is fetched.
        self.events += tuple(self._event(seq) for seq in range(len(self.events) + 1, last + 1))
        return self.events

    def claim(self, first: Callable[[Sequence[Event]], Draft], now_s: float) -> Event:
        """Become the one writer; `first` makes the claiming event from all before it. Raises RolloutError."""
        self.epoch = 0
        n_seen = -1
        while len(self.read()) > n_seen:  # its place was taken: claim after what came meanwhile
            n_seen = len(self.events)
            epoch = max((event.epoch for event in self.events), default=0) + 1
            if event := self._created(first(self.events), epoch, now_s):
                self.epoch = epoch
                return event
        raise RolloutError(
            f"{self._place}: {_file(n_seen + 1)} is there, but is not listed; claim it later"
        )

    def append(self, draft: Draft, now_s: float) -> Event:
        """Write an event; it is the last of `events` when this returns.

        Raises Fenced when another writer holds the log, for good. Raises RolloutError when the event is not known to
        be written: decide anew from `events`, which by then may hold it, since its first attempt came through.
        """
        if not self.epoch:
            raise Fenced(
                f"{self._place}: not held by this coordinator; expected it to claim the log first"
            )
        if event := self._created(draft, self.epoch, now_s):
            return event
        if any(event.epoch > self.epoch for event in self.read()):
            self.epoch, holder = 0, self.events[-1]
            raise Fenced(
                f"{self._place}: coordinator {holder.writer} claimed it; this one must write no more"
            )
        raise RolloutError(
            f"{self._place}: {draft.kind} not written, its place was taken; decide anew"
        )

    def _created(self, draft: Draft, epoch: int, now_s: float) -> Event | None:
        """The event in the log; None when another event has its place."""
        if (found := (draft.seq, draft.rollout)) != (
            expected := (len(self.events) + 1, self._rollout)
        ):
            raise RolloutError(
                f"{self._place}: {draft.kind} is decided for {found}, expected {expected}; decide anew"
            )
        event = Event(
            at=datetime.fromtimestamp(now_s, UTC), epoch=epoch, writer=self._writer, **dict(draft)
        )
        try:
            obstore.put(
                self._objects,
                f"{self._folder}/{_file(event.seq)}",
                event.line().encode(),
                mode="create",
            )
        except AlreadyExistsError:
            if (
                self._event(event.seq) != event
            ):  # the same one: it came through, and only the answer was lost
                return None
        except (BaseError, OSError) as error:
            raise RolloutError(
                f"{self._place}: cannot be written ({type(error).__name__})"
            ) from error
        self.events = (*self.events, event)
        return event

    def _event(self, seq: int) -> Event:
        place = f"{self._place}/{_file(seq)}"
        try:
            data = bytes(obstore.get(self._objects, f"{self._folder}/{_file(seq)}").bytes())
        except (NotFoundError, FileNotFoundError):
            raise RolloutError(f"{place}: is missing; {REMEDY}") from None
        except (BaseError, OSError) as error:
            raise RolloutError(f"{place}: cannot be read ({type(error).__name__})") from error
        event = parse(data, place)
        if (found := (event.seq, event.rollout)) != (expected := (seq, self._rollout)):
            raise RolloutError(
                f"{place}: found event and rollout {found}, expected {expected}; {REMEDY}"
            )
        return event


def _file(seq: int) -> str:
    return f"{seq:08d}.json"
