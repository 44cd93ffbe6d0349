"""The Ray classes, kept thin: a server of a model, and a version isolated in an application of its own."""

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from secrets import token_hex
from typing import Any

from ray import serve

from serve_app.bundle.predictor import Predictor, load
from serve_app.bundle.stores import open_store, served_uri
from serve_app.cluster.handles import IsolatedReplicas, RemoteRollout
from serve_app.cluster.heartbeat import Heartbeat
from serve_app.cluster.metrics import export_forever
from serve_app.cluster.placements import InServerVersion, IsolatedApplication
from serve_app.contract.block import Block, Scores
from serve_app.errors import HttpError, NotReady, SettingsError
from serve_app.http.application import create_app
from serve_app.http.edge import Lane
from serve_app.models import get_spec
from serve_app.rollout.controller import Controller
from serve_app.rollout.decide import Action
from serve_app.rollout.log import open_log
from serve_app.rollout.orders import Reply, Report
from serve_app.rollout.view import RolloutView, Unknown, view
from serve_app.scaling import BUSY, WISHED, BusyMeter
from serve_app.serving.opening import Opening
from serve_app.serving.router import Router
from serve_app.serving.versions import Versions
from serve_app.settings import Table, VersionConfig, parse_settings

logger = logging.getLogger(__name__)

POLL_S = 0.5
NICENESS = (
    10  # what is isolated is slow: on a node whose cores are busy, servers and proxy go first
)
JOIN_TIMEOUT_S = 10.0
WISH_S = 10.0  # how long a wish counts that is not repeated
VERSION_DEADLINE_S = (
    600.0  # the callers' own deadlines are shorter; this one only ends what nobody waits for
)


class Server:
    """The ingress of one model: HTTP in, a version chosen, an answer out."""

    def __init__(
        self, model: str, store: str, coordinator: Any, public_keys: Sequence[str]
    ) -> None:
        self._spec = get_spec(model)
        bundles = open_store(served_uri(store), cached=True)
        opening = Opening(
            self._spec,
            lambda version, pin: load(bundles, self._spec, version, pin, public_keys),
            InServerVersion,
            partial(IsolatedApplication, self._deadline_s),
        )
        self._versions = Versions(opening.open)
        self._router = Router(self._spec, self._versions)
        self._coordinator = coordinator
        self._heart = Heartbeat(token_hex(8), self._router, self._versions, coordinator.beat.remote)
        self._tasks: list[asyncio.Task[None]] = []
        self._busy = BusyMeter()
        _log_to_ray()

    def __serve_build_asgi_app__(self) -> Any:
        """Ray calls this in the replica, after the constructor."""
        app = create_app(self._spec, self._router, RemoteRollout(self._coordinator))
        Lane.shortcut = app.state.shortcut
        return app

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """The table. The first one raises when stable cannot be proven, so that the replica does not get ready;
        a later one never raises, since Ray would stop a serving replica: it is refused, the last one stays."""
        first = self._versions.table is None
        try:
            table = parse_settings(Table, user_config, "user_config")
        except SettingsError as error:
            if first:
                raise
            self._versions.refuse(str(error))
            return
        if not first:
            self._versions.change(table)
            return
        await self._versions.start(table, table.limits.ready_timeout_s)
        if table.rollout is not None:
            await self._join(table)
        loop = asyncio.get_running_loop()
        forever = (export_forever(self._router, self._versions), self._heart.beat_forever())
        self._tasks = [loop.create_task(task) for task in forever]

    async def _join(self, table: Table) -> None:
        """A new replica joins a rollout with its candidate loaded and its orders known, or after a while without."""
        await self._versions.settle(table.limits.ready_timeout_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(JOIN_TIMEOUT_S):
                while not await self._heart.beat():  # noqa: ASYNC110 - the coordinator has no event for us
                    await asyncio.sleep(POLL_S)

    def check_health(self) -> None:
        """Ray asks before a replica counts as ready, and then again: without a table it could answer nobody."""
        if self._versions.table is None:
            raise NotReady("user_config: found none, expected a table with `stable`")

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What the autoscaling policy is told of this replica."""
        return {BUSY: self._busy.read()}

    def _deadline_s(self) -> float:
        return self._router.limits.deadline_ms / 1000


class Coordinator:
    """The rollout of one model: a single replica that merges the servers' counts and decides."""

    def __init__(self, model: str, state: str) -> None:
        get_spec(model)
        place = os.environ.get("STATE_PATH") or state
        self._room = Controller(partial(open_log, place, model), IsolatedReplicas(model))
        self._looks: asyncio.Task[None] | None = None
        _log_to_ray()

    async def beat(self, beat: Report) -> Reply:
        """A server reports once a second, and follows what comes back."""
        if self._looks is None:
            self._looks = asyncio.get_running_loop().create_task(self._room.look_forever())
        return self._room.hear(beat)

    async def view(self) -> RolloutView | Unknown:
        """How far the rollout is."""
        return view(self._room, time.time())

    async def command(self, action: Action, by: str, reason: str) -> HttpError | None:
        """Carry out a person's command; the error that says why not, since one that is raised arrives as Ray's own."""
        try:
            await self._room.command(action, by, reason)
        except HttpError as error:
            return error
        return None

    def check_health(self) -> None:
        """Ray starts it anew when the looks have ended."""
        if self._looks is not None and self._looks.done():
            raise NotReady("The coordinator has stopped looking.")


def _log_to_ray() -> None:
    """Our lines go where Ray Serve's own go, with the same format and request id."""
    ours, rays = logging.getLogger("serve_app"), logging.getLogger("ray.serve")
    ours.handlers, ours.propagate = rays.handlers, False
    ours.setLevel(logging.INFO)


class Version:
    """One version by itself: its own processes, CPUs and crashes. Reached by a handle, never by HTTP."""

    def __init__(
        self,
        model: str,
        version: str,
        store: str,
        manifest_sha256: str | None,
        public_keys: Sequence[str],
    ) -> None:
        os.nice(NICENESS)
        source = open_store(served_uri(store), cached=True)
        self._predictor: Predictor = load(
            source, get_spec(model), version, manifest_sha256, public_keys
        )
        self._replica = serve.get_replica_context().replica_id.unique_id
        self._config = VersionConfig()
        self._wish = 0, 0.0
        self._held: InServerVersion | None = None
        _log_to_ray()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """How blocks of several servers are merged; a wrong one is refused and the last good one stays."""
        try:
            config = parse_settings(VersionConfig, user_config, "user_config")
        except SettingsError as error:
            if self._held is None:
                raise
            logger.error("user_config refused, the last good one stays: %s", error)
            return
        self._config = config
        replaced = self._held
        self._held = InServerVersion(self._predictor, config.coalesce, config.batch)
        if replaced is not None:
            replaced.close()

    async def score(self, block: Block) -> tuple[str, Scores]:
        """This replica's name and (n_rows,) scores."""
        if self._held is None:
            await self.reconfigure({})
        assert self._held is not None  # the line above sets it
        return self._replica, await self._held.score(block, VERSION_DEADLINE_S)

    async def describe(self) -> dict[str, Any]:
        """The manifest that this replica proved, and its sha256."""
        return {
            "manifest": self._predictor.manifest.model_dump_json().encode(),
            "manifest_sha256": self._predictor.manifest_sha256,
            "rows_per_s": self._rows_per_s(),
        }

    def _rows_per_s(self) -> float:
        """What this replica can score in blocks as the servers send them."""
        n_rows = self._config.batch.max_rows
        return 1000 * n_rows / max(1e-3, self._predictor.cost.of_rows(n_rows))

    async def expect(self, n_replicas: int) -> None:
        """The coordinator wishes for this many replicas, before it gives this version its next share."""
        self._wish = n_replicas, time.monotonic() + WISH_S

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What the autoscaling policy is told of this replica."""
        n_replicas, until_s = self._wish
        return {WISHED: float(n_replicas) if time.monotonic() < until_s else 0.0}

    async def ping(self) -> None:
        """Returns when this replica can answer."""
