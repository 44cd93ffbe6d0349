"""What the prediction log costs: CPU microseconds a row, where a request waits and in its thread.

`python -m benchmarks.log_cost` prints them for single rows and for requests of a hundred, of churn,
with the share that they are of what such a request costs in all (docs/performance.md). Each number
is the least of many rounds, since whatever else a machine does only adds to it.
"""

import secrets
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.errors import BenchmarkError
from serve_app.contract.block import Layout
from serve_app.models import get_spec
from serve_app.monitoring.log.heard import HeardAnswers
from serve_app.monitoring.log.keeper import Keeper
from serve_app.monitoring.log.line import LineWriter, Origin, Pseudonyms
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.writer import PredictionLog
from serve_app.serving.answer import Answered, Assignment
from serve_app.settings import LogOptions
from training.models.churn import make_rows

N_ROWS = 1_000
N_ROUNDS = 40
N_KEYS = 500
# A whole request in the fast mode, as measured by `python -m benchmarks run`.
REQUEST_US = {1: 285.0, 100: 1_540.0}


@dataclass(frozen=True)
class Cost:
    """Of one row, in requests of `n_rows`; `heard_us` is on the way of the answer."""

    n_rows: int
    heard_us: float
    written_us: float
    n_bytes: float

    @property
    def percent(self) -> float:
        """Of the CPU of a whole request."""
        return 100 * self.n_rows * (self.heard_us + self.written_us) / REQUEST_US[self.n_rows]


def measure(n_rows: int, folder: Path) -> Cost:
    """Hear and write the same answers again and again. Raises BenchmarkError."""
    spec = get_spec("churn")
    layout = Layout(spec.contract)
    answers = HeardAnswers(spec.name)
    place = LogPlace(str(folder))
    lines = LineWriter(Origin("churn", "app", "0"), layout, Pseudonyms(""), lambda version: "")
    keeper = Keeper(place, "churn", "app", lambda: 1)
    log = PredictionLog(answers, lines, keeper, "0", LogOptions)
    told = _answers(layout, n_rows)
    heard_s = []
    written_s = []
    for _ in range(N_ROUNDS):
        begin_s = time.thread_time()
        for one in told:
            answers.heard(one)
        heard_s.append(time.thread_time() - begin_s)
        begin_s = time.thread_time()
        log.write(time.time())
        written_s.append(time.thread_time() - begin_s)
    log.finish_part()
    if log.n_dropped:
        raise BenchmarkError(f"{log.n_dropped} rows were dropped: {folder} has no room")
    n_bytes = sum(path.stat().st_size for path in keeper.spool.iterdir())
    return Cost(
        n_rows,
        1e6 * min(heard_s) / N_ROWS,
        1e6 * min(written_s) / N_ROWS,
        n_bytes / log.n_written,
    )


def _answers(layout: Layout, n_rows: int) -> list[Answered]:
    rng = np.random.default_rng(0)
    names = [*layout.number_names, *layout.category_names]
    values = make_rows(N_ROWS, seed=0)[names].to_numpy().tolist()
    block = layout.block([dict(zip(names, row, strict=True)) for row in values])
    told = []
    for begin in range(0, N_ROWS, n_rows):
        # As long as sealed ones, and no easier to pack.
        ids = tuple(secrets.token_urlsafe(48) for _ in range(n_rows))
        told.append(
            Answered(
                rows=(),
                routing_key=f"customer-{rng.integers(N_KEYS)}",
                assigned=Assignment("1.0.0"),
                seconds=float(rng.random()) / 1_000,
                version="1.0.0",
                ids=ids,
                block=block[begin : begin + n_rows],
                scores=rng.random(n_rows),
            )
        )
    return told


def main() -> None:
    """Measure, and print."""
    table = Table(box=None)
    for heading in ("rows a request", "heard, µs a row", "written, µs a row", "bytes a row", "%"):
        table.add_column(heading, justify="right")
    for n_rows in REQUEST_US:
        with tempfile.TemporaryDirectory() as folder:
            cost = measure(n_rows, Path(folder))
        table.add_row(
            str(n_rows),
            f"{cost.heard_us:.2f}",
            f"{cost.written_us:.2f}",
            f"{cost.n_bytes:.0f}",
            f"{cost.percent:.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
