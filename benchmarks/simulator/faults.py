"""What can go wrong: each fault is a record that plans itself in a world."""

from dataclasses import dataclass

from benchmarks.simulator.fault import DEPLOY, Arm, Group, Moment, Since, World
from benchmarks.simulator.models import Behaviour
from benchmarks.simulator.network import Wire
from benchmarks.simulator.store import StoreState


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
        """Plan when they happen."""

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
        """Plan when it happens."""

        def stop() -> None:
            world.tell(f"{self.of}: all stop for {self.lasts_s:g} s")
            for process in world.processes(self.of):
                world.stall(process, self.lasts_s)

        world.at(self.at, stop)


@dataclass(frozen=True)
class Restart:
    """A process of a group dies, and another starts `away_s` later; again every `every_s`."""

    of: Group
    at: Moment = DEPLOY
    away_s: float = 3.0
    every_s: float | None = None

    def plan(self, world: World) -> None:
        """Plan when it happens."""

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
    at: Moment = DEPLOY
    lasts_s: float = 1e9

    def plan(self, world: World) -> None:
        """Plan when it happens."""

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
        """Plan when it happens."""

        def begin() -> None:
            world.set_store(self.state)
            world.later(self.lasts_s, lambda: world.set_store("well"))

        world.at(self.at, begin)


@dataclass(frozen=True)
class ClockJump:
    """The clock of the day jumps on the coordinator's machine."""

    by_s: float
    at: Moment

    def plan(self, world: World) -> None:
        """Plan when it happens."""
        world.at(self.at, lambda: world.jump_clock(self.by_s))


@dataclass(frozen=True)
class Changes:
    """A version answers otherwise from a moment on, for a while."""

    version: Arm
    how: Behaviour
    at: Moment
    lasts_s: float | None = None

    def plan(self, world: World) -> None:
        """Plan when it happens."""

        def begin() -> None:
            before = world.behaviour(self.version)
            world.set_behaviour(self.version, self.how)
            if self.lasts_s is not None:
                world.later(self.lasts_s, lambda: world.set_behaviour(self.version, before))

        world.at(self.at, begin)


def outage(at: Moment, lasts_s: float) -> tuple[Changes, Changes]:
    """Both versions fail everything for a while: what they both need is away."""
    failing = Behaviour(error_share=1.0)
    return (
        Changes("stable", failing, at, lasts_s),
        Changes("candidate", failing, at, lasts_s),
    )


@dataclass(frozen=True)
class Rush:
    """So many requests a second for a while; or a batch of one segment among the others."""

    at: Moment
    lasts_s: float
    rate_per_s: float | None = None
    batch_share: float = 0.0

    def plan(self, world: World) -> None:
        """Plan when it happens."""

        def begin() -> None:
            world.set_traffic(self.rate_per_s, self.batch_share)
            world.later(self.lasts_s, lambda: world.set_traffic(None))

        world.at(self.at, begin)


@dataclass(frozen=True)
class FullQueues:
    """An isolated version takes no more calls for a while."""

    of: Arm
    at: Moment
    lasts_s: float
    most_ongoing: int = 0

    def plan(self, world: World) -> None:
        """Plan when it happens."""

        def begin() -> None:
            world.limit_queue(self.of, self.most_ongoing)
            world.later(self.lasts_s, lambda: world.limit_queue(self.of, None))

        world.at(self.at, begin)


@dataclass(frozen=True)
class SecondCluster:
    """An upgrade that builds another cluster next to the first, with the same store.

    All clients go there `clients_after_s` later, and come back `back_after_s` after that; None:
    they never do. Without clients it must not take the log.
    """

    at: Moment
    clients_after_s: float | None = None
    back_after_s: float | None = None

    def plan(self, world: World) -> None:
        """Plan when it happens."""

        def begin() -> None:
            world.start_second_cluster()
            if self.clients_after_s is not None:
                world.later(self.clients_after_s, go_there)

        def go_there() -> None:
            world.send_clients_to("second")
            if self.back_after_s is not None:
                world.later(self.back_after_s, lambda: world.send_clients_to("first"))

        world.at(self.at, begin)


@dataclass(frozen=True)
class MakeStable:
    """A person writes the candidate as stable, takes the rollout out, and deploys the file.

    `back_after_s` later the file with the rollout is deployed again; None: never.
    """

    at: Moment
    back_after_s: float | None = None

    def plan(self, world: World) -> None:
        """Plan when it happens."""

        def begin() -> None:
            world.make_stable()
            if self.back_after_s is not None:
                world.later(self.back_after_s, world.put_back)

        world.at(self.at, begin)


@dataclass(frozen=True)
class Command:
    """A person gives a command."""

    action: str
    at: Moment

    def plan(self, world: World) -> None:
        """Plan when it happens."""
        world.at(self.at, lambda: world.command(self.action))


@dataclass(frozen=True)
class TakeAway:
    """A person takes the candidate's share away, by whatever command is possible."""

    at: Moment

    def plan(self, world: World) -> None:
        """Plan when it happens."""
        world.at(self.at, world.take_away)
