"""The versions of a server: loaded and proven in the background, switched in atomically, never half of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Protocol

from serve_app.bundle.manifest import Manifest
from serve_app.contract.block import Block, Scores
from serve_app.errors import SluiceError, StoreAway
from serve_app.settings import Batch, Table, VersionEntry

logger = logging.getLogger(__name__)

RETRY_FIRST_S, RETRY_MOST_S = 1.0, 30.0
SETTLE_POLL_S = 0.02
CLOSE_AFTER_S = (
    5.0  # beyond the deadline of the last request that may still be with a version that left
)


class Scorer(Protocol):
    """A version wherever it runs: nothing above this protocol knows its placement."""

    async def score(self, block: Block, deadline_s: float) -> Scores:
        """(n_rows,) scores, NaN where a row failed. Raises DeadlineExceeded or NotReady."""

    async def ping(self) -> None:
        """Returns when the version can answer now; raises NotReady otherwise."""

    def close(self) -> None:
        """The version has left the table: let go of what it holds."""


@dataclass(frozen=True)
class Opened:
    """A version that proved itself."""

    manifest: Manifest
    manifest_sha256: str
    scorer: Scorer
    coalesces: bool
    at_once: bool = False  # in this process, and scored without waiting for other requests
    rows_per_s: float = 0.0  # what one replica can score, as measured while proving; 0: not known


Identity = tuple[str, VersionEntry, Batch]
State = Literal["loading", "ready", "failed"]
Open = Callable[[str, VersionEntry, Table], Awaitable[Opened]]


@dataclass(eq=False)
class Member:
    """A version of the table and how far it is. While new settings are opened, `opened` is still under the old."""

    identity: Identity
    state: State = "loading"
    detail: str = ""
    error: Exception | None = None  # of the last attempt, until one succeeds
    opened: Opened | None = None
    opened_as: Identity | None = None
    attempt: "asyncio.Task[Opened] | None" = field(default=None, repr=False)
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)


class Versions:
    """The table in force with its members.

    A new table takes over as soon as its stable version is proven; its other versions join when they are.
    Until then, and when it never is, the last table stays and `config_error` says why.
    """

    def __init__(self, open_version: Open) -> None:
        self._open = open_version
        self._members: dict[str, Member] = {}
        self._switch: asyncio.Task[None] | None = None
        self.table: Table | None = None
        self._refused: str | None = None  # the newest table could not be read
        self._trouble: str | None = None  # the newest table that could be read is not in force yet

    async def start(self, table: Table, patience_s: float = 0) -> None:
        """The first table. Raises what kept stable from being proven: the replica must not become ready. A store that
        is away may come back within `patience_s`: cheaper than a replica that ends and is started anew."""
        loop, wait_s = asyncio.get_running_loop(), RETRY_FIRST_S
        until_s = loop.time() + patience_s
        while True:
            try:
                return await self._take_over(table)
            except StoreAway as error:
                if loop.time() + wait_s > until_s:
                    raise
                logger.warning("stable %s is waited for: %s", table.stable, error)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, RETRY_MOST_S)

    async def settle(self, timeout_s: float) -> None:
        """Until every version has been opened, or has failed once; for a replica that shall not join half loaded."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while any(member.state == "loading" for member in self._members.values()):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(SETTLE_POLL_S)

    def change(self, table: Table) -> None:
        """A further table: returns at once, works in the background, never raises."""
        if self._switch is not None:
            self._switch.cancel()
        self._refused = self._trouble = None
        self._switch = asyncio.get_running_loop().create_task(self._take_over_or_keep(table))

    def refuse(self, reason: str) -> None:
        """Note that a table could not even be read; the last good one stays, or still comes."""
        logger.error("table refused: %s", reason)
        self._refused = reason

    @property
    def config_error(self) -> str | None:
        """Why the newest table is not in force."""
        return self._refused or self._trouble

    def ready(self, version: str) -> Opened | None:
        """A version that can be asked, or None."""
        member = self._members.get(version)
        return member.opened if member is not None else None

    def members(self) -> dict[str, Member]:
        """The versions of the table in force."""
        return dict(self._members)

    async def _take_over_or_keep(self, table: Table) -> None:
        """Try until it succeeds or another table comes: a store may be away for a while, and Ray tells us once."""
        wait_s = RETRY_FIRST_S
        while True:
            try:
                return await self._take_over(table)
            except Exception as error:
                self._trouble = f"stable {table.stable} cannot be used: {_reason(error)}"
                logger.error("table not in force: %s", self._trouble)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, RETRY_MOST_S)

    async def _take_over(self, table: Table) -> None:
        """Prove stable, then put the whole table in force in one step."""
        stable = self._member(table, table.stable)
        await self._opened(stable, table.stable, table)
        before, deadline_s = self._members, (self.table or table).limits.deadline_ms / 1000
        members = {table.stable: stable} | {
            name: self._member(table, name) for name in table.names[1:]
        }
        self._members, self.table, self._trouble = members, table, None
        for name, member in before.items():
            if members.get(name) is not member:
                self._dismiss(member, members.get(name), deadline_s)
        for name, member in members.items():
            if member.opened_as != member.identity and member.task is None:
                member.task = asyncio.get_running_loop().create_task(
                    self._bring_up(name, member, table)
                )

    def _member(self, table: Table, name: str) -> Member:
        """The member that holds this version with the same settings; else a new one, which answers as the old one
        does until it is opened itself."""
        identity: Identity = (name, without_weight(table.entry(name)), table.batch)
        old = self._members.get(name)
        if old is None:
            return Member(identity)
        if old.identity == identity:
            return old
        state: State = "ready" if old.opened else "loading"
        return Member(identity, state, opened=old.opened, opened_as=old.opened_as)

    def _dismiss(self, member: Member, successor: Member | None, deadline_s: float) -> None:
        """A member leaves: requests that are with it may finish, then it lets go of its model."""
        if member.task is not None:
            member.task.cancel()
        if member.opened is None or (successor is not None and successor.opened is member.opened):
            return
        asyncio.get_running_loop().call_later(
            deadline_s + CLOSE_AFTER_S, member.opened.scorer.close
        )

    async def _opened(self, member: Member, name: str, table: Table) -> None:
        """Open a member once, however many wait for it: a candidate may be promoted while it is still loading."""
        if member.opened_as == member.identity:
            return
        if member.attempt is None or member.attempt.done():
            member.attempt = asyncio.ensure_future(self._open(name, table.entry(name), table))
        member.opened = await asyncio.shield(member.attempt)
        member.opened_as = member.identity
        member.state, member.detail, member.error = "ready", "", None

    async def _bring_up(self, name: str, member: Member, table: Table) -> None:
        """Load a version that is not stable; while it fails, stable answers for it and it is tried again."""
        wait_s = RETRY_FIRST_S
        while member.opened_as != member.identity:
            try:
                await self._opened(member, name, table)
            except Exception as error:
                member.state, member.detail, member.error = "failed", _reason(error), error
                logger.warning("version %s is not ready: %s", name, member.detail)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, RETRY_MOST_S)


def _reason(error: Exception) -> str:
    """What may be shown: our own errors are written for people, foreign ones may hold anything."""
    return str(error) if isinstance(error, SluiceError) else type(error).__name__


def without_weight(entry: VersionEntry) -> VersionEntry:
    """An entry without its weight: a change of weight loads nothing anew."""
    return entry.model_copy(update={"weight_percent": 0.0})
