"""When something happens in a run, and what a fault may do to the world."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from benchmarks.simulator.loop import Process
from benchmarks.simulator.models import Behaviour
from benchmarks.simulator.network import Wire
from benchmarks.simulator.store import StoreState
from serve_app.rollout.event import Event

# deploy: the beginning. The others: when the log first says so; canary: at the first percent.
Since = Literal["deploy", "shadow", "canary", "50 %", "100 %", "finished", "out"]
Arm = Literal["stable", "candidate"]
Group = Literal["servers", "stable", "candidate", "versions", "coordinator", "everything"]
Which = Literal["first", "second"]


@dataclass(frozen=True)
class Moment:
    """So many seconds after something."""

    since: Since = "deploy"
    after_s: float = 0.0


DEPLOY = Moment()


def begun_by(event: Event) -> list[str]:
    """The moments that an event of the log begins; see `Since`."""
    if event.kind in ("aborted", "rolled_back"):
        return ["out"]
    if event.kind == "finished":
        return ["finished"]
    if event.kind != "entered":
        return []
    if event.share == "shadow":
        return ["shadow"]
    return ["canary", f"{event.share:g} %"]


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
        """Pick any of them."""

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

    def set_behaviour(self, version: Arm, how: Behaviour) -> None:
        """How a version answers from now on."""

    def behaviour(self, version: Arm) -> Behaviour:
        """How it answers now."""

    def set_traffic(self, rate_per_s: float | None, batch_share: float = 0.0) -> None:
        """How much is asked from now on; None: as the scenario says."""

    def limit_queue(self, version: Arm, most_ongoing: int | None) -> None:
        """How many calls an isolated version takes; None: as always."""

    def jump_clock(self, by_s: float) -> None:
        """The clock of the coordinator's machine jumps, for whoever runs or starts there."""

    def start_second_cluster(self) -> None:
        """Another cluster with the same file and the same store of logs, and no clients yet."""

    def send_clients_to(self, which: Which) -> None:
        """All clients ask the servers of this cluster from now on."""

    def make_stable(self) -> None:
        """The file is deployed with the candidate as stable, and without a rollout."""

    def put_back(self) -> None:
        """The file is deployed as it was in the beginning."""

    def command(self, action: str) -> None:
        """A person's command, sent to a server."""

    def take_away(self) -> None:
        """A person wants the candidate out: the run ends with whether that works."""


class Fault(Protocol):
    """Something that happens."""

    def plan(self, world: World) -> None:
        """Plan what happens when."""
