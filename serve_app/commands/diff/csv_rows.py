"""Rows of a CSV file, each read as a server would read it.

What a server would refuse is named by its line, and never dropped.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve_app.contract import Feature, ModelSpec
from serve_app.contract.feature import Value
from serve_app.contract.rows import RowReader
from serve_app.errors import FieldError, InvalidRows, SluiceError

# Field to value, None where missing.
Row = dict[str, Any]
TRUTHS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


class CsvError(SluiceError):
    """The file as a whole cannot be used; the text says what was found and expected."""


@dataclass(frozen=True)
class BadRow:
    """A row that the model's contract refuses, or whose label cannot be read.

    `line` is where it begins in the file; the header is line 1.
    """

    line: int
    reason: str


@dataclass(frozen=True)
class LabelledRow:
    """A row with what was found in the columns of the model's targets, as texts by their names.

    `labels` is empty where the file has not all of these columns.
    """

    line: int
    row: Row
    labels: Mapping[str, str]


def read_rows(path: Path, spec: ModelSpec) -> Iterator[Row | BadRow]:
    """Read every row of a CSV file without its labels; see `read_labelled_rows`."""
    for found in read_labelled_rows(path, spec):
        yield found if isinstance(found, BadRow) else found.row


def read_labelled_rows(path: Path, spec: ModelSpec) -> Iterator[LabelledRow | BadRow]:
    """Read every row of a CSV file: UTF-8, commas, a header with the contract's names.

    Columns of the targets are kept as they are and others ignored. An empty cell is a missing
    value, and a line with nothing in it is no row. Raises CsvError for a file that is no such CSV,
    naming the line.
    """
    with reading(path), path.open(encoding="utf-8-sig", newline="") as file:
        # Else a quote that is never closed would make one row of all that follows.
        lines = csv.reader(file, strict=True)
        try:
            yield from _rows(lines, spec, path)
        except csv.Error as error:
            raise CsvError(f"{path}: line {lines.line_num} is no CSV ({error})") from None


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """While a file is opened and read: what goes wrong then is a CsvError that names the file."""
    try:
        yield
    except OSError as error:
        raise CsvError(
            f"{path}: cannot be read ({error.strerror or error}); expected a file with rows"
        ) from None
    except UnicodeDecodeError as error:
        raise CsvError(
            f"{path}: found the byte 0x{error.object[error.start]:02x}, expected UTF-8"
        ) from None


def _rows(lines: Any, spec: ModelSpec, path: Path) -> Iterator[LabelledRow | BadRow]:
    header: list[str] = next(lines, [])
    columns = columns_of(header, spec, path)
    targets = _targets(header, spec, path)
    reader = RowReader(spec)
    next_line = lines.line_num + 1
    for cells in lines:
        line = next_line
        # A quoted cell may have line breaks, so that a row takes several lines.
        next_line = lines.line_num + 1
        if not cells:
            continue
        if len(cells) != len(header):
            yield BadRow(line, f"found {len(cells)} cells, expected {len(header)} as in the header")
            continue
        row = {feature.name: value_of(cells[i], feature) for i, feature in columns}
        try:
            # As it stood in JSON: dates are texts.
            checked = reader.one(json.dumps(row).encode()).model_dump(mode="json")
        except InvalidRows as error:
            yield BadRow(line, reason_of(row, error.errors))
        else:
            yield LabelledRow(line, checked, {name: cells[i] for name, i in targets.items()})


def columns_of(header: list[str], spec: ModelSpec, path: Path) -> list[tuple[int, Feature]]:
    """Where each field stands in a line."""
    names = [feature.name for feature in spec.contract]
    missing = [name for name in names if name not in header]
    if missing:
        raise CsvError(
            f"{path}: line 1: missing columns: {', '.join(missing)}; expected {', '.join(names)}"
        )
    twice = [name for name in names if header.count(name) > 1]
    if twice:
        raise CsvError(f"{path}: line 1: found {', '.join(twice)} twice; keep one column of each")
    return [(header.index(feature.name), feature) for feature in spec.contract]


def _targets(header: list[str], spec: ModelSpec, path: Path) -> dict[str, int]:
    """Where each target stands in a line; none where one of them is missing."""
    if not all(name in header for name in spec.targets):
        return {}
    twice = [name for name in spec.targets if header.count(name) > 1]
    if twice:
        raise CsvError(f"{path}: line 1: found {', '.join(twice)} twice; keep one column of each")
    return {name: header.index(name) for name in spec.targets}


def value_of(cell: str, feature: Feature) -> Value:
    """A cell as a client would send it.

    What is no number, or no truth value, stays text, and the contract refuses it.
    """
    if not cell:
        return None
    if feature.dtype == "bool":
        return TRUTHS.get(cell.strip().lower(), cell)
    if feature.is_quoted or not NUMBER.fullmatch(cell):
        return cell
    number = float(cell)
    # Tables that had a gap in an integer column write 3 as 3.0.
    return int(number) if feature.dtype == "int" and number.is_integer() else number


def reason_of(row: Row, errors: tuple[FieldError, ...]) -> str:
    """Why a row was refused, for a person who has the file and not the body of a request."""
    parts = []
    for error in errors:
        is_empty = row.get(error.field, "") is None
        found = "is empty" if is_empty else error.reason
        parts.append(f"{error.field} {found}, expected {error.allowed}")
    return "; ".join(parts)
