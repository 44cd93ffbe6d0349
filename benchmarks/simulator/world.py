"""A simulated cluster with its clients, and what faults do to it."""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.simulator.balancer import Balancer
from benchmarks.simulator.cluster import Cluster
from benchmarks.simulator.fault import Arm, Group, Moment, Which, begun_by
from benchmarks.simulator.loop import Process, VirtualLoop
from benchmarks.simulator.models import Behaviour, SimulatedRuntime
from benchmarks.simulator.network import Network, Wire
from benchmarks.simulator.processes import (
    MOST_ONGOING,
    Application,
    Replica,
)
from benchmarks.simulator.scenario import CANDIDATE, STABLE, Scenario
from benchmarks.simulator.store import SimulatedObjects, StoreState
from benchmarks.simulator.story import Story
from benchmarks.simulator.traffic import Clients
from benchmarks.simulator.witness import Witness
from serve_app.errors import HttpError
from serve_app.rollout.event import Event, parse
from serve_app.rollout.log import EVENT_FILE

VERSIONS: dict[str, str] = {"stable": STABLE, "candidate": CANDIDATE}


class SimulatedWorld:
    """Everything of one run; a `faults.World`, and the stage of its processes."""

    def __init__(self, scenario: Scenario, seed: int, loop: VirtualLoop, story: Story) -> None:
        self.scenario = scenario
        self.loop = loop
        self.story = story
        self._rngs = {
            name: random.Random(f"{scenario.name}/{seed}/{name}")
            for name in ("clients", "balancer", "stable", "candidate", "network", "store", "faults")
        }
        self.network = Network(loop, self._rngs["network"])
        self.objects = SimulatedObjects(self._rngs["store"], self._created)
        self.witness = Witness(CANDIDATE, loop.time, self._is_failing)
        self._runtimes = {
            STABLE: SimulatedRuntime(
                self._rngs["stable"], scenario.stable, failed=self.witness.excuse
            ),
            CANDIDATE: SimulatedRuntime(
                self._rngs["candidate"], scenario.candidate, failed=self._candidate_failed
            ),
        }
        self._is_made_stable = False
        self.events: list[Event] = []
        self._waiting: dict[str, list[tuple[Moment, Callable[[], None]]]] = {}
        self._clients = Clients(scenario.traffic, self._rngs["clients"])
        self._rate_per_s = self._clients.rate_per_s
        self.applications = {
            version: Application(
                self, version, scenario.n_replicas, partial(self._refused, version)
            )
            for version, where in scenario.placements.items()
            if where == "isolated"
        }
        self.clusters: list[Cluster] = []
        self._start_cluster("")
        # The cluster that clients ask, in which persons command and faults happen.
        self.cluster = self.clusters[0]
        self.balancer = Balancer(
            loop, self._rngs["balancer"], self._clients, lambda: self.cluster.servers, story
        )
        for fault in scenario.faults:
            fault.plan(self)

    def _start_cluster(self, name: str) -> None:
        scenario = self.scenario
        cluster = Cluster(self, name, scenario.table, scenario.n_servers, self.witness)
        self.clusters.append(cluster)

    # What the processes are started on.

    def runtime(self, version: str) -> SimulatedRuntime:
        """The model of a version."""
        return self._runtimes[version]

    # What the log says.

    def _created(self, key: str, data: bytes) -> None:
        if not EVENT_FILE.search(key):
            self.tell(f"next to the log: {key.rpartition('/')[2]}")
            return
        event = parse(data, key)
        self.events.append(event)
        self.story.event(event)
        if self.scenario.ends_with(event):
            self.loop.stop()
        for name in begun_by(event):
            for moment, act in self._waiting.pop(name, []):
                self.loop.call_later(moment.after_s, act, context=self.network.outside)

    @property
    def percents(self) -> list[float]:
        """What each server gives the candidate now."""
        return [
            server.rollout.percent
            for cluster in self.clusters
            for server in cluster.servers
            if server.is_ready
        ]

    def _refused(self, version: str) -> None:
        if version == STABLE:
            self.witness.excuse()

    def _candidate_failed(self) -> None:
        if self._is_made_stable:
            self.witness.excuse()

    def _is_failing(self) -> bool:
        """Whether nobody gets an answer of the candidate, whatever is asked."""
        application = self.applications.get(CANDIDATE)
        is_gone = application is not None and not application.ready
        return is_gone or self._runtimes[CANDIDATE].behaviour.fails_everything

    # What faults do.

    def tell(self, text: str) -> None:
        """A line of the story."""
        self.story.tell(f"* {text}")

    def at(self, moment: Moment, act: Callable[[], None]) -> None:
        """Do something once at a moment."""
        if moment.since == "deploy":
            self.later(moment.after_s, act)
        else:
            self._waiting.setdefault(moment.since, []).append((moment, act))

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something once, so many seconds from now."""
        self.loop.call_later(seconds, act, context=self.network.outside)

    def every(self, mean_s: float, act: Callable[[], None]) -> None:
        """Do something again and again from now on, at exponential intervals."""
        rng = self._rngs["faults"]

        def again() -> None:
            act()
            self.later(rng.expovariate(1 / mean_s), again)

        self.later(rng.expovariate(1 / mean_s), again)

    def processes(self, group: Group) -> list[Process]:
        """Those that live now."""
        found: list[Process] = []
        if group in ("servers", "everything"):
            found += [server.process for server in self.cluster.servers]
        for name, version in VERSIONS.items():
            if group in (name, "versions", "everything") and version in self.applications:
                found += [replica.process for replica in self.applications[version].replicas]
        coordinator = self.cluster.coordinator
        if group in ("coordinator", "everything") and coordinator is not None:
            found.append(coordinator.process)
        return found

    def one_of(self, processes: Sequence[Process]) -> Process:
        """Pick any of them."""
        return self._rngs["faults"].choice(processes)

    def between(self, least_s: float, most_s: float) -> float:
        """A time, by its logarithm evenly."""
        return math.exp(self._rngs["faults"].uniform(math.log(least_s), math.log(most_s)))

    def stall(self, process: Process, seconds: float) -> None:
        """Stop a process for a while."""
        self.witness.excuse(seconds)
        self.loop.stall(process, seconds)

    def restart(self, group: Group, away_s: float) -> None:
        """Kill one process of a group; another starts after a while."""
        cluster = self.cluster
        if group == "coordinator":
            self.tell("the coordinator dies")
            cluster.kill_coordinator()
            self.later(away_s, partial(self._start_coordinator, cluster))
        elif group == "servers":
            self._restart_server(away_s)
        else:
            application = self.applications[VERSIONS[group]]
            if application.replicas:
                replica: Replica = self._rngs["faults"].choice(application.replicas)
                self.tell(f"{replica.process.name} dies")
                application.kill_replica(replica)
                is_gone = group == "stable" and not application.replicas
                # Nobody else answers for stable until another process of it is there.
                self.witness.excuse(away_s if is_gone else 0.0)
                self.later(away_s, application.start_replica)

    def _start_coordinator(self, cluster: Cluster) -> None:
        self.tell("a coordinator starts")
        cluster.start_coordinator()

    def _restart_server(self, away_s: float) -> None:
        cluster = self.cluster
        if not cluster.servers:
            return
        server = self._rngs["faults"].choice(cluster.servers)
        self.tell(f"{server.process.name} dies")
        cluster.kill_server(server)
        self.later(away_s, cluster.start_server)
        self.balancer.died(server)

    def wires(self, share: float) -> list[Wire]:
        """The ways of this share of the servers to the coordinator."""
        found = list(self.cluster.wires.values())
        return found[: math.ceil(share * len(found))]

    def set_store(self, state: StoreState) -> None:
        """How the store of the logs is from now on."""
        self.tell(f"the store of the logs is {state}")
        self.objects.state = state

    def behaviour(self, version: Arm) -> Behaviour:
        """How a version answers now."""
        return self._runtimes[VERSIONS[version]].behaviour

    def set_behaviour(self, version: Arm, how: Behaviour) -> None:
        """How a version answers from now on."""
        self.tell(f"{version} answers otherwise from now on: {how}")
        self._runtimes[VERSIONS[version]].behaviour = how

    def set_traffic(self, rate_per_s: float | None, batch_share: float = 0.0) -> None:
        """How much is asked from now on."""
        self._clients.rate_per_s = rate_per_s or self._rate_per_s
        self._clients.batch_share = batch_share
        self.tell(f"{self._clients.rate_per_s:g} requests/s, {batch_share:.0%} of them one batch")

    def limit_queue(self, version: Arm, most_ongoing: int | None) -> None:
        """How many calls an isolated version takes."""
        limit = MOST_ONGOING if most_ongoing is None else most_ongoing
        self.applications[VERSIONS[version]].most_ongoing = limit
        self.tell(f"{version} takes at most {limit} calls")

    def jump_clock(self, by_s: float) -> None:
        """The clock of the coordinator's machine jumps."""
        self.tell(f"the clock of the coordinator's machine jumps by {by_s:g} s")
        self.cluster.jump_clock(by_s)

    def start_second_cluster(self) -> None:
        """Another cluster with the same file and the same store of logs, and no clients yet."""
        self.tell("a second cluster starts with the same store of logs")
        self._start_cluster("second-")

    def send_clients_to(self, which: Which) -> None:
        """All clients ask the servers of this cluster from now on."""
        self.tell(f"all clients ask the {which} cluster")
        self.cluster = self.clusters[0 if which == "first" else 1]

    def make_stable(self) -> None:
        """The file is deployed with the candidate as stable, and without a rollout."""
        self.tell(f"a file is deployed: stable is {CANDIDATE}, no rollout")
        placed = self.scenario.table["versions"][CANDIDATE]
        table = {"stable": CANDIDATE, "versions": {CANDIDATE: placed}}
        self._is_made_stable = True
        for server in self.cluster.servers:
            server.take_table({**table, "limits": dict(self.scenario.limits)})

    def put_back(self) -> None:
        """The file is deployed as it was in the beginning."""
        self.tell("the file with the rollout is deployed again")
        self._is_made_stable = False
        for server in self.cluster.servers:
            server.take_table(self.scenario.table)

    def command(self, action: str) -> None:
        """A person's command, sent to a server."""
        self.loop.create_task(self._command(action), context=self.network.outside.copy())

    async def _command(self, action: str) -> None:
        ready = [server for server in self.cluster.servers if server.is_ready]
        if not ready:
            self.tell(f"a person says {action}: no server answers")
            return
        task: asyncio.Task[Any] = self.loop.create_task(
            ready[0].remote.command(action, "ada", "I say so"),  # type: ignore[arg-type]
            context=ready[0].context.copy(),
        )
        try:
            await task
            self.tell(f"a person says {action}: done")
        except HttpError as error:
            self.tell(f"a person says {action}: {error.status} {error.detail}")

    def take_away(self) -> None:
        """A person wants the candidate out: the run ends with whether that works."""
        self.loop.stop()
