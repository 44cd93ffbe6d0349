"""Each server of a serve_config.yaml: what it serves is measured, and the rate becomes replicas."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from math import ceil
from multiprocessing import get_context
from pathlib import Path

from serve_app.commands.check.document import Document, Fault, read_document
from serve_app.commands.check.plan import Application, Plan, read_plan
from serve_app.commands.size.measure import Measured, measure
from serve_app.commands.size.replicas import Overhead, Size, Work, check_wanted, size
from serve_app.errors import BundleError, SettingsError
from serve_app.models import name_of
from serve_app.settings import ServerArgs, Table

# Ray's own default of max_ongoing_requests.
ONGOING_BY_DEFAULT = 5


@dataclass(frozen=True)
class Wish:
    """What is wanted of each server: `rate` requests a second of `n_rows` rows each."""

    rate: float
    p95_ms: float
    n_rows: int


@dataclass(frozen=True)
class Sized:
    """A server with the numbers used and the answer.

    `not_counted` are the versions next to stable, which is taken to answer everybody.
    """

    application: str
    model: str
    measured: Measured
    work: Work
    size: Size
    surge_percent: int
    not_counted: tuple[str, ...]

    @property
    def n_updating(self) -> int:
        """Replicas while an update runs at the peak."""
        return self.size.max_replicas + ceil(self.size.max_replicas * self.surge_percent / 100)


def sizes(
    path: Path,
    wish: Wish,
    overhead: Overhead,
    model: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[Sized]:
    """Size each server of the file, or the one server of a model. Takes seconds of CPU for each.

    `say` hears a line about each server before it is measured. Raises SettingsError or BundleError.
    """
    check_wanted(wish.rate, wish.p95_ms)
    found = []
    for app, args, table in _chosen(_read(path), model):
        _check(app, table, wish)
        say(f"measuring {args.model} {table.stable} …")
        measured = _measure_in_a_process(args, table, wish.n_rows)
        ongoing = app.deployments[0].options.get("max_ongoing_requests", ONGOING_BY_DEFAULT)
        work = work_of(measured, overhead, table, ongoing)
        try:
            answer = size(work, wish.rate, wish.p95_ms)
        except SettingsError as error:
            raise SettingsError(f"{args.model} {table.stable}: {error}") from None
        surge = app.deployments[0].surge_percent
        found.append(
            Sized(app.name, name_of(args.model), measured, work, answer, surge, table.names[1:])
        )
    return found


def work_of(
    measured: Measured, overhead: Overhead, table: Table, max_ongoing_requests: int
) -> Work:
    """Put together what was measured and what only a cluster adds, as work of a replica."""
    if not measured.coalesces:
        return Work(own_ms=overhead.replica_ms + measured.app_ms + measured.model_ms)
    n_rows = measured.n_rows
    max_rows = table.batch.max_rows
    call_ms = max(0.0, measured.call_ms - measured.row_ms)
    # A request of more than max_rows rows is scored in several calls.
    further_calls_ms = (ceil(n_rows / max_rows) - 1) * call_ms
    under_way = min(max_ongoing_requests, table.limits.max_rows_under_way // n_rows)
    own_ms = measured.app_ms + n_rows * measured.row_ms + further_calls_ms
    return Work(
        own_ms=overhead.replica_ms + overhead.batch_ms + own_ms,
        call_ms=call_ms,
        wait_ms=table.batch.wait_ms,
        # Half of what is under way is in a call; as many again wait for the next one.
        most_per_call=max(1, min(max_rows // n_rows, under_way // 2)),
    )


def _read(path: Path) -> Plan:
    document, faults = read_document(path)
    plan = None
    if document is not None:
        plan, more = read_plan(document.values)
        faults += more
    errors = [fault for fault in faults if fault.severity == "error"]
    if plan is None or errors:
        first = _in_words(document, errors[0]) if errors else "not sound"
        raise SettingsError(f"{path}: {first}; `sluice check {path}` says all that is wrong")
    return plan


def _in_words(document: Document | None, fault: Fault) -> str:
    """A fault in one line, with its place if the file could be read."""
    text = " ".join(fault.text.split())
    where = "" if document is None else document.name_of(fault.place)
    return f"{where}: {text}" if where else text


def _chosen(plan: Plan, model: str | None) -> list[tuple[Application, ServerArgs, Table]]:
    names = [name_of(args.model) for _, args, _ in plan.servers]
    if not names:
        raise SettingsError("applications: found no serve_app.app:server, expected at least one")
    wanted = None if model is None else name_of(model)
    if wanted is not None and wanted not in names:
        raise SettingsError(
            f"--model: found {model}, expected one that the file serves: {', '.join(names)}"
        )
    return [
        server for name, server in zip(names, plan.servers, strict=True) if wanted in (None, name)
    ]


def _check(app: Application, table: Table, wish: Wish) -> None:
    """What can be refused before anything is measured."""
    if not 0 < wish.n_rows <= table.limits.max_rows:
        raise SettingsError(
            f"--rows: found {wish.n_rows}, expected 1 to {table.limits.max_rows}, "
            f"limits.max_rows of {app.name}"
        )
    if table.entry(table.stable).placement == "isolated":
        raise SettingsError(
            f"{app.name}: stable {table.stable} is isolated, and what a call to its application "
            "costs takes a cluster to measure; for the model's own part, size a copy of the file "
            "with placement: in_server"
        )


def _measure_in_a_process(args: ServerArgs, table: Table, n_rows: int) -> Measured:
    """Measure in a process of its own, whose memory is then this version's and nothing else's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(measure, args.model, args.store, table, n_rows).result()
        except BrokenProcessPool:
            raise BundleError(
                f"{args.model} {table.stable}: the process that measured it died; "
                "is there memory enough?"
            ) from None
