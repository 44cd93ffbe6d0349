"""A contender that runs: started, asked until it answers rightly, loaded, ended."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import wrk
from benchmarks.contender import Contender
from benchmarks.errors import BenchmarkError, WrongAnswers
from benchmarks.open_loop import send_all
from benchmarks.outcome import AtRate, Measured
from benchmarks.place import Place, own_place
from benchmarks.plan import Cell
from benchmarks.processes import Program
from benchmarks.question import Question
from benchmarks.steady import Stream, summarize

READY_TIMEOUT_S = 600.0
ANSWER_TIMEOUT_S = 30.0
# Ray with two models takes 0.3 to 0.4 of a core for itself; what is left to do takes a whole one.
IDLE_CORES = 0.6
IDLE_TIMEOUT_S = 60.0
# Bodies of a size whose answers are compared before the load.
N_CHECKED = 3


@dataclass
class Service:
    """A running contender."""

    contender: Contender
    place: Place
    program: Program
    question: Question
    ready_s: float = 0.0

    def post(self, body: bytes, n_rows: int, timeout_s: float = ANSWER_TIMEOUT_S) -> bytes:
        """Ask for one answer. Raises OSError."""
        dialect = self.contender.dialect
        headers = {"Content-Type": "application/json", **dialect.headers}
        request = urllib.request.Request(self.place.url + dialect.path(n_rows), body, headers)
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            found: bytes = answer.read()
        return found

    def check(self, row_counts: Sequence[int]) -> set[int]:
        """Compare answers with the pipeline's; the sizes that had no answer in time.

        Raises WrongAnswers.
        """
        late: set[int] = set()
        for n_rows in row_counts:
            for index, rows in enumerate(self.question.ask(n_rows)[:N_CHECKED]):
                try:
                    body = self.post(self.contender.dialect.body(rows), n_rows)
                except OSError as error:
                    if "timed out" in str(error):
                        late.add(n_rows)
                        break
                    raise WrongAnswers(
                        f"{self.contender.name}: no answer to {n_rows} rows: {error}"
                    ) from None
                self.question.check(
                    self.contender.name, n_rows, index, self.contender.dialect.answers(body)
                )
        return late

    def wait_until_ready(self, begin_s: float) -> None:
        """Wait until a row is answered; how long that took is `ready_s`."""
        body = self.contender.dialect.body(self.question.ask(1)[0])
        while time.monotonic() < begin_s + READY_TIMEOUT_S and not self.program.ended:
            try:
                self.post(body, 1, timeout_s=5)
            except (OSError, urllib.error.HTTPError):
                time.sleep(0.05)
            else:
                self.ready_s = time.monotonic() - begin_s
                return
        log = self.program.log.read_text(errors="replace")[-1500:]
        raise BenchmarkError(f"{self.contender.name} did not get ready; its last lines:\n{log}")

    def load(self, cell: Cell, seconds: float) -> Measured:
        """Measure the ceiling of a cell."""
        dialect = self.contender.dialect
        bodies = [dialect.body(rows) for rows in self.question.ask(cell.n_rows)]
        url = self.place.url + dialect.path(cell.n_rows)
        before = self.program.usage()
        found = wrk.measure(url, bodies, dialect.headers, cell.connections, seconds)
        spent = self.program.usage().since(before)
        self.wait_until_idle()
        n_good = found.requests - found.status_errors
        per_s = n_good / found.seconds
        cpu_ms = {name: cpu_s * 1000 / max(1, n_good) for name, cpu_s in spent.items()}
        return Measured(
            cell=cell,
            requests_per_s=per_s,
            rows_per_s=per_s * cell.n_rows,
            p50_ms=found.p50_ms,
            p95_ms=found.p95_ms,
            p99_ms=found.p99_ms,
            errors=found.errors,
            cpu_ms=cpu_ms,
        )

    def hold(self, load_share: float, rate: float, seconds: float) -> AtRate:
        """Measure latency of single rows at a fixed rate, comparing every answer.

        Raises WrongAnswers.
        """
        dialect = self.contender.dialect
        bodies = [dialect.body(rows) for rows in self.question.ask(1)]
        url = self.place.url + dialect.path(1)
        stream = Stream(url, bodies, lambda _: rate, dialect.headers, keep_bodies=True)
        send_all([stream], seconds)
        for shot in stream.shots:
            if shot.status == 200:
                self.question.check(self.contender.name, 1, shot.index, dialect.answers(shot.body))
        self.wait_until_idle()
        return AtRate(load_share, summarize(stream.shots, seconds))

    def wait_until_idle(self) -> None:
        """Wait until nothing of the last load is left to do."""
        until_s = time.monotonic() + IDLE_TIMEOUT_S
        spent_s = 1.0
        while spent_s > IDLE_CORES * 0.3 and time.monotonic() < until_s:
            before = self.program.usage()
            time.sleep(0.3)
            spent_s = sum(self.program.usage().since(before).values())


@contextmanager
def running(contender: Contender, bundle: Path) -> Iterator[Service]:
    """A contender that is ready, for a `with` block; ended with everything that it started."""
    contender.prepare()
    with own_place() as place:
        launch = contender.launch(place, bundle)
        begin_s = time.monotonic()
        program = Program(launch.command, place.environment() | dict(launch.env), place.folder)
        try:
            service = Service(contender, place, program, Question(bundle))
            service.wait_until_ready(begin_s)
            yield service
        finally:
            program.stop()
