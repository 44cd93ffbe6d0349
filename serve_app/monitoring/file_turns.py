"""Two coordinators may write one file by turns, and neither loses what the other counted.

That is so while a cluster takes the place of another. Before it writes, a coordinator reads what is
stored. Where that is not what it wrote or read last, it goes on from there: what is stored, and
added to it what it counted itself since then.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Generic, Protocol, Self, TypeVar


class Since(Protocol):
    """What one process counted in a stretch of time."""

    def __bool__(self) -> bool:
        """Whether there is anything."""

    def merge(self, later: Self) -> None:
        """Add what was counted after it."""


S = TypeVar("S", bound=Since)


class FileTurns(Generic[S]):
    """Knows whether somebody else wrote the file, and what the file lacks of our own counts: pure.

    `since` is what was counted here and is in no file yet; the caller adds to it. One turn is
    `is_news`, then `took` where it was news, then `take`, `sending` and, once it is written,
    `arrived`. Of a turn that broke off the next `is_news` finds out whether its bytes arrived.
    """

    def __init__(self, nothing: Callable[[], S]) -> None:
        self._nothing = nothing
        self.since = nothing()
        self._known = ""
        self._sent: S | None = None
        self._sending = ""

    @property
    def has_more(self) -> bool:
        """Whether something was counted here that may not be in the file."""
        return bool(self.since) or self._sent is not None

    def is_news(self, stored: bytes | None) -> bool:
        """Whether these bytes are not the ones that were read or written here last.

        A file that is gone is no news: what is known is written again.
        """
        found = "" if stored is None else sha256(stored).hexdigest()
        if self._sent is not None and stored is not None and found == self._sending:
            self.arrived()
        elif self._sent is not None:
            self._sent.merge(self.since)
            self.since, self._sent = self._sent, None
        return stored is not None and found != self._known

    def took(self, stored: bytes) -> None:
        """Note that what is stored was added to what is known."""
        self._known = sha256(stored).hexdigest()

    def take(self) -> None:
        """Note that all that is known now is about to be written; what comes next is `since`."""
        self._sent = self.since
        self._sending = ""
        self.since = self._nothing()

    def sending(self, data: bytes) -> None:
        """Note the bytes that are about to be written."""
        self._sending = sha256(data).hexdigest()

    def arrived(self) -> None:
        """Note that they are stored."""
        self._known = self._sending
        self._sent = None
