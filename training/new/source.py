"""How a file is written: its encoding and its separator, found out from its beginning."""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from training.errors import InvalidData

SEPARATORS = (",", ";", "\t", "|")
HEAD_BYTES = 256 * 1024
HEAD_LINES = 50
CHUNK_ROWS = 100_000
# What a file begins with that is no text, and what to do about it.
NO_TEXT = {
    b"PK\x03\x04": "is a workbook or a zip archive: save its sheet as CSV",
    b"\xd0\xcf\x11\xe0": "is an Excel workbook: save its sheet as CSV",
    b"PAR1": "is Parquet: write it as CSV (pandas.read_parquet(…).to_csv(…, index=False))",
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
    b"%PDF": "is a PDF: export its table as CSV",
}
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Source:
    """A CSV file, and how it is read: the arguments of `pandas.read_csv`."""

    path: Path
    encoding: str
    separator: str

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of `pandas.read_csv` that differ from UTF-8 with commas."""
        options: dict[str, Any] = {}
        if self.encoding not in ("utf-8", "utf-8-sig"):
            options["encoding"] = self.encoding
        if self.separator != ",":
            options["sep"] = self.separator
        return options

    def chunks(self) -> Iterator[pd.DataFrame]:
        """All rows, every value as the text that it is, some at a time. Raises InvalidData."""
        try:
            yield from pd.read_csv(
                self.path,
                encoding=self.encoding,
                sep=self.separator,
                dtype=object,
                keep_default_na=False,
                na_filter=False,
                chunksize=CHUNK_ROWS,
            )
        except (OSError, ValueError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise InvalidData(
                f"{self.path}: cannot be read as CSV ({reason}); expected a header, and in every "
                "line as many values as it has"
            ) from None


def find_source(path: Path) -> Source:
    """How a file is written. Raises InvalidData for one that is no CSV with a header."""
    head = _head(path)
    encoding = _encoding(path, head)
    try:
        # A character may be cut at the end of what was read.
        text = head.decode(encoding, errors="ignore")
    except UnicodeError as error:
        raise InvalidData(f"{path}: found no readable text ({error}); save it as UTF-8") from None
    if "\x00" in text:
        raise InvalidData(f"{path}: found bytes that are no text; expected a CSV file")
    lines = [line for line in text.splitlines()[:HEAD_LINES] if line.strip()]
    if len(lines) < 2:
        raise InvalidData(
            f"{path}: found {len(lines)} lines, expected a header and a line for each row"
        )
    separator = _separator(path, lines)
    _require_header(path, next(csv.reader(lines, delimiter=separator)))
    return Source(path, encoding, separator)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise InvalidData(f"{path}: cannot be read ({error.strerror}); expected a file") from None
    for magic, advice in NO_TEXT.items():
        if head.startswith(magic):
            raise InvalidData(f"{path}: {advice}")
    return head


def _encoding(path: Path, head: bytes) -> str:
    for bom, encoding in BOMS.items():
        if head.startswith(bom):
            return encoding
    if _is_in(path, "utf-8"):
        return "utf-8"
    # Windows-1252 is Latin-1 with quotation marks and the euro; five of its bytes mean nothing.
    return "cp1252" if _is_in(path, "cp1252") else "latin-1"


def _is_in(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _separator(path: Path, lines: list[str]) -> str:
    """The one that cuts the most lines into as many values as the header, and most of these."""
    best = (0, 1)
    found = None
    for separator in SEPARATORS:
        rows = list(csv.reader(lines, delimiter=separator))
        n_columns = len(rows[0])
        n_equal = sum(len(row) == n_columns for row in rows)
        # Half of the lines at least: a separator of the decimals does not come as often in each.
        if n_columns > 1 and (n_equal >= len(rows) / 2) and (n_equal, n_columns) > best:
            best = (n_equal, n_columns)
            found = separator
    if found is None:
        raise InvalidData(
            f"{path}: found no separator (comma, semicolon, tab or |) that cuts its lines into "
            "columns; expected a CSV file with at least two"
        )
    return found


def _require_header(path: Path, names: list[str]) -> None:
    """A first line of numbers alone is a row. Raises InvalidData."""
    if all(_is_number(name) for name in names):
        raise InvalidData(
            f"{path}: found only numbers in the first line ({', '.join(names[:5])} …); expected "
            "a header with the names of the columns"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
