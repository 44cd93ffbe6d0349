"""The processes of a cluster: the real classes of serve_app, wired as serve_app.app wires them.

What is not real here: Ray and HTTP around them, the model call, the store and the network.
"""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Protocol

from ray.serve.exceptions import BackPressureError

from benchmarks.simulator.loop import Process, VirtualLoop, context_of
from benchmarks.simulator.models import SPEC, SimulatedRuntime, proven
from benchmarks.simulator.network import Handle, Network, Target, Wire
from benchmarks.simulator.store import SimulatedObjects
from serve_app.app import opened_version
from serve_app.cluster.coordinator import Coordinator, CoordinatorParts
from serve_app.cluster.handles import IsolatedReplicas, RemoteRollout
from serve_app.cluster.heartbeat import Heartbeat
from serve_app.cluster.placements import InServerVersion, IsolatedApplication
from serve_app.cluster.report import Inbox
from serve_app.cluster.server import Server, ServerParts
from serve_app.cluster.version import Version
from serve_app.rollout.active_rollout import ActiveRollout
from serve_app.rollout.controller import Controller
from serve_app.rollout.log import Log
from serve_app.rollout.orders import Orders, order_out, written_orders
from serve_app.serving.answer import Observer
from serve_app.serving.opening import Opening
from serve_app.serving.router import Router
from serve_app.serving.version_counts import VersionCounts
from serve_app.serving.versions import Versions
from serve_app.settings import Rollout, ServerArgs, VersionArgs

# Calls that one replica takes; beyond it Ray refuses, as with max_queued_requests.
MOST_ONGOING = 300
ARGS = ServerArgs(model=SPEC.name)


class Stage(Protocol):
    """What processes are started on."""

    loop: VirtualLoop
    network: Network
    objects: SimulatedObjects

    def runtime(self, version: str) -> SimulatedRuntime:
        """The model of a version."""


class ServerProcess:
    """One server replica: real router, versions, active rollout, heartbeat."""

    def __init__(
        self, stage: Stage, name: str, table: dict[str, Any], coordinator: Any, witness: Observer
    ) -> None:
        self.process = Process(name)
        self.context = context_of(self.process)
        self.table = table
        self.is_ready = False
        self.router: Router
        self.versions: Versions
        self.rollout: ActiveRollout
        self.remote: RemoteRollout
        self._stage = stage
        self._coordinator = coordinator
        self._witness = witness
        self._server: Server
        stage.loop.create_task(self._start(), context=self.context)

    def take_table(self, table: dict[str, Any]) -> None:
        """Put another table in force, as a redeploy does."""
        self.table = table
        self._stage.loop.create_task(self._server.reconfigure(table), context=self.context)

    async def _start(self) -> None:
        # Serve makes an ASGI ingress of it, which is not needed here.
        self._server = Server(self._parts, ARGS, self._coordinator)
        await self._server.reconfigure(self.table)
        self.is_ready = True

    def _parts(self, args: ServerArgs, coordinator: Any) -> ServerParts:
        """As serve_app.app.server_parts, without HTTP and metrics."""
        opening = Opening(
            SPEC,
            load=lambda version, pin: proven(version, self._stage.runtime(version)),
            in_server=InServerVersion,
            application=partial(
                IsolatedApplication, lambda: self.versions.limits.deadline_ms / 1000
            ),
        )
        self.versions = Versions(opening.open)
        self.rollout = ActiveRollout(SPEC, self.versions, self._read_orders)
        observers = (VersionCounts(), self.rollout, self._witness)
        self.router = Router(SPEC, self.versions, observers, assigner=self.rollout)
        self.remote = RemoteRollout(coordinator, self.rollout, self._order_out)
        return ServerParts(
            app=None,
            versions=self.versions,
            heartbeat=Heartbeat(
                self.process.name, parts=(self.rollout,), send=coordinator.report.remote
            ),
            is_joined=lambda: self.rollout.is_known,
            describe=dict,
            follow_keys_forever=_nothing,
            export_forever=_nothing,
        )

    def _read_orders(self, rollout: str) -> Orders:
        return written_orders(log_of(self._stage, rollout), rollout)

    def _order_out(self, plan: Rollout, by: str, reason: str) -> None:
        order_out(log_of(self._stage, plan.id), plan, by, reason)


def log_of(stage: Stage, rollout: str) -> Log:
    """The log of a rollout, in the store in memory."""
    return Log(stage.objects, "memory", SPEC.name, rollout)  # type: ignore[arg-type]


async def _nothing() -> None:
    """There are neither keys nor metrics here."""


class CoordinatorProcess:
    """One coordinator: real inbox, controller, decisions and log."""

    def __init__(self, stage: Stage, name: str, wall_offset_s: float) -> None:
        self.process = Process(name, wall_offset_s=wall_offset_s)
        self.context = context_of(self.process)
        self.controller: Controller
        self._stage = stage
        self.instance: Coordinator = self.context.run(Coordinator, self._parts, ARGS)

    def _parts(self, args: ServerArgs) -> CoordinatorParts:
        """As serve_app.app.coordinator_parts, over a store in memory."""
        self.controller = Controller(self._open_log, IsolatedReplicas(SPEC.name))
        return CoordinatorParts(Inbox(parts=(self.controller,)), self.controller)

    def _open_log(self, rollout: str) -> Log:
        return log_of(self._stage, rollout)


class Replica:
    """One replica of an isolated version: the real class, in a process of its own."""

    def __init__(self, stage: Stage, name: str, version: str) -> None:
        self.process = Process(name)
        self.context = context_of(self.process)
        self.version = version
        self.instance: Version
        self.is_ready = False
        self.n_ongoing = 0
        stage.loop.create_task(self._start(), context=self.context)

    async def _start(self) -> None:
        self.instance = Version(opened_version, VersionArgs(model=SPEC.name, version=self.version))
        await self.instance.reconfigure({})
        self.is_ready = True


class Application:
    """An isolated version: its replicas, behind one handle that chooses among them.

    `refused` is told of each call that is too many.
    """

    def __init__(
        self, stage: Stage, version: str, n_replicas: int, refused: Callable[[], None]
    ) -> None:
        self.version = version
        self.wire = Wire()
        self.replicas: list[Replica] = []
        self.most_ongoing = MOST_ONGOING
        self._refused = refused
        self._stage = stage
        self._n_started = 0
        for _ in range(n_replicas):
            self.start_replica()

    def start_replica(self) -> None:
        """Start one more."""
        self._n_started += 1
        name = f"{self.version}#{self._n_started}"
        self.replicas.append(Replica(self._stage, name, self.version))

    def kill_replica(self, replica: Replica) -> None:
        """One less, at once."""
        replica.process.is_dead = True
        self.replicas.remove(replica)
        self._stage.network.died(replica.process)

    @property
    def ready(self) -> list[Replica]:
        """Replicas that can be asked."""
        return [replica for replica in self.replicas if replica.is_ready]

    def __getattr__(self, method: str) -> SimpleNamespace:
        if method.startswith("_"):
            raise AttributeError(method)
        return SimpleNamespace(remote=partial(self._call, method))

    def _call(self, method: str, *args: Any) -> Any:
        ready = self.ready
        if ready:
            least = min(ready, key=lambda replica: replica.n_ongoing)
            if method == "score" and least.n_ongoing >= self.most_ongoing:
                self._refused()
                refused = self._stage.loop.create_future()
                refused.set_exception(BackPressureError(self.most_ongoing, self.most_ongoing))
                return refused
            least.n_ongoing += 1

            def ended(_: Any) -> None:
                least.n_ongoing -= 1

            found = (least.instance, least.process)
            answer = self._call_of(lambda: found, method, args)
            answer.add_done_callback(ended)
            return answer
        return self._call_of(self._any_ready, method, args)

    def _call_of(self, target: Target, method: str, args: tuple[Any, ...]) -> Any:
        # Nobody changes a block.
        return self._stage.network.call(target, self.wire, method, args, is_copied=False)

    def _any_ready(self) -> Any:
        ready = self.ready
        return (ready[0].instance, ready[0].process) if ready else None


def coordinator_handle(stage: Stage, current: Callable[[], Any], wire: Wire) -> Handle:
    """What a server reaches its coordinator by; `current` gives the one that lives, or None."""
    return Handle(stage.network, current, wire)
