"""The versions of a server, opened in the background; a table takes over whole or not at all."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress

from serve_app.errors import PASSING, SluiceError
from serve_app.serving.member import Identity, Member, Open, Opened, State
from serve_app.settings import Limits, Table, VersionEntry

logger = logging.getLogger(__name__)

RETRY_FIRST_S = 1.0
RETRY_MOST_S = 30.0
SETTLE_POLL_S = 0.02
# After the deadline of the last request that may still be with a version that left.
CLOSE_AFTER_S = 5.0


class Versions:
    """The table in force with its members.

    A new table takes over as soon as its stable version is proven; its other versions join when
    they are. Until then, and when it never is, the last table stays and `config_error` says why.

    What was opened and belongs to no member any more is closed, `close_after_s` after the last
    request that may be with it. What fails is tried again after `retry_first_s`, then after twice
    that, and so on.
    """

    def __init__(
        self,
        open_version: Open,
        *,
        retry_first_s: float = RETRY_FIRST_S,
        close_after_s: float = CLOSE_AFTER_S,
    ) -> None:
        self._open = open_version
        self._retry_first_s = retry_first_s
        self._close_after_s = close_after_s
        self._members: dict[str, Member] = {}
        self._next_stable: Member | None = None
        self._unclosed: list[Opened] = []
        self._switch: asyncio.Task[None] | None = None
        self.table: Table | None = None
        # Why the newest table could not be read, and why the newest one that could be read is not
        # in force yet.
        self._refused: str | None = None
        self._trouble: str | None = None

    async def start(self, table: Table) -> None:
        """Put the first table in force.

        Raises what kept stable from being proven: the replica must not become ready. What passes,
        such as a store that is away or a disk that is full, is waited for: Ray starts a replica
        that ends three times, and then leaves its deployment failed for good.
        """
        for wait_s in backoff(self._retry_first_s):
            try:
                await self._take_over(table)
                return
            except PASSING as error:
                logger.warning("stable %s is waited for: %s", table.stable, error)
            await asyncio.sleep(wait_s)

    async def settle(self, timeout_s: float) -> None:
        """Wait until every version has been opened or has failed once, so that a replica joins with
        all of them.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while any(member.state == "loading" for member in self._members.values()):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(SETTLE_POLL_S)

    def change(self, table: Table) -> None:
        """Put a further table in force: returns at once, works in the background, never raises."""
        if self._switch is not None:
            self._switch.cancel()
        self._refused = None
        self._trouble = None
        self._switch = asyncio.get_running_loop().create_task(self._take_over_or_keep(table))

    def refuse(self, reason: str) -> None:
        """Note that a table could not even be read; the last good one stays, or still comes."""
        logger.error("table refused: %s", reason)
        self._refused = reason

    @property
    def limits(self) -> Limits:
        """What the table in force lets this replica accept."""
        return self.table.limits if self.table else Limits()

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
        """Try until it succeeds or another table comes: a store may be away for a while, and Ray
        tells us once.
        """
        for wait_s in backoff(self._retry_first_s):
            try:
                await self._take_over(table)
                return
            except Exception as error:
                self._trouble = f"stable {table.stable} cannot be used: {_reason(error)}"
                logger.error("table not in force: %s", self._trouble)
                _forget_traceback(error)
            await asyncio.sleep(wait_s)

    async def _take_over(self, table: Table) -> None:
        """Prove stable, then put the whole table in force in one step."""
        stable = self._member(table, table.stable)
        self._next_stable = stable
        self._close_what_left()
        await self._prove(stable, table.stable, table)

        # Nothing is awaited from here on: no request sees half of a table.
        before = self._members
        deadline_s = (self.table or table).limits.deadline_ms / 1000
        others = {name: self._member(table, name) for name in table.names[1:]}
        self._members = {table.stable: stable} | others
        self._next_stable = None
        self.table = table
        self._trouble = None
        for member in before.values():
            if member.task is not None and member not in self._members.values():
                member.task.cancel()
        self._close_what_left(deadline_s)
        for name, member in self._members.items():
            if not member.is_current and member.task is None:
                member.task = asyncio.get_running_loop().create_task(
                    self._bring_up(name, member, table)
                )

    def _member(self, table: Table, name: str) -> Member:
        """The member that holds this version under the same settings; else a new one.

        A new one answers with what the old one had opened, until it is opened itself.
        """
        identity: Identity = (name, without_weight(table.entry(name)), table.batch)
        old = self._members.get(name)
        if old is None:
            return Member(identity)
        if old.identity == identity:
            return old
        state: State = "ready" if old.opened else "loading"
        return Member(identity, state, opened=old.opened, opened_as=old.opened_as)

    async def _prove(self, member: Member, name: str, table: Table) -> None:
        """Open a member once, however many wait for it: a candidate may be promoted while it is
        still loading.
        """
        if member.is_current:
            return
        if member.attempt is None:
            member.attempt = asyncio.ensure_future(self._attempt(member, name, table))
        await asyncio.shield(member.attempt)

    async def _attempt(self, member: Member, name: str, table: Table) -> None:
        """One attempt; it goes on when those who waited for it have left, and what came of it is
        closed then.
        """
        try:
            opened = await self._open(name, table.entry(name), table)
        finally:
            member.attempt = None
        self._unclosed.append(opened)
        member.opened = opened
        member.opened_as = member.identity
        member.state = "ready"
        member.detail = ""
        member.error = None
        member.n_failures = 0
        self._close_what_left()

    async def _bring_up(self, name: str, member: Member, table: Table) -> None:
        """Load a version that is not stable; while it fails, stable answers for it and it is tried
        again.
        """
        for wait_s in backoff(self._retry_first_s):
            try:
                await self._prove(member, name, table)
                return
            except Exception as error:
                member.state = "failed"
                member.detail = _reason(error)
                member.error = error
                member.n_failures += 1
                logger.warning("version %s is not ready: %s", name, member.detail)
                _forget_traceback(error)
            await asyncio.sleep(wait_s)

    def _close_what_left(self, deadline_s: float | None = None) -> None:
        """Close what no member holds any more, after the requests that may be with it."""
        held = {member.opened for member in self._members.values()}
        if self._next_stable is not None:
            held.add(self._next_stable.opened)
        left = [opened for opened in self._unclosed if opened not in held]
        self._unclosed = [opened for opened in self._unclosed if opened in held]
        if deadline_s is None:
            deadline_s = self.table.limits.deadline_ms / 1000 if self.table else 0.0
        loop = asyncio.get_running_loop()
        for opened in left:
            loop.call_later(deadline_s + self._close_after_s, opened.scorer.close)


def backoff(first_s: float = RETRY_FIRST_S, most_s: float = RETRY_MOST_S) -> Iterator[float]:
    """Seconds to wait after each failed try: each wait is twice the last, up to a bound.

    Never ends.
    """
    wait_s = first_s
    while True:
        yield wait_s
        wait_s = min(2 * wait_s, most_s)


def without_weight(entry: VersionEntry) -> VersionEntry:
    """An entry without its weight: a change of weight opens nothing again."""
    return entry.model_copy(update={"weight_percent": 0.0})


def _reason(error: Exception) -> str:
    """What may be shown: our own errors are written for people, foreign ones may hold anything."""
    return str(error) if isinstance(error, SluiceError) else type(error).__name__


def _forget_traceback(error: BaseException | None) -> None:
    """Free what an error that is kept holds: the variables of the functions it came from, half an
    opened model.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
