"""The versions of a server: loaded and proven in the background, switched in atomically, never half of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from serve_app.block import Block, Scores
from serve_app.bundle.manifest import Manifest
from serve_app.errors import SluiceError
from serve_app.settings import Batch, Table, VersionEntry

logger = logging.getLogger(__name__)

RETRY_FIRST_S, RETRY_MOST_S = 1.0, 30.0


class Scorer(Protocol):
    """A version wherever it runs: nothing above this protocol knows its placement."""

    async def score(self, block: Block, deadline_s: float) -> Scores:
        """(n_rows,) scores, NaN where a row failed. Raises DeadlineExceeded or NotReady."""

    async def ping(self) -> None:
        """Returns when the version can answer now; raises NotReady otherwise."""


@dataclass(frozen=True)
class Opened:
    """A version that proved itself."""

    manifest: Manifest
    manifest_sha256: str
    scorer: Scorer
    coalesces: bool


Identity = tuple[str, VersionEntry, Batch]
Open = Callable[[str, VersionEntry, Table], Awaitable[Opened]]


@dataclass
class Member:
    """A version of the table and how far it is."""

    identity: Identity
    state: Literal["loading", "ready", "failed"] = "loading"
    detail: str = ""
    opened: Opened | None = None
    attempt: "asyncio.Task[Opened] | None" = field(default=None, repr=False)
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)


class Roster:
    """The table in force with its members.

    A new table takes over as soon as its stable version is proven; its other versions join when they are.
    Until then, and when it never is, the last table stays and `config_error` says why.
    """

    def __init__(self, open_version: Open) -> None:
        self._open = open_version
        self._members: dict[str, Member] = {}
        self._switch: asyncio.Task[None] | None = None
        self.table: Table | None = None
        self.config_error: str | None = None

    async def start(self, table: Table) -> None:
        """The first table. Raises what kept stable from being proven: the replica must not become ready."""
        await self._take_over(table)

    def change(self, table: Table) -> None:
        """A further table: returns at once, works in the background, never raises."""
        if self._switch is not None:
            self._switch.cancel()
        self.config_error = None  # here and not at the switch: an older table's switch must not hide a newer refusal
        self._switch = asyncio.get_running_loop().create_task(self._take_over_or_keep(table))

    def refuse(self, reason: str) -> None:
        """Note that a table could not even be read; the last good one stays."""
        logger.error("table refused: %s", reason)
        self.config_error = reason

    def ready(self, version: str) -> Opened | None:
        """A version that can be asked, or None."""
        member = self._members.get(version)
        return member.opened if member is not None else None

    def members(self) -> dict[str, Member]:
        """The versions of the table in force."""
        return dict(self._members)

    async def _take_over_or_keep(self, table: Table) -> None:
        try:
            await self._take_over(table)
        except SluiceError as error:
            self.refuse(f"stable {table.stable} cannot be used: {error}")
        except Exception as error:
            logger.exception("table refused")
            self.refuse(f"stable {table.stable} cannot be used: {type(error).__name__}")

    async def _take_over(self, table: Table) -> None:
        """Prove stable, then put the whole table in force in one step."""
        stable = self._reuse(table, table.stable)
        await self._opened(stable, table.stable, table)
        before = self._members
        members = {table.stable: stable} | {name: self._reuse(table, name) for name in table.names[1:]}
        self._members, self.table = members, table
        for member in before.values():
            if member not in members.values() and member.task is not None:
                member.task.cancel()
        for name, member in members.items():
            if member.opened is None and member.task is None:
                member.task = asyncio.get_running_loop().create_task(self._bring_up(name, member, table))

    def _reuse(self, table: Table, name: str) -> Member:
        """The member that holds this version already, with the same settings; else a new one."""
        entry = replace_weight(table.entry(name))
        identity: Identity = (name, entry, table.batch)
        member = self._members.get(name)
        return member if member is not None and member.identity == identity else Member(identity)

    async def _opened(self, member: Member, name: str, table: Table) -> None:
        """Open a member once, however many wait for it: a candidate may be promoted while it is still loading."""
        if member.opened is not None:
            return
        if member.attempt is None or member.attempt.done():
            opening = self._open(name, table.entry(name), table)
            member.attempt = asyncio.ensure_future(opening)
        member.opened = await asyncio.shield(member.attempt)
        member.state, member.detail = "ready", ""

    async def _bring_up(self, name: str, member: Member, table: Table) -> None:
        """Load a version that is not stable; while it fails, stable answers for it and it is tried again."""
        wait_s = RETRY_FIRST_S
        while member.opened is None:
            try:
                await self._opened(member, name, table)
            except Exception as error:
                member.state = "failed"
                member.detail = str(error) if isinstance(error, SluiceError) else type(error).__name__
                logger.warning("version %s is not ready: %s", name, member.detail)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, RETRY_MOST_S)


def replace_weight(entry: VersionEntry) -> VersionEntry:
    """An entry without its weight: a change of weight loads nothing anew."""
    return entry.model_copy(update={"weight_percent": 0.0})
