"""What servers and the coordinator tell each other once a second: a report of parts, and a reply.

Each part has two ends with one name: in a server it is taken and follows what it is told; in the
coordinator it hears and tells. A new part is one class at each end, listed in `serve_app.app`.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

logger = logging.getLogger(__name__)

# The numbers of the last reports are remembered for this many servers, also after they have gone.
MOST_SERVERS = 10_000


@dataclass(frozen=True)
class Report:
    """A server's report: by the name of each part, what it took.

    `seq` rises with each report of a server, so that one that is sent again is known.
    """

    server: str
    seq: int
    parts: Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """By the name of each part, what the coordinator tells it."""

    parts: Mapping[str, Any]


class _Named(Protocol):
    @property
    def name(self) -> str:
        """The same at both ends."""


class ServerPart(_Named, Protocol):
    """A part's end in a server."""

    def take(self) -> Any:
        """What happened since it was last taken. It is sent until the coordinator has answered."""

    def follow(self, told: Any) -> None:
        """Put in force what the coordinator tells."""

    async def alone(self, seconds: float) -> None:
        """The coordinator has not answered for so long, or since the start."""


class CoordinatorPart(_Named, Protocol):
    """A part's end in the coordinator."""

    def hear(self, server: str, taken: Any, *, is_new: bool) -> None:
        """Take in what a server took. Not new: it was heard before, and its answer was lost."""

    def tell(self, server: str) -> Any:
        """What this server should do now."""


P = TypeVar("P", bound=_Named)


def named(parts: Iterable[P]) -> dict[str, P]:
    """The parts by name. Raises ValueError when two have the same."""
    found: dict[str, P] = {}
    for part in parts:
        if part.name in found:
            raise ValueError(f"parts of a report: found {part.name} twice, expected each name once")
        found[part.name] = part
    return found


class Inbox:
    """The coordinator's end of all reports. A part that fails leaves the others alone."""

    def __init__(self, parts: Iterable[CoordinatorPart]) -> None:
        self._parts = named(parts)
        self._seqs: dict[str, int] = {}

    def receive(self, report: Report) -> Reply:
        """Let each part hear its own, and collect what each tells.

        During an update the other end may be older. A part that only one end has is passed over,
        and so is what is not understood of another shape. Its server is told all the same: it
        reaches the coordinator, and would hear of an abort in no other way.
        """
        is_new = self._is_new(report)
        told: dict[str, Any] = {}
        for name, part in self._parts.items():
            if name not in report.parts:
                continue
            try:
                part.hear(report.server, report.parts[name], is_new=is_new)
            except Exception:
                logger.exception("the part %s of a report cannot be heard", name)
            try:
                told[name] = part.tell(report.server)
            except Exception:
                logger.exception("the part %s of a reply cannot be told", name)
        return Reply(told)

    def _is_new(self, report: Report) -> bool:
        # Taken out and put in again: the servers that were heard last stand at the end.
        last = self._seqs.pop(report.server, 0)
        self._seqs[report.server] = max(last, report.seq)
        while len(self._seqs) > MOST_SERVERS:
            del self._seqs[next(iter(self._seqs))]
        return report.seq > last
