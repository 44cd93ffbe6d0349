"""What a request costs: CPU time of the real HTTP application over the real bundle.

All in one process and without Ray.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import monotonic, process_time
from typing import Any

from serve_app.bundle.loading import load
from serve_app.bundle.manifest import Manifest
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.stores import open_store, served_uri
from serve_app.cluster.placements import InServerVersion
from serve_app.contract import ModelSpec
from serve_app.contract.block import Block, Layout, Scores
from serve_app.errors import BundleError
from serve_app.http.application import PATHS, create_app
from serve_app.models import get_spec
from serve_app.serving.member import Opened
from serve_app.serving.router import Router
from serve_app.serving.versions import Versions
from serve_app.settings import Table, VersionEntry

N_ROUNDS = 5
# Of CPU time.
ROUND_S = 0.05
# A round of calls that mostly wait ends after so long.
MOST_WAIT_S = 0.25
# What each further row costs is the slope from a call with one row to a call with so many.
FULL_CALL_ROWS = 256
# All requests are asked in one turn of the event loop, and none of them waits for the others.
NEVER_MS = 60_000

Call = Callable[[], Awaitable[object]]
# A row as plain JSON values.
Row = dict[str, Any]
# Reads seconds.
Clock = Callable[[], float]


@dataclass(frozen=True)
class Measured:
    """CPU milliseconds, each the median of rounds, and the most memory that the process had.

    `app_ms` is a request of `n_rows` rows without the model, `model_ms` the model in it. `call_ms`
    is a model call for one row, `row_ms` each further row in it. `coalesces` says whether a server
    lets requests share a model call.
    """

    version: str
    n_rows: int
    app_ms: float
    model_ms: float
    call_ms: float
    row_ms: float
    coalesces: bool
    memory_mb: float


def measure(model: str, store: str, table: Table, n_rows: int) -> Measured:
    """Measure requests of `n_rows` rows to the stable version of a table. Raises BundleError.

    Where requests would share a model call each is scored by itself here, because `@serve.batch`
    needs a cluster.
    """
    return asyncio.run(_measure(get_spec(model), store, table, n_rows))


async def _measure(spec: ModelSpec, store: str, table: Table, n_rows: int) -> Measured:
    stable = table.stable
    entry = table.entry(stable)
    predictor = await asyncio.to_thread(
        load, open_store(served_uri(store)), spec, stable, entry.manifest_sha256
    )
    in_server = InServerVersion(predictor, entry.coalesce, table.batch)
    rows = _rows(spec, predictor.manifest)
    direct = _Direct(predictor)

    async def opened(version: str, entry: VersionEntry, table: Table) -> Opened:
        return Opened(predictor.manifest, predictor.manifest_sha256, direct, in_server.coalesces)

    versions = Versions(opened)
    limits = table.limits.model_copy(update={"max_wait_ms": NEVER_MS})
    await versions.start(table.model_copy(update={"versions": {stable: entry}, "limits": limits}))
    ask = _Client(create_app(spec, Router(spec, versions)), rows, n_rows)
    jobs: list[tuple[Call, Clock]] = [
        (ask, lambda: process_time() - direct.spent_s),
        (ask, lambda: direct.spent_s),
        (direct.scoring(rows, 1), process_time),
        (direct.scoring(rows, FULL_CALL_ROWS), process_time),
    ]
    app_ms, model_ms, call_ms, full_ms = await _medians_ms(jobs)
    return Measured(
        version=stable,
        n_rows=n_rows,
        app_ms=app_ms,
        model_ms=model_ms,
        call_ms=call_ms,
        row_ms=max(0.0, full_ms - call_ms) / (FULL_CALL_ROWS - 1),
        coalesces=in_server.coalesces,
        memory_mb=_most_memory_mb(),
    )


class _Direct:
    """A version in this process, scored on the spot; `spent_s` is the model's CPU time so far."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.spent_s = 0.0

    async def score(self, block: Block, deadline_s: float) -> Scores:
        """Score at once: (n_rows,)."""
        begin_s = process_time()
        scores = self._predictor.score(block)
        self.spent_s += process_time() - begin_s
        return scores

    def wait_s(self, n_rows: int) -> float:
        """Seconds that rows wait: none."""
        return 0.0

    async def ping(self) -> None:
        """It can answer."""

    def close(self) -> None:
        """Nothing to let go of."""

    def scoring(self, rows: list[Row], n_rows: int) -> Call:
        """Calls with a block of so many rows."""
        layout = Layout(self._predictor.manifest.contract)
        block = layout.block(list(islice(cycle(rows), n_rows)))
        return lambda: self.score(block, 0)


class _Client:
    """Asks an ASGI application as a server would that has read a request from its socket."""

    def __init__(self, app: Any, of: list[Row], n_rows: int) -> None:
        self._app = app
        self._path = PATHS["predict" if n_rows == 1 else "predict_batch"]
        rows = [json.dumps(row) for row in islice(cycle(of), max(n_rows, len(of)))]
        bodies = rows if n_rows == 1 else ["[" + ",".join(rows[:n_rows]) + "]"]
        self._bodies = cycle(body.encode() for body in bodies)

    async def __call__(self) -> None:
        """Send one request, which is answered: refusing it costs something else.

        Raises BundleError.
        """
        body = next(self._bodies)
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)

        await self._app(self._scope(len(body)), receive, send)
        if status != 200:
            raise BundleError(f"{self._path}: found status {status} for example rows, expected 200")

    def _scope(self, size_bytes: int) -> dict[str, Any]:
        headers = {
            "host": "sluice",
            "content-type": "application/json",
            "content-length": str(size_bytes),
        }
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }


def _rows(spec: ModelSpec, manifest: Manifest) -> list[Row]:
    """The examples as they stand in JSON; of a model without any, the golden rows."""
    if spec.examples:
        return [example.row.model_dump(mode="json") for example in spec.examples]
    return [dict(golden.row) for golden in manifest.golden_rows if golden.score is not None]


async def _medians_ms(jobs: Sequence[tuple[Call, Clock]]) -> list[float]:
    """Milliseconds a call by each job's clock of CPU time: what it waits for does not count.

    Rounds of all jobs take turns, so that a busy neighbour slows all of them alike.
    """
    counts = [await _calls_in_a_round(call) for call, _ in jobs]
    rounds = [
        [await _round_ms(call, clock, n) for (call, clock), n in zip(jobs, counts, strict=True)]
        for _ in range(N_ROUNDS)
    ]
    return [median(found) for found in zip(*rounds, strict=True)]


async def _calls_in_a_round(call: Call) -> int:
    n_calls = 0
    begin_s = process_time()
    until_s = monotonic() + MOST_WAIT_S
    while n_calls == 0 or (process_time() - begin_s < ROUND_S and monotonic() < until_s):
        await call()
        n_calls += 1
    return n_calls


async def _round_ms(call: Call, clock: Clock, n_calls: int) -> float:
    begin_s = clock()
    for _ in range(n_calls):
        await call()
    return (clock() - begin_s) / n_calls * 1000


def _most_memory_mb() -> float:
    """Megabytes at the process's largest.

    Not `getrusage`: what it says of a process includes the program that started it.
    """
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024
