"""Where a book is kept: one file in the folder of the state, replaced in one step."""

from typing import Protocol

from serve_app.bundle.objects import (
    NoSuchObject,
    ObjectFault,
    Objects,
    ObjectTooLarge,
    open_objects,
    scheme_fault,
)
from serve_app.errors import StateError

FILE = "quality.json"
# What could not be read is kept next to it, for a person.
BROKEN_FILE = "quality.broken.json"
# Fifty versions with 120 days each, and all ids.
MOST_BYTES = 64 * 1024 * 1024
RETRY_S = 5.0
TIMEOUT_S = 30.0


class Kept(Protocol):
    """Where the coordinator keeps its book. Every call waits, and raises StateError."""

    def read(self) -> bytes | None:
        """What was written last; None: nothing was."""

    def put_aside(self, found: bytes) -> None:
        """Keep what cannot be used, since the next writing takes its place."""

    def write(self, data: bytes) -> None:
        """Put it in the place of what was there before."""


class KeptFile:
    """A file of an application: `<state>/<model>/<application>/quality.json`."""

    def __init__(self, state: str, model: str, application: str) -> None:
        self._state = state
        self._folder = f"{model}/{application}"
        self._opened: Objects | None = None

    @property
    def _place(self) -> str:
        return f"{self._state}/{self._folder}/{FILE}"

    def _objects(self) -> Objects:
        if self._opened is None:
            fault = scheme_fault(self._state)
            if fault:
                raise StateError(f"state: {fault}")
            try:
                self._opened = open_objects(self._state, retry_s=RETRY_S, timeout_s=TIMEOUT_S)
            except (ValueError, OSError) as error:
                raise StateError(f"state: {self._state} cannot be opened ({error})") from error
        return self._opened

    def read(self) -> bytes | None:
        """What is there; None: nothing. Raises StateError."""
        objects = self._objects()
        try:
            return objects.get(f"{self._folder}/{FILE}", MOST_BYTES)
        except NoSuchObject:
            return None
        except ObjectTooLarge as error:
            raise StateError(
                f"{self._place}: found {error.n_bytes} bytes, expected at most {MOST_BYTES}; move "
                "it away to begin again"
            ) from None
        except ObjectFault as error:
            raise StateError(f"{self._place}: cannot be read ({error.kind})") from error

    def put_aside(self, found: bytes) -> None:
        """Keep what cannot be used in a file next to it. Raises StateError."""
        try:
            self._objects().replace(f"{self._folder}/{BROKEN_FILE}", found)
        except ObjectFault as error:
            raise StateError(f"{self._place}: cannot be put aside ({error.kind})") from error

    def write(self, data: bytes) -> None:
        """Put it in the place of what was there before. Raises StateError."""
        try:
            self._objects().replace(f"{self._folder}/{FILE}", data)
        except ObjectFault as error:
            raise StateError(f"{self._place}: cannot be written ({error.kind})") from error
