"""A scenario: what a cluster, its clients, its versions and its bad luck are like; plain values.

To add one, write it into one of the lists that `scenarios/` joins. Everything that can happen is
a fault of `faults.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from benchmarks.simulator.fault import Fault
from benchmarks.simulator.models import Behaviour
from benchmarks.simulator.traffic import Traffic
from serve_app.rollout.event import Event

STABLE = "1.0.0"
CANDIDATE = "1.1.0"
# Limits as they are shipped, fewer steps, and a fifth of the time: at 50 requests a second each
# step has its `min_requests` by then, and a rollout has some 6,000 requests.
PLAN: Mapping[str, Any] = {
    "stable": STABLE,
    "candidate": CANDIDATE,
    "steps": [10, 50, 100],
    "min_seconds": 60,
    "min_requests": 300,
    "bake_seconds": 600,
}
LONGEST_EXPOSURE_S = 15.0
Placement = Literal["in_server", "isolated"]


@dataclass(frozen=True)
class Expectation:
    """What must hold over all runs of a scenario; None: nothing is said about it.

    Shares are of runs. `longest_exposure_s`: in so many seconds, at most, clients may be given to a
    candidate that fails everything. In every scenario no answer is lost, and a person can take the
    share away.
    """

    most_aborted: float | None = None
    # Only of holds whose cause begins with one of these words, where there are any.
    most_held: float | None = None
    held_by: tuple[str, ...] = ()
    most_passed: float | None = None
    most_undecided: float | None = None
    longest_exposure_s: float | None = None
    most_median_requests: float | None = None


# A candidate that is as good as stable; where it cannot be decided the rollout holds or waits.
EQUAL = Expectation(most_aborted=0.01)
# A candidate that fails everything.
BROKEN = Expectation(most_passed=0.0, longest_exposure_s=LONGEST_EXPOSURE_S)
# A candidate that is worse, but answers.
NEVER_PASSES = Expectation(most_passed=0.0)


@dataclass(frozen=True)
class Scenario:
    """One row of the table.

    `placement` is that of both versions, or of stable alone where the candidate has one of its own.
    `rollout` changes keys of `PLAN`. `until` says when a run is over: at 100 %, when the rollout is
    finished, or after `longest_s`, unless the candidate is out or held before. `finds` names
    findings that it shows.
    """

    name: str
    about: str
    expected: Expectation
    placement: Placement = "in_server"
    candidate_placement: Placement | None = None
    rollout: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    stable: Behaviour = field(default_factory=Behaviour)
    candidate: Behaviour = field(default_factory=Behaviour)
    n_servers: int = 2
    n_replicas: int = 1
    faults: tuple[Fault, ...] = ()
    until: Literal["100 %", "finished", "the end"] = "100 %"
    longest_s: float = 900.0
    finds: tuple[str, ...] = ()

    @property
    def placements(self) -> dict[str, Placement]:
        """Where each version is."""
        return {STABLE: self.placement, CANDIDATE: self.candidate_placement or self.placement}

    def ends_with(self, event: Event) -> bool:
        """Whether a run is over when the log says so."""
        if event.kind in ("aborted", "rolled_back", "held"):
            return True
        if event.kind == "finished":
            return self.until != "the end"
        return self.until == "100 %" and event.kind == "entered" and event.share == 100

    @property
    def table(self) -> dict[str, Any]:
        """The `user_config` of its servers."""
        placed = {version: {"placement": where} for version, where in self.placements.items()}
        return {
            "rollout": {**PLAN, **self.rollout},
            "versions": placed,
            "limits": dict(self.limits),
        }


def expecting(
    expected: Expectation, /, name: str, about: str, *finds: str, **how: object
) -> Scenario:
    """A scenario of which this is expected; `how` sets its other fields."""
    return replace(Scenario(name, about, expected, finds=finds), **how)  # type: ignore[arg-type]


def in_both(scenario: Scenario) -> tuple[Scenario, Scenario]:
    """The scenario in server, and the same isolated."""
    return scenario, isolated(scenario)


def isolated(scenario: Scenario) -> Scenario:
    """The same with both versions in applications of their own."""
    return replace(
        scenario,
        name=f"{scenario.name}-isolated",
        about=f"isolated, {scenario.about}",
        placement="isolated",
    )
