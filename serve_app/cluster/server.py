"""The Ray class of a server: the ingress of one model."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from serve_app.cluster.heartbeat import Heartbeat
from serve_app.cluster.logs import log_to_ray
from serve_app.cluster.replica import own_application
from serve_app.errors import NotReady, SettingsError
from serve_app.models import get_spec
from serve_app.scaling import BUSY, BusyMeter
from serve_app.serving.versions import Versions
from serve_app.settings import ServerArgs, Table, log_fault, parse_settings, unknown_slices

POLL_S = 0.5
JOIN_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class ServerParts:
    """What `serve_app.app` wires together for one replica.

    `app` is the ASGI application. `is_joined` says whether the coordinator has told what this
    server should do. `describe` makes the document of the interface: that takes long enough to hold
    up others, so it is made while there are none. `follow_keys_forever` takes the key file again
    when it changes; `export_forever` hands metrics to Ray.
    """

    app: Any
    versions: Versions
    heartbeat: Heartbeat
    is_joined: Callable[[], bool]
    describe: Callable[[], object]
    follow_keys_forever: Callable[[], Awaitable[None]]
    export_forever: Callable[[], Awaitable[None]]


class Server:
    """HTTP in, a version chosen, an answer out. `wire` makes its parts in this process."""

    def __init__(
        self,
        wire: Callable[[ServerArgs, Any], ServerParts],
        args: ServerArgs,
        coordinator: Any,
    ) -> None:
        log_to_ray(own_application, model=args.model, process="server")
        self._parts = wire(args, coordinator)
        self._versions = self._parts.versions
        self._model = args.model
        self._tasks: list[asyncio.Task[None]] = []
        self._busy = BusyMeter()

    def __serve_build_asgi_app__(self) -> Any:
        """Ray calls this in the replica, after the constructor."""
        return self._parts.app

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take a table.

        The first one raises when stable cannot be proven, so that the replica does not get ready.
        A later one never raises, since Ray would stop a serving replica: it is refused, and the
        last one stays.
        """
        is_first = self._versions.table is None
        try:
            table = parse_settings(Table, user_config, "user_config")
            self._check_fields(table)
        except SettingsError as error:
            if is_first:
                raise
            self._versions.refuse(str(error))
            return
        if not is_first:
            self._versions.change(table)
            return
        await self._versions.start(table)
        self._parts.describe()
        _spare_what_stays()
        if table.rollout is not None:
            await self._join(table)
        for forever in (
            self._parts.export_forever,
            self._parts.heartbeat.beat_forever,
            self._parts.follow_keys_forever,
        ):
            self._tasks.append(asyncio.ensure_future(forever()))

    def _check_fields(self, table: Table) -> None:
        """Refuse fields that no row has: the table does not know the contract."""
        contract = get_spec(self._model).contract
        slice_by = table.rollout.slice_by if table.rollout else ()
        wrong = unknown_slices(slice_by, contract)
        if wrong:
            raise SettingsError(f"user_config.rollout.slice_by: {wrong}")
        wrong = log_fault(table.log, contract)
        if wrong:
            raise SettingsError(f"user_config.log.{wrong}")

    async def _join(self, table: Table) -> None:
        """Join a rollout with the candidate loaded and the orders known; or later, without."""
        await self._versions.settle(table.limits.ready_timeout_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(JOIN_TIMEOUT_S):
                while True:
                    answered = await self._parts.heartbeat.beat()
                    if answered and self._parts.is_joined():
                        return
                    await asyncio.sleep(POLL_S)

    def check_health(self) -> None:
        """Ray asks before a replica counts as ready, and then again and again."""
        if self._versions.table is None:
            raise NotReady("user_config: found none, expected a table with `stable`")

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What the autoscaling policy is told of this replica."""
        return {BUSY: self._busy.read()}


def _spare_what_stays() -> None:
    """Let the garbage collector look no more at what is there now: modules, classes, the model.

    It is half a million objects. To go through them takes some 50 ms in which nobody is answered,
    and any request may set that off.
    """
    gc.collect()
    gc.freeze()
