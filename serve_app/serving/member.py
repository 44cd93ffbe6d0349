"""A version of a table: where it runs, what was opened, and how far it is."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from serve_app.bundle.manifest import Manifest
from serve_app.contract.block import Block, Scores
from serve_app.settings import Batch, Table, VersionEntry


class Scorer(Protocol):
    """A version wherever it runs: nothing above this protocol knows its placement."""

    async def score(self, block: Block, deadline_s: float) -> Scores:
        """(n_rows,) or (n_rows, n_outputs) scores, NaN where a row failed.

        Raises DeadlineExceeded or NotReady.
        """

    def wait_s(self, n_rows: int) -> float:
        """Seconds that so many rows would wait for others before their call; 0 when it is idle."""

    async def ping(self) -> None:
        """Return when the version can answer now. Raises NotReady otherwise."""

    def close(self) -> None:
        """Let go of what it holds: nobody will ask it again."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A version that proved itself.

    `at_once`: it is in this process, and scored without waiting for other requests. `rows_per_s`:
    what one replica can score, as measured while proving; 0 when that is not known.
    """

    manifest: Manifest
    manifest_sha256: str
    scorer: Scorer
    coalesces: bool
    at_once: bool = False
    rows_per_s: float = 0.0


Identity = tuple[str, VersionEntry, Batch]
State = Literal["loading", "ready", "failed"]
Open = Callable[[str, VersionEntry, Table], Awaitable[Opened]]


@dataclass(eq=False)
class Member:
    """A version of the table and how far it is.

    `opened_as` says under which settings `opened` was opened: while new ones are being opened, the
    old one answers. `error` is of the last attempt, until one succeeds; `n_failures` attempts in a
    row have failed.
    """

    identity: Identity
    state: State = "loading"
    detail: str = ""
    error: Exception | None = None
    n_failures: int = 0
    opened: Opened | None = None
    opened_as: Identity | None = None
    attempt: "asyncio.Task[None] | None" = field(default=None, repr=False)
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)

    @property
    def is_current(self) -> bool:
        """Whether it is opened under the settings of the table."""
        return self.opened_as == self.identity
