"""What can go wrong, and when: each fault is a record that plans itself in a world."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from benchmarks.simulator.loop import Process
from benchmarks.simulator.models import Behaviour
from benchmarks.simulator.network import Wire
from benchmarks.simulator.store import StoreState

# deploy: the beginning. The others: when the log first says so; canary: at the first percent.
Since = Literal["deploy", "shadow", "canary", "50 %", "100 %", "out"]
Group = Literal["servers", "stable", "candidate", "versions", "coordinator", "everything"]


@dataclass(frozen=True)
class Moment:
    """So many seconds after something."""

    since: Since = "deploy"
    after_s: float = 0.0


class World(Protocol):
    """What faults act on."""

    def at(self, moment: Moment, act: Callable[[], None]) -> None:
        """Do something once at a moment."""

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something once, so many seconds from now."""

    def every(self, mean_s: float, act: Callable[[], None]) -> None:
        """Do something again and again from now on, at exponential intervals."""

    def tell(self, text: str) -> None:
        """A line of the story."""

    def processes(self, group: Group) -> list[Process]:
        """Those that live now."""

    def one_of(self, processes: Sequence[Process]) -> Process:
        """Any of them."""

    def between(self, least_s: float, most_s: float) -> float:
        """A time, by its logarithm evenly."""

    def stall(self, process: Process, seconds: float) -> None:
        """Stop a process for a while."""

    def restart(self, group: Group, away_s: float) -> None:
        """Kill one process of a group; another starts after a while."""

    def wires(self, share: float) -> list[Wire]:
        """The ways of this share of the servers to the coordinator."""

    def set_store(self, state: StoreState) -> None:
        """How the store of the logs is from now on."""

    def set_behaviour(self, version: Literal["stable", "candidate"], how: Behaviour) -> None:
        """How a version answers from now on."""

    def behaviour(self, version: Literal["stable", "candidate"]) -> Behaviour:
        """How it answers now."""

    def set_traffic(self, rate_per_s: float | None, batch_share: float = 0.0) -> None:
        """How much is asked from now on; None: as the scenario says."""

    def limit_queue(
        self, version: Literal["stable", "candidate"], most_ongoing: int | None
    ) -> None:
        """How many calls an isolated version takes; None: as always."""

    def start_second_cluster(self) -> None:
        """Another cluster with the same file and the same store of logs, and no clients."""

    def make_stable(self) -> None:
        """The file is deployed with the candidate as stable, and without a rollout."""

    def command(self, action: str) -> None:
        """A person's command, sent to a server."""

    def take_away(self) -> None:
        """A person wants the candidate out: the run ends with whether that works."""


class Fault(Protocol):
    """Something that happens."""

    def plan(self, world: World) -> None:
        """Plan what happens when."""


@dataclass(frozen=True)
class Stalls:
    """Processes stop for a while, each about every `every_s` seconds; or all of them together."""

    of: Group
    every_s: float
    least_s: float
    most_s: float
    together: bool = False
    since: Since = "deploy"

    def plan(self, world: World) -> None:
        """Plan them."""

        def stop_all() -> None:
            seconds = world.between(self.least_s, self.most_s)
            world.tell(f"{self.of}: all stop for {seconds:.2f} s")
            for process in world.processes(self.of):
                world.stall(process, seconds)

        def stop_one() -> None:
            found = world.processes(self.of)
            if not found:
                return
            seconds = world.between(self.least_s, self.most_s)
            process = world.one_of(found)
            world.tell(f"{process.name} stops for {seconds:.2f} s")
            world.stall(process, seconds)

        def begin() -> None:
            n = max(1, len(world.processes(self.of)))
            mean_s = self.every_s if self.together else self.every_s / n
            world.every(mean_s, stop_all if self.together else stop_one)

        # A second later, so that processes are there to be counted.
        world.at(Moment(self.since, 1.0), begin)


@dataclass(frozen=True)
class Stall:
    """All processes of a group stop once."""

    of: Group
    at: Moment
    lasts_s: float

    def plan(self, world: World) -> None:
        """Plan it."""

        def stop() -> None:
            world.tell(f"{self.of}: all stop for {self.lasts_s:g} s")
            for process in world.processes(self.of):
                world.stall(process, self.lasts_s)

        world.at(self.at, stop)


@dataclass(frozen=True)
class Restart:
    """A process of a group dies, and another starts `away_s` later; again every `every_s`."""

    of: Group
    at: Moment = Moment()
    away_s: float = 3.0
    every_s: float | None = None

    def plan(self, world: World) -> None:
        """Plan it."""

        def act() -> None:
            world.restart(self.of, self.away_s)

        if self.every_s is None:
            world.at(self.at, act)
            return
        mean_s = self.every_s
        world.at(self.at, lambda: world.every(mean_s, act))


@dataclass(frozen=True)
class BadWires:
    """The way of `share` of the servers to the coordinator is as `wire` says, for a while."""

    wire: Wire
    share: float = 1.0
    at: Moment = Moment()
    lasts_s: float = 1e9

    def plan(self, world: World) -> None:
        """Plan it."""

        def begin() -> None:
            wires = world.wires(self.share)
            world.tell(f"the network of {len(wires)} servers: {self.wire}")
            for wire in wires:
                vars(wire).update(vars(self.wire))
            world.later(self.lasts_s, lambda: end(wires))

        def end(wires: list[Wire]) -> None:
            world.tell("the network is well again")
            for wire in wires:
                vars(wire).update(vars(Wire()))

        world.at(self.at, begin)


@dataclass(frozen=True)
class Store:
    """The store of the logs is in this state for a while."""

    state: StoreState
    at: Moment
    lasts_s: float = 1e9

    def plan(self, world: World) -> None:
        """Plan it."""

        def begin() -> None:
            world.set_store(self.state)
            world.later(self.lasts_s, lambda: world.set_store("well"))

        world.at(self.at, begin)


@dataclass(frozen=True)
class ClockJump:
    """The coordinator's clock of the day jumps."""

    by_s: float
    at: Moment

    def plan(self, world: World) -> None:
        """Plan it."""

        def jump() -> None:
            world.tell(f"the coordinator's clock jumps by {self.by_s:g} s")
            for process in world.processes("coordinator"):
                process.wall_offset_s += self.by_s

        world.at(self.at, jump)


@dataclass(frozen=True)
class Changes:
    """A version answers otherwise from a moment on, for a while."""

    version: Literal["stable", "candidate"]
    how: Behaviour
    at: Moment
    lasts_s: float | None = None

    def plan(self, world: World) -> None:
        """Plan it."""

        def begin() -> None:
            before = world.behaviour(self.version)
            world.set_behaviour(self.version, self.how)
            if self.lasts_s is not None:
                world.later(self.lasts_s, lambda: world.set_behaviour(self.version, before))

        world.at(self.at, begin)


def outage(at: Moment, lasts_s: float) -> tuple[Changes, Changes]:
    """Both versions fail everything for a while: what they both need is away."""
    failing = replace(Behaviour(), error_share=1.0)
    return (
        Changes("stable", failing, at, lasts_s),
        Changes("candidate", failing, at, lasts_s),
    )


@dataclass(frozen=True)
class Rush:
    """So many requests a second for a while; or a batch of one segment beside the others."""

    at: Moment
    lasts_s: float
    rate_per_s: float | None = None
    batch_share: float = 0.0

    def plan(self, world: World) -> None:
        """Plan it."""

        def begin() -> None:
            world.set_traffic(self.rate_per_s, self.batch_share)
            world.later(self.lasts_s, lambda: world.set_traffic(None))

        world.at(self.at, begin)


@dataclass(frozen=True)
class FullQueues:
    """An isolated version takes no more calls for a while."""

    of: Literal["stable", "candidate"]
    at: Moment
    lasts_s: float
    most_ongoing: int = 0

    def plan(self, world: World) -> None:
        """Plan it."""

        def begin() -> None:
            world.limit_queue(self.of, self.most_ongoing)
            world.later(self.lasts_s, lambda: world.limit_queue(self.of, None))

        world.at(self.at, begin)


@dataclass(frozen=True)
class SecondCluster:
    """An upgrade that builds another cluster beside the first, with the same store."""

    at: Moment

    def plan(self, world: World) -> None:
        """Plan it."""
        world.at(self.at, world.start_second_cluster)


@dataclass(frozen=True)
class MakeStable:
    """A person writes the candidate as stable, takes the rollout out, and deploys the file."""

    at: Moment

    def plan(self, world: World) -> None:
        """Plan it."""
        world.at(self.at, world.make_stable)


@dataclass(frozen=True)
class Command:
    """A person gives a command."""

    action: str
    at: Moment

    def plan(self, world: World) -> None:
        """Plan it."""
        world.at(self.at, lambda: world.command(self.action))


@dataclass(frozen=True)
class TakeAway:
    """A person takes the candidate's share away, by whatever command is possible."""

    at: Moment

    def plan(self, world: World) -> None:
        """Plan it."""
        world.at(self.at, world.take_away)
