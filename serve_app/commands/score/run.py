"""From a file of rows to a file of scored rows, in bounded memory."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from serve_app.bundle.predictor import Predictor
from serve_app.commands.diff.csv_rows import columns_of
from serve_app.commands.score.answers import AnswerColumns, Tail
from serve_app.commands.score.rows import BlockReader
from serve_app.commands.score.tables import PARQUET, Chunk, Table, open_out, open_table
from serve_app.commands.score.with_bundle import BundleScorer
from serve_app.commands.score.with_server import ServerScorer
from serve_app.contract import ModelSpec


@dataclass(frozen=True)
class Scored:
    """What a run has scored."""

    n_rows: int
    n_bad: int
    seconds: float


class _Scorer(Protocol):
    def score(self, rows: list[list[str]], lines: list[int]) -> tuple[list[Tail], int]:
        """What is added to each row, and how many are bad."""


def score_file(
    spec: ModelSpec, source: Predictor | str, path: Path, out: Path | None, console: Console
) -> Scored:
    """Score every row of a file with a bundle, or with the server at a URL.

    `console` gets a progress bar where it is a terminal. Raises CsvError, Unreachable, Refused.
    """
    begin_s = time.monotonic()
    n_rows = 0
    n_bad = 0
    with open_table(path) as table:
        places = columns_of(table.header, spec, path)
        as_text = out is None or out.suffix != PARQUET
        columns = AnswerColumns(spec, table.header, as_text=as_text)
        reader = BlockReader(spec, places, len(table.header))
        with (
            _scorer(spec, source, reader, columns, table.place) as scorer,
            open_out(out, table.header, columns.types) as file,
        ):
            for chunk in _watched(table, console):
                tails, n = scorer.score(chunk.rows, chunk.lines)  # type: ignore[arg-type]
                file.write(chunk, tails)
                n_rows += len(tails)
                n_bad += n
    return Scored(n_rows, n_bad, time.monotonic() - begin_s)


@contextmanager
def _scorer(
    spec: ModelSpec,
    source: Predictor | str,
    reader: BlockReader,
    columns: AnswerColumns,
    place: str,
) -> Iterator[_Scorer]:
    if isinstance(source, Predictor):
        yield BundleScorer(spec, source, reader, columns, place)
        return
    server = ServerScorer(source, reader, columns, place)
    try:
        yield server
    finally:
        server.close()


def _watched(table: Table, console: Console) -> Iterator[Chunk]:
    """The chunks of a table, with a bar that says how far it is."""
    if not console.is_terminal:
        yield from table.chunks()
        return
    parts = (TextColumn("scoring"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*parts, console=console, transient=True) as progress:
        task = progress.add_task("", total=table.size)
        for chunk in table.chunks():
            yield chunk
            progress.update(task, completed=table.position())
