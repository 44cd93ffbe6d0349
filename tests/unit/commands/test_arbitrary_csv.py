"""What `sluice score` reads a column at a time is what a server reads a row at a time; and what
`sluice label` reads is a label or a sentence.
"""

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from every_kind import order_spec
from hypothesis import given
from hypothesis import strategies as st

from serve_app.commands.diff.csv_rows import CsvError, value_of
from serve_app.commands.label import labels_in
from serve_app.commands.score.rows import BlockReader
from serve_app.commands.score.tables import CsvTable
from serve_app.contract.block import Layout
from serve_app.contract.rows import RowReader
from serve_app.errors import InvalidRows, SettingsError
from serve_app.models import get_spec

ORDERS = order_spec()
NAMES = [feature.name for feature in ORDERS.contract]
COLUMNS = list(enumerate(ORDERS.contract))
CHURN = get_spec("churn")
HEADER = "prediction_id,actual"
PLAIN = ["-1.5", "3", "", "2", "web", "Zürich", "false", "True", "1990-02-28", "2026-11-28T18:30"]
CELLS = st.sampled_from(
    [
        *(
            "",
            " ",
            "0",
            "-0",
            "1",
            "01",
            "+1",
            "1.0",
            "1.",
            ".5",
            "1e2",
            "1e400",
            "nan",
            "inf",
            "1_0",
        ),
        *(
            "1;5",
            "1,5",
            "١",
            "１",
            "true",
            "TRUE",
            " false ",
            "yes",
            "web",
            " web",
            "Web",
            "\0",
            "\n",
        ),
        *("1990-02-28", "1990-02-30", "2026-11-28T18:30:00Z", "28.11.2026", "x" * 41, '"', "None"),
    ]
) | st.text(max_size=6)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Rows of which some cells hold anything, and now and then one has too many or too few."""
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        row = list(PLAIN)
        for i in draw(st.lists(st.integers(0, len(PLAIN) - 1), max_size=2)):
            row[i] = draw(CELLS)
        if draw(st.integers(0, 9)) == 0:
            row = row[: draw(st.integers(0, 9))]
        rows.append(row)
    return rows


def by_row(row: list[str]) -> Any:
    """The block of one row as a server reads it; None when it is refused."""
    if len(row) != len(NAMES):
        return None
    values = {feature.name: value_of(row[i], feature) for i, feature in COLUMNS}
    try:
        read = RowReader(ORDERS).one(json.dumps(values).encode())
    except InvalidRows:
        return None
    return Layout(ORDERS.contract).block([read.__dict__])


@given(tables())
def test_columns_are_read_as_rows_are(rows: list[list[str]]) -> None:
    """The same rows are refused, and those that are taken hold the same numbers and texts."""
    found = BlockReader(ORDERS, COLUMNS, len(NAMES)).read(rows)
    expected = {i: block for i, row in enumerate(rows) if (block := by_row(row)) is not None}
    assert found.positions.tolist() == list(expected)
    assert set(found.faults) == set(range(len(rows))) - set(expected)
    for k, block in enumerate(expected.values()):
        np.testing.assert_array_equal(found.block.numbers[k], block.numbers[0])
        assert found.block.categories[k].tolist() == block.categories[0].tolist()


@given(st.binary(max_size=60) | st.text(alphabet='a,"\r\n\0é', max_size=60).map(str.encode))
def test_any_bytes_are_rows_or_a_sentence(data: bytes) -> None:
    """Each row has a line of its own, in order."""
    path = Path("rows.csv")
    try:
        text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
        chunks = list(table_of(text, len(data), path).chunks())
    except CsvError as error:
        assert str(error).startswith("rows.csv: line ")
    except UnicodeDecodeError:
        # `open_table` makes a sentence of it.
        return
    else:
        lines = [line for chunk in chunks for line in chunk.lines]
        assert lines == sorted(set(lines))
        assert all(row for chunk in chunks for row in chunk.rows)


LABELS = (
    st.binary(max_size=60)
    | st.text(alphabet='a1,"\r\n\0é', max_size=60).map(str.encode)
    | st.text(alphabet='a1,"\r\n\0é', max_size=40).map(lambda t: f"{HEADER}\n{t}".encode())
)


@given(LABELS)
def test_any_file_of_labels_is_labels_or_a_sentence(data: bytes) -> None:
    """Each label has a line of its own, in order, and its two values."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.csv"
        path.write_bytes(data)
        try:
            found = list(labels_in(path, CHURN))
        except SettingsError as error:
            assert "expected" in str(error)
            return
    lines = [line for line, _ in found]
    assert lines == sorted(set(lines))
    assert all(set(label) == {"prediction_id", "actual"} for _, label in found)


class _Sized:
    """A path of a file that is not there, with a size."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self.st_size = size

    def stat(self) -> "_Sized":
        """Of which only the size is asked."""
        return self

    def __str__(self) -> str:
        return str(self._path)


def table_of(file: Any, size: int, path: Path) -> CsvTable:
    """A table over bytes in memory."""
    return CsvTable(file, _Sized(path, size))  # type: ignore[arg-type]
