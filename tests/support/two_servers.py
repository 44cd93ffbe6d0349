"""A coordinator, and two servers that report to it each second, over a real log in a folder."""

import json
from pathlib import Path
from typing import Any

from watching import CANDIDATE, FakeIsolated, counts_of

from serve_app.rollout.clock import SteadyClock
from serve_app.rollout.controller import Controller
from serve_app.rollout.counts import Counts
from serve_app.rollout.label_verdict import Labelled
from serve_app.rollout.log import Log, open_log
from serve_app.rollout.orders import CandidateState, Orders, RolloutReply, RolloutReport
from serve_app.rollout.view import RolloutView, view
from serve_app.settings import Rollout

PLAN = Rollout(
    stable="1.0.0",
    candidate=CANDIDATE,
    steps=("shadow", 10.0, 100.0),
    min_seconds=5,
    min_requests=50,
    bake_seconds=10,
)


class TwoServers:
    """Two servers that report to a coordinator each second."""

    def __init__(
        self,
        folder: Path,
        plan: Rollout | None = PLAN,
        now_s: float = 1_800_000_000.0,
        labels: Labelled | None = None,
    ) -> None:
        self.labels = labels
        self.folder = folder
        self.plan = plan
        self.now_s = now_s
        self.candidate = CandidateState("ready")
        self.broken: Exception | None = None
        self.out = ""
        self.out_alone = ""
        self.config_error = ""
        # Answered rows of each server each second.
        self.n_rows = 100
        self.n_seconds = 0
        self.reply = RolloutReply(known=False)
        self.restart_coordinator()

    def restart_coordinator(self) -> None:
        """Replace the controller, as a new coordinator process does."""
        clock = SteadyClock(lambda: self.now_s, lambda: self.now_s)
        self.controller = Controller(self._open, FakeIsolated(), clock, labels=self.labels)

    def _open(self, rollout: str) -> Log:
        if self.broken:
            raise self.broken
        return open_log(str(self.folder), "churn", "shop", rollout)

    async def report_for(self, n_seconds: int = 1, **counts: Any) -> RolloutReply:
        """Let both servers report each second; only their first report has these counts."""
        for _ in range(n_seconds):
            self.now_s += 1
            self.n_seconds += 1
            for server in ("a", "b"):
                self.report(server, self.n_rows, self.counts(counts))
            await self.controller.look()
            self.report("a")
            self.reply = self.controller.tell("a")
            counts = {}
        return self.reply

    def report(
        self,
        server: str,
        n_rows: int = 0,
        counts: tuple[Counts, ...] = (),
        plan: Rollout | None = None,
    ) -> None:
        """Report from one server, with the plan of both or another."""
        report = RolloutReport(
            plan or self.plan,
            self.candidate,
            n_rows,
            counts,
            self.out,
            self.config_error,
            self.out_alone,
        )
        self.controller.hear(server, report, is_new=True)

    def counts(self, counts: dict[str, Any]) -> tuple[Counts, ...]:
        """What a server has counted of the phase in force, as `counts_of` takes it."""
        orders = self.reply.orders
        if orders is None or not counts:
            return ()
        return (counts_of(orders.phase, orders.run, **counts),)

    @property
    def orders(self) -> Orders:
        """Return what the servers were told last."""
        assert self.reply.known
        assert self.reply.orders is not None
        return self.reply.orders

    @property
    def status(self) -> str:
        """Return the status of the rollout."""
        return self.view().status

    def view(self) -> RolloutView:
        """Return the rollout as the routes show it."""
        found = view(self.controller)
        assert isinstance(found, RolloutView)
        return found

    async def until_share(self, share: float | str) -> None:
        """Put load on a sound candidate until it has this share."""
        for _ in range(100):
            if self.reply.orders and self.view().share == share:
                return
            keys = {f"{self.n_seconds}-{n}": False for n in range(60)}
            await self.report_for(pairs=keys, requests=(540, 60))
        raise AssertionError(self.view())

    async def run_at(self, share: float) -> str:
        """The id of the run (State.id), once the candidate has this share."""
        await self.until_share(share)
        assert self.controller.ongoing is not None
        return self.controller.ongoing.state.id


def written(folder: Path) -> list[dict[str, Any]]:
    """Return the log as it lies in the folder."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob("churn/shop/*/*.json"))]
