"""Side by side: contenders one after the other, round after round, on the same rows."""

from collections.abc import Container, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.contender import Contender
from benchmarks.errors import Skipped
from benchmarks.machine import describe_machine
from benchmarks.outcome import Measured, Outcome, Run
from benchmarks.plan import CEILING, Cell, Plan
from benchmarks.replica import add_replica
from benchmarks.service import ANSWER_TIMEOUT_S, Service, running
from benchmarks.wrk import require_wrk

# With fewer requests in a cell, more connections only wait longer.
FEW = 20


def run(contenders: Sequence[Contender], bundle: Path, plan: Plan, console: Console) -> Run:
    """Measure everything. Raises WrongAnswers as soon as a contender answers wrongly."""
    require_wrk()
    machine = describe_machine()
    outcomes: list[Outcome] = []
    skipped: dict[str, str] = {}
    for n in range(1, plan.rounds + 1):
        for contender in contenders:
            if contender.name in skipped:
                continue
            console.print(f"round {n} of {plan.rounds}: {contender.title} …")
            try:
                with running(contender, bundle) as service:
                    outcomes.append(_measure(service, n, plan))
            except Skipped as reason:
                skipped[contender.name] = str(reason)
                console.print(f"  skipped: {reason}", style="yellow", markup=False)
    return Run(machine, tuple(outcomes), skipped)


def _measure(service: Service, n: int, plan: Plan) -> Outcome:
    late = service.check(plan.row_counts)
    service.wait_until_idle()
    service.load(CEILING, plan.warm_s)
    cells = _load_cells(service, plan.cells_of(service.contender.name), plan.cell_s, late)
    ceiling = next(measured.requests_per_s for measured in cells if measured.cell == CEILING)
    at_rates = [service.hold(share, ceiling * share, plan.steady_s) for share in plan.load_shares]
    service.check(sorted({*plan.row_counts} - late))
    memory_mb = service.program.memory_mb()
    replica = add_replica(service) if service.contender.name == "sluice-fast" else None
    name = service.contender.name
    return Outcome(name, n, service.ready_s, memory_mb, tuple(cells), tuple(at_rates), replica)


def _load_cells(
    service: Service, cells: Sequence[Cell], seconds: float, late: Container[int]
) -> list[Measured]:
    found: list[Measured] = []
    for cell in cells:
        reason = _hopeless(cell, found, seconds)
        if cell.n_rows in late:
            reason = f"no answer to one request within {ANSWER_TIMEOUT_S:g} s"
        found.append(Measured(cell, skipped=reason) if reason else service.load(cell, seconds))
    return found


def _hopeless(cell: Cell, found: Sequence[Measured], seconds: float) -> str:
    """Why a cell cannot be finished in its time, or "" when it can.

    It is judged by the same size over fewer connections.
    """
    same_size = [measured for measured in found if measured.cell.n_rows == cell.n_rows]
    if not same_size or cell == CEILING:
        return ""
    fewer = same_size[-1]
    if fewer.skipped:
        return fewer.skipped
    wait_s = cell.connections / max(fewer.requests_per_s, 1e-3)
    if fewer.requests_per_s * seconds < FEW and wait_s > seconds:
        return (
            f"{fewer.requests_per_s:.2g} requests/s: {cell.connections} connections would wait "
            f"{wait_s:.0f} s each"
        )
    return ""
