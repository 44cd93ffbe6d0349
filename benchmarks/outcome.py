"""What was measured, as plain data that goes into the JSON file."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.plan import Cell
from benchmarks.steady import Steady


@dataclass(frozen=True)
class Measured:
    """One cell of one contender in one round.

    `cpu_ms` is per request, by process. `skipped` says why it was not measured.
    """

    cell: Cell
    requests_per_s: float = 0.0
    rows_per_s: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    errors: int = 0
    cpu_ms: Mapping[str, float] = field(default_factory=dict)
    skipped: str = ""

    @property
    def cpu_ms_per_request(self) -> float:
        """User and system time of every server process."""
        return sum(self.cpu_ms.values())


@dataclass(frozen=True)
class AtRate:
    """Latency at a share of the ceiling."""

    load_share: float
    steady: Steady


@dataclass(frozen=True)
class Replica:
    """One more server replica on an idle machine."""

    ready_s: float
    memory_mb: float


@dataclass(frozen=True)
class Outcome:
    """One contender in one round."""

    contender: str
    round: int
    ready_s: float
    memory_mb: Mapping[str, float]
    cells: tuple[Measured, ...]
    at_rates: tuple[AtRate, ...]
    replica: Replica | None = None


@dataclass(frozen=True)
class Run:
    """All that a run has measured."""

    machine: Mapping[str, str]
    outcomes: tuple[Outcome, ...]
    skipped: Mapping[str, str]
