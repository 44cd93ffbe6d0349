"""One contender over all rounds: the median of each number."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.outcome import AtRate, Measured, Outcome, Replica, Run
from benchmarks.plan import Cell
from benchmarks.steady import Steady


@dataclass(frozen=True)
class Summary:
    """What a report says of a contender. `at_rates` is by share of the ceiling."""

    contender: str
    ready_s: float
    memory_mb: float
    cells: Mapping[Cell, Measured]
    at_rates: Mapping[float, Steady]
    replica: Replica | None

    @property
    def errors(self) -> int:
        """Of all ceilings and fixed rates."""
        cells = sum(measured.errors for measured in self.cells.values())
        return cells + sum(steady.errors for steady in self.at_rates.values())


def summarize(run: Run) -> dict[str, Summary]:
    """Summarize a run by contender, in the order of the run."""
    names = dict.fromkeys(outcome.contender for outcome in run.outcomes)
    return {
        name: _summary(name, [o for o in run.outcomes if o.contender == name]) for name in names
    }


def _summary(name: str, outcomes: list[Outcome]) -> Summary:
    memory = median(sum(outcome.memory_mb.values()) for outcome in outcomes)
    cells = {
        measured.cell: _cell(
            [found for o in outcomes for found in o.cells if found.cell == measured.cell]
        )
        for measured in outcomes[0].cells
    }
    rates = {
        at.load_share: _steady(
            [found for o in outcomes for found in o.at_rates if found.load_share == at.load_share]
        )
        for at in outcomes[0].at_rates
    }
    replicas = [outcome.replica for outcome in outcomes if outcome.replica is not None]
    replica = None
    if replicas:
        memory_mb = median(found.memory_mb for found in replicas)
        replica = Replica(median(found.ready_s for found in replicas), memory_mb)
    ready_s = median(outcome.ready_s for outcome in outcomes)
    return Summary(name, ready_s, memory, cells, rates, replica)


def _cell(found: list[Measured]) -> Measured:
    good = [measured for measured in found if not measured.skipped]
    if not good:
        return found[0]

    def middle(pick: Callable[[Measured], float]) -> float:
        return median(pick(measured) for measured in good)

    names = {name for measured in good for name in measured.cpu_ms}
    return Measured(
        cell=found[0].cell,
        requests_per_s=middle(lambda m: m.requests_per_s),
        rows_per_s=middle(lambda m: m.rows_per_s),
        p50_ms=middle(lambda m: m.p50_ms),
        p95_ms=middle(lambda m: m.p95_ms),
        p99_ms=middle(lambda m: m.p99_ms),
        errors=sum(measured.errors for measured in good),
        cpu_ms={name: median(m.cpu_ms.get(name, 0.0) for m in good) for name in sorted(names)},
    )


def _steady(found: Iterable[AtRate]) -> Steady:
    all_of = [at.steady for at in found]

    def middle(pick: Callable[[Steady], float]) -> float:
        return median(pick(steady) for steady in all_of)

    return Steady(
        offered_rate=middle(lambda s: s.offered_rate),
        requests=sum(steady.requests for steady in all_of),
        errors=sum(steady.errors for steady in all_of),
        p50_ms=middle(lambda s: s.p50_ms),
        p95_ms=middle(lambda s: s.p95_ms),
        p99_ms=middle(lambda s: s.p99_ms),
        max_ms=max(steady.max_ms for steady in all_of),
        late_p99_ms=middle(lambda s: s.late_p99_ms),
    )
