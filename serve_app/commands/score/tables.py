"""Files of rows, read in chunks of a few thousand and written as they are read: CSV and Parquet."""

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from serve_app.commands.diff.csv_rows import CsvError, reading

N_ROWS = 4_096
PARQUET = ".parquet"


@dataclass(frozen=True)
class Chunk:
    """Rows as texts, an empty one for a missing value. `lines` is where each stands in the file.

    `batch` has the same rows as Parquet holds them; None for rows of a CSV file.
    """

    rows: Sequence[Sequence[str]]
    lines: Sequence[int]
    batch: Any = None


class Table(Protocol):
    """A file that is open: its header, how far it is read, and what it calls a row's place."""

    header: list[str]
    size: int
    place: str

    def chunks(self) -> Iterator[Chunk]:
        """The rows in order."""

    def position(self) -> int:
        """How much of `size` was read."""


class Out(Protocol):
    """A file that is being written."""

    def write(self, chunk: Chunk, answers: Sequence[Sequence[Any]]) -> None:
        """Add rows, each followed by its answer's values."""


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """A file by its suffix. Raises CsvError for what cannot be read, also while it is read."""
    with reading(path):
        if path.suffix == PARQUET:
            yield ParquetTable(path)
            return
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield CsvTable(file, path)


class CsvTable:
    """A CSV file: UTF-8, commas, a header. A line with nothing in it is no row."""

    place = "line"

    def __init__(self, file: Any, path: Path) -> None:
        self._file = file
        self._path = path
        # Strict: a quote that is never closed would make one row of all that follows.
        self._lines = csv.reader(file, strict=True)
        self.size = path.stat().st_size
        with self._named():
            self.header = next(self._lines, [])

    def position(self) -> int:
        """How many bytes were read."""
        return int(self._file.buffer.tell())

    def chunks(self) -> Iterator[Chunk]:
        """The rows in order. Raises CsvError naming the line."""
        rows: list[list[str]] = []
        places: list[int] = []
        lines = self._lines
        next_line = lines.line_num + 1
        with self._named():
            for cells in lines:
                if cells:
                    rows.append(cells)
                    places.append(next_line)
                # A quoted cell may have line breaks, so that a row takes several lines.
                next_line = lines.line_num + 1
                if len(rows) == N_ROWS:
                    yield Chunk(rows, places)
                    rows = []
                    places = []
        if rows:
            yield Chunk(rows, places)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except csv.Error as error:
            where = f"line {self._lines.line_num}"
            raise CsvError(f"{self._path}: {where} is no CSV ({error})") from None


class ParquetTable:
    """A Parquet file; a row's place is its number, from 1."""

    place = "row"

    def __init__(self, path: Path) -> None:
        parquet = _parquet()
        import pyarrow

        self._path = path
        try:
            self._file = parquet.ParquetFile(path)
        except pyarrow.ArrowInvalid as error:
            raise CsvError(f"{path}: is no Parquet file ({error})") from None
        self.header = list(self._file.schema_arrow.names)
        self.size = self._file.metadata.num_rows
        self._n_read = 0

    def position(self) -> int:
        """How many rows were read."""
        return self._n_read

    def chunks(self) -> Iterator[Chunk]:
        """The rows in order."""
        for batch in self._file.iter_batches(batch_size=N_ROWS):
            first = self._n_read + 1
            self._n_read += batch.num_rows
            columns = [[_text(value) for value in column.to_pylist()] for column in batch.columns]
            rows = list(zip(*columns, strict=True))
            yield Chunk(rows, range(first, first + len(rows)), batch)


def _text(value: Any) -> str:
    """A value as it stands in a CSV file; NaN, the one that differs from itself, is missing."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


@contextmanager
def open_out(path: Path | None, header: Sequence[str], types: dict[str, Any]) -> Iterator[Out]:
    """A file to write, or stdout without a path: `header`, then the columns of `types`.

    It is there when all has been written, and not at all when an error comes in between. Raises
    CsvError.
    """
    if path is None:
        try:
            yield CsvOut(sys.stdout, header, list(types))
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read has enough, such as `head`. Python writes what is left at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        if path.suffix == PARQUET:
            out = ParquetOut(draft, header, types)
            yield out
            out.close()
        else:
            with draft.open("w", encoding="utf-8", newline="") as file:
                yield CsvOut(file, header, list(types))
        draft.replace(path)
    except OSError as error:
        raise CsvError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def fitted(cells: Sequence[str], n_cells: int) -> Sequence[str]:
    """As many cells as the header has; a row that has others is marked as bad."""
    if len(cells) == n_cells:
        return cells
    return [*cells[:n_cells], *[""] * (n_cells - len(cells))]


class CsvOut:
    """Writes rows as texts."""

    def __init__(self, file: Any, header: Sequence[str], added: Sequence[str]) -> None:
        self._n_cells = len(header)
        self._lines = csv.writer(file, lineterminator="\n")
        self._lines.writerow([*header, *added])

    def write(self, chunk: Chunk, answers: Sequence[Sequence[Any]]) -> None:
        """Add rows."""
        n_cells = self._n_cells
        self._lines.writerows(
            [*fitted(cells, n_cells), *answer]
            for cells, answer in zip(chunk.rows, answers, strict=True)
        )


class ParquetOut:
    """Rows as columns: those of a Parquet file keep their types, those of a CSV file are texts."""

    def __init__(self, path: Path, header: Sequence[str], types: dict[str, Any]) -> None:
        self._parquet = _parquet()
        self._path = path
        self._header = list(header)
        self._types = types
        self._writer: Any = None

    def write(self, chunk: Chunk, answers: Sequence[Sequence[Any]]) -> None:
        """Add rows."""
        import pyarrow as pa

        arrow = {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), str: pa.string()}
        if chunk.batch is None:
            rows = [fitted(cells, len(self._header)) for cells in chunk.rows]
            columns = [pa.array(cells, pa.string()) for cells in zip(*rows, strict=True)]
        else:
            columns = list(chunk.batch.columns)
        for type_, values in zip(self._types.values(), zip(*answers, strict=True), strict=True):
            columns.append(pa.array(values, arrow[type_]))
        table = pa.Table.from_arrays(columns, [*self._header, *self._types])
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is None:
            import pyarrow as pa

            names = [*self._header, *self._types]
            empty = pa.Table.from_arrays([pa.array([], pa.string()) for _ in names], names)
            self._writer = self._parquet.ParquetWriter(self._path, empty.schema)
        self._writer.close()


def _parquet() -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise CsvError(
            "Parquet files are read and written by pyarrow, found none here; expected what "
            "requirements/parquet.txt lists: pip install --require-hashes -r "
            "requirements/parquet.txt. Or use a CSV file."
        ) from None
    return parquet
