"""A server's end of a rollout, whose coordinator is the test."""

from typing import Any

from fakes import FakeScorer, FakeStore, rows_of, until
from watching import CANDIDATE, SPEC, STABLE, manifest

from serve_app.errors import (
    RolloutError,
)
from serve_app.rollout.active_rollout import ActiveRollout
from serve_app.rollout.counts import Counts
from serve_app.rollout.orders import Orders, RolloutReply, RolloutReport, orders_of
from serve_app.rollout.state import State
from serve_app.serving.member import Opened
from serve_app.serving.router import Router
from serve_app.serving.versions import Versions
from serve_app.settings import Table, VersionEntry

PLAN = {
    "stable": STABLE,
    "candidate": CANDIDATE,
    "steps": ["shadow", 30, 100],
    "guardrails": {"slow_ms": 50},
}


class Server:
    """Router, versions and active rollout of one server; the test is its coordinator."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.store.scorers = {
            STABLE: FakeScorer(lambda days: days / 100),
            CANDIDATE: FakeScorer(lambda _: 0.9),
        }
        self.now_s = 1_000.0
        # What the log says, for a server that is alone.
        self.written: State | None = None
        self.versions = Versions(self._open, retry_first_s=0.01)
        self.rollout = ActiveRollout(SPEC, self.versions, self._read_orders, lambda: self.now_s)
        self.router = Router(SPEC, self.versions, (self.rollout,), self.rollout)

    def _read_orders(self, rollout: str) -> Orders:
        if self.written is None:
            raise RolloutError("cannot be read")
        return orders_of(rollout, self.written)

    async def _open(self, version: str, entry: VersionEntry, table: Table) -> Opened:
        opened = await self.store.open(version, entry, table)
        return Opened(manifest(), opened.manifest_sha256, opened.scorer, coalesces=False)

    async def start(self, percent: float = 100.0, *, shadow: bool = False, **more: Any) -> "Server":
        """Put a table in force whose rollout stands at this share."""
        self.table = Table.model_validate({"rollout": PLAN, **more})
        await self.versions.start(self.table)
        await self.versions.settle(1)
        self.order(percent, shadow=shadow)
        return self

    def order(
        self, percent: float, *, shadow: bool = False, phase: int = 1, run: str = "run-1"
    ) -> None:
        """Let the server hear these orders of the coordinator."""
        assert self.table.rollout is not None
        orders = Orders(self.table.rollout.id, run, phase, percent, shadow)
        self.rollout.follow(RolloutReply(True, orders))

    async def change(self, **more: Any) -> None:
        """Put another table in force, with the rollout of PLAN unless said otherwise."""
        table = Table.model_validate({"rollout": PLAN, **more})
        self.versions.change(table)
        await until(lambda: self.versions.table is table)

    async def ask(self, key: str = "ada", n_rows: int = 1, forced: str | None = None) -> str:
        """Ask for a prediction, and return the version that answers."""
        return (await self.router.predict(rows_of(*[10] * n_rows), key, forced)).version

    def report(self) -> RolloutReport:
        """Take the report that the server sends next."""
        return self.rollout.take()

    def counted(self) -> Counts:
        """Take the counts that the server reports next, which are of one phase."""
        (counts,) = self.report().counts
        return counts
