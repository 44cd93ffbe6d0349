"""One cluster: servers, their coordinator, and the ways between them."""

from typing import Any

from benchmarks.simulator.loop import Process
from benchmarks.simulator.network import Handle, Wire
from benchmarks.simulator.processes import CoordinatorProcess, ServerProcess, Stage
from serve_app.serving.answer import Observer


class Cluster:
    """All servers have the same table; `name` begins the names of its processes."""

    def __init__(
        self,
        stage: Stage,
        name: str,
        table: dict[str, Any],
        n_servers: int,
        witness: Observer,
    ) -> None:
        self._stage = stage
        self._name = name
        self._table = table
        self._witness = witness
        self._n_started = 0
        self._n_coordinators = 0
        # How far the clock of the coordinator's machine is off.
        self._wall_offset_s = 0.0
        self.wires: dict[ServerProcess, Wire] = {}
        self.coordinator: CoordinatorProcess | None = None
        self.start_coordinator()
        for _ in range(n_servers):
            self.start_server()

    @property
    def servers(self) -> list[ServerProcess]:
        """The servers that live."""
        return list(self.wires)

    def start_server(self) -> None:
        """One more; it takes clients when it is ready."""
        self._n_started += 1
        wire = Wire()
        handle = Handle(self._stage.network, self._current, wire)
        name = f"{self._name}server-{self._n_started}"
        server = ServerProcess(self._stage, name, self._table, handle, self._witness)
        self.wires[server] = wire

    def kill_server(self, server: ServerProcess) -> None:
        """One less, at once."""
        server.process.is_dead = True
        del self.wires[server]
        self._stage.network.died(server.process)

    def start_coordinator(self) -> None:
        """Start the only coordinator."""
        self._n_coordinators += 1
        name = f"{self._name}coordinator-{self._n_coordinators}"
        self.coordinator = CoordinatorProcess(self._stage, name, self._wall_offset_s)

    def kill_coordinator(self) -> None:
        """Until another is started, there is none."""
        if self.coordinator is not None:
            self.coordinator.process.is_dead = True
            self._stage.network.died(self.coordinator.process)
        self.coordinator = None

    def jump_clock(self, by_s: float) -> None:
        """The clock of the coordinator's machine jumps, whether it runs now or starts later."""
        self._wall_offset_s += by_s
        if self.coordinator is not None:
            self.coordinator.process.wall_offset_s = self._wall_offset_s

    def _current(self) -> tuple[Any, Process] | None:
        if self.coordinator is None:
            return None
        return self.coordinator.instance, self.coordinator.process
