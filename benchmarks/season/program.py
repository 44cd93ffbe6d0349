"""A server and its coordinator in one process: the classes of serve_app, wired as in serve_app.app.

Not here: Ray and HTTP around them. A virtual second stands for `scale` seconds of the season: by
those go drift, labels and ids, while reports and the rollout go by virtual seconds.
"""

import logging
from pathlib import Path
from typing import Any

from benchmarks.season.shop import SPEC, Order
from benchmarks.simulator.loop import VirtualLoop
from serve_app.bundle.loading import load
from serve_app.bundle.store import FolderStore
from serve_app.cluster.handles import IsolatedReplicas
from serve_app.cluster.heartbeat import Heartbeat
from serve_app.cluster.placements import InServerVersion
from serve_app.cluster.report import Inbox, Reply, Report
from serve_app.errors import HttpError
from serve_app.monitoring.drift_counter import DriftCounter
from serve_app.monitoring.drift_looks import DriftLooks
from serve_app.monitoring.drift_view import DriftReader
from serve_app.monitoring.drift_windows import DriftSums, DriftWindows
from serve_app.monitoring.gathered import Gathered
from serve_app.monitoring.labels.feedback import Feedback
from serve_app.monitoring.labels.seal import Seal
from serve_app.monitoring.labels.sealed_ids import SealedIds
from serve_app.monitoring.labels.shapes import Shaper
from serve_app.monitoring.quality.kept import KeptFile
from serve_app.monitoring.quality.report import Quality, QualityReporter
from serve_app.monitoring.quality.score_counter import ScoreCounter
from serve_app.rollout.active_rollout import ActiveRollout
from serve_app.rollout.controller import Controller
from serve_app.rollout.log import Log, open_log
from serve_app.rollout.looking import look_forever
from serve_app.rollout.orders import written_orders
from serve_app.serving.opening import Opening
from serve_app.serving.router import Router
from serve_app.serving.status import Description, description
from serve_app.serving.versions import Versions
from serve_app.settings import Table, parse_settings

APPLICATION = "season"
SECRET = bytes(range(32))
DAY_S = 86_400
# Rows are scored on the spot: nobody else waits, and a measured cost would be this machine's.
PLACED = {"placement": "in_server", "coalesce": "never"}

logger = logging.getLogger(__name__)


class Program:
    """The program over a store of bundles; `begin_s` is when the season begins, since 1970."""

    def __init__(
        self, loop: VirtualLoop, store: FolderStore, state: Path, begin_s: float, scale: float
    ) -> None:
        self._loop = loop
        self._begin_s = begin_s
        self._scale = scale
        self._state = str(state)
        opening = Opening(
            SPEC,
            load=lambda version, pin: load(store, SPEC, version, pin),
            in_server=InServerVersion,
            application=_no_application,
        )
        self.versions = Versions(opening.open)
        self._rollout = ActiveRollout(
            SPEC, self.versions, lambda name: written_orders(self._log_of(name), name)
        )
        shaper = Shaper(SPEC)
        seal = Seal([SECRET], SPEC.name)
        drift = DriftCounter(SPEC.contract)
        scores = ScoreCounter(shaper)
        gathered = Gathered(len(SPEC.contract), self.versions, (drift, scores))
        ids = SealedIds(shaper, lambda: seal, self.now_s)
        self.feedback = Feedback(shaper, ids, self.versions.members)
        self.router = Router(
            SPEC,
            self.versions,
            observers=(self._rollout, gathered),
            assigner=self._rollout,
            ids=ids,
        )
        self.quality = Quality(SPEC, KeptFile(self._state, SPEC.name, APPLICATION), self.now_s)
        self.controller = Controller(self._log_of, IsolatedReplicas(SPEC.name), labels=self.quality)
        self._windows = DriftWindows(self.now_s)
        self._inbox = Inbox(parts=(self.controller, self._windows, self.quality))
        self.looks = DriftLooks(DriftReader(SPEC, self.versions, self))
        self._heartbeat = Heartbeat(
            "server",
            parts=(self._rollout, drift, QualityReporter(self.feedback, scores, self.versions)),
            send=self._send,
            count_waiting=gathered.count,
        )

    def now_s(self) -> float:
        """The season's time, in seconds since 1970."""
        return self._begin_s + self._scale * self._loop.time()

    @property
    def percent(self) -> float:
        """What the candidate of a rollout gets now."""
        return self.router.candidate_percent

    def describe(self) -> Description:
        """What `GET /v1/model` tells."""
        return description(SPEC, self.versions, self.percent)

    async def start(self, table: dict[str, Any]) -> None:
        """Open the first table, and go on by itself."""
        await self.versions.start(_table(table))
        for forever in (
            self._heartbeat.beat_forever(),
            look_forever(self.controller),
            self.quality.keep_forever(DAY_S / self._scale),
        ):
            self._loop.create_task(forever)

    def deploy(self, table: dict[str, Any]) -> None:
        """Put another table in force."""
        self.versions.change(_table(table))

    async def ask(self, order: Order) -> str:
        """One order, answered; the id of its prediction."""
        answered = await self.router.predict(
            [SPEC.features.model_validate(order.row)], order.key, None
        )
        return answered.ids[0]

    def label(self, prediction_id: str, minutes: float) -> None:
        """What came true, as `POST /v1/feedback` takes it."""
        self.feedback.require_room(1)
        self.feedback.add(prediction_id, minutes)

    async def command(self, action: Any, reason: str) -> None:
        """A person's command; one that is refused is said in the log."""
        try:
            await self.controller.command(action, "ada", reason)
        except HttpError as error:
            logger.warning("%s: %s", action, error.detail)

    async def sums(self) -> DriftSums:
        """What the coordinator has counted."""
        return self._windows.sums()

    async def _send(self, report: Report) -> Reply:
        return self._inbox.receive(report)

    def _log_of(self, rollout: str) -> Log:
        return open_log(self._state, SPEC.name, APPLICATION, rollout)


def _table(values: dict[str, Any]) -> Table:
    return parse_settings(Table, values, "user_config")


def _no_application(name: str) -> Any:
    raise AssertionError(f"{name}: no version is isolated here")
