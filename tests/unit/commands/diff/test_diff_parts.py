"""The parts of `sluice diff` that need no bundle: fields, rows of a file, intervals of a share."""

from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from serve_app.commands.diff.csv_rows import BadRow, CsvError, read_rows
from serve_app.commands.diff.fields import changes
from serve_app.contract import Feature, differences
from serve_app.models import get_spec
from serve_app.statistics.intervals import wilson

CHURN = get_spec("churn")
HEADER = ",".join(feature.name for feature in CHURN.contract)

INT = {"name": "n", "dtype": "int", "minimum": 0.0, "maximum": 9.0}
TEXT = {"name": "n", "dtype": "category", "choices": ("a", "b")}


@pytest.mark.parametrize(
    ("old", "new", "kinds"),
    [
        (INT, INT, []),
        (INT, INT | {"description": "Other words"}, []),
        (INT, INT | {"unit": "km"}, []),
        (INT | {"unit": "km"}, INT | {"unit": "miles"}, ["unit"]),
        (INT, INT | {"maximum": 10.0}, ["widened"]),
        (INT, INT | {"nullable": True}, ["widened"]),
        (INT | {"nullable": True}, INT, ["narrowed"]),
        (INT, INT | {"minimum": 1.0, "maximum": 20.0}, ["narrowed"]),
        (INT, INT | {"dtype": "float"}, ["retyped"]),
        (TEXT, TEXT | {"choices": ("a", "b", "c")}, ["widened"]),
        (TEXT, TEXT | {"choices": ("b", "c")}, ["narrowed"]),
        (INT, INT | {"name": "m"}, ["removed", "added"]),
        (INT | {"unit": "km"}, INT | {"unit": "miles", "maximum": 5.0}, ["narrowed", "unit"]),
    ],
)
def test_each_change_of_a_field_has_its_name(
    old: dict[str, Any], new: dict[str, Any], kinds: list[str]
) -> None:
    """Only a wider field breaks nothing; for all but units a server's own rule says the same."""
    stable = (Feature(**old),)
    candidate = (Feature(**new),)
    found = changes(stable, candidate)
    assert [change.kind for change in found] == kinds
    assert [change.breaks for change in found] == [kind != "widened" for kind in kinds]
    is_refused = any(change.breaks and change.kind != "unit" for change in found)
    assert is_refused == bool(differences(stable, candidate))


def test_another_order_of_the_same_fields_breaks() -> None:
    """Columns reach a model by their position; one line says where the order begins to differ."""
    names = tuple(Feature(**INT | {"name": name}) for name in "abc")
    (change,) = changes(names, (names[0], names[2], names[1]))
    assert (change.field, change.kind, change.before, change.after) == (
        "b",
        "moved",
        "field 2",
        "field 3",
    )
    assert change.breaks
    assert [found.kind for found in changes(names, names[1:])] == ["removed"]


@pytest.mark.parametrize(
    ("n_hits", "n_rows"), [(0, 1), (1, 1), (0, 34), (3, 66), (34, 34), (248, 5_000)]
)
def test_the_interval_of_a_share_is_wilsons(n_hits: int, n_rows: int) -> None:
    """It is compared with SciPy's, at both ends of the scale and between."""
    expected = binomtest(n_hits, n_rows).proportion_ci(method="wilson")
    assert wilson(n_hits, n_rows) == pytest.approx((expected.low, expected.high), abs=1e-6)


GOOD_ROW = "3,2,6,30,1,49.0,2,3,0,1"
BAD_LINES = [
    (
        "99,2,6,30,1,49.0,2,3,0,1",
        "monthly_active_days is out of range, expected integer from 0 to 31",
    ),
    (
        "3.5,2,6,30,1,49.0,2,3,0,1",
        "monthly_active_days is not an integer, expected integer from 0 to 31",
    ),
    (",2,6,30,1,49.0,2,3,0,1", "monthly_active_days is empty, expected integer from 0 to 31"),
    (
        "three,2,6,30,1,49.0,2,3,0,1",
        "monthly_active_days is not an integer, expected integer from 0 to 31",
    ),
    (
        "3,2,6,30,2,49.0,2,3,0,1",
        "contract_length_months is not one of the allowed values, expected one of 1, 6, 12",
    ),
    ("3,2,6,30,1,nan,2,3,0,1", "monthly_spend_usd is not a number, expected number > 0"),
    ("3,2,6,30,1,1e999,2,3,0,1", "monthly_spend_usd is not a finite number"),
    ("3,2,6,30,1,0,2,3,0,1", "monthly_spend_usd is out of range"),
    ("3,2,6,30,1,1_000,2,3,0,1", "monthly_spend_usd is not a number"),
    ("3,2,6,30,1,49.0,2,3,true,1", "onboarding_completed is not an integer"),
    ("3,2,6,30,1,49.0,2,3,0", "found 9 cells, expected 10 as in the header"),
    (GOOD_ROW + ",", "found 11 cells, expected 10 as in the header"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_a_bad_row_is_named_by_its_line_and_hurts_no_other(
    tmp_path: Path, line: str, reason: str
) -> None:
    """What a server would refuse is told with field and expectation.

    Blank lines are no rows, but count as lines.
    """
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([HEADER, GOOD_ROW, "", line, GOOD_ROW]) + "\n")
    found = list(read_rows(path, CHURN))
    assert found[0] == found[2] == CHURN.examples[0].row.model_dump()
    assert isinstance(found[1], BadRow)
    assert found[1].line == 4
    assert found[1].reason.startswith(reason)


def test_a_file_of_another_program_is_read_as_it_was_meant(tmp_path: Path) -> None:
    """A byte-order mark, CRLF, quotes with line breaks, other columns, and 3.0 for 3 are read."""
    names = [f.name for f in CHURN.contract]
    lines = [
        ",".join(["id", *reversed(names)]),
        '"a\r\nb",1,0,3,2,"49",1,30,6.0,2,3e0',
        "c,1,0,3,2,49,1,30,6,2,77",
    ]
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    good, bad = read_rows(tmp_path / "rows.csv", CHURN)
    assert good == CHURN.examples[0].row.model_dump()
    assert isinstance(bad, BadRow)
    assert bad.line == 4


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"", "line 1: missing columns: monthly_active_days"),
        (b"a;b\n1;2\n", "line 1: missing columns: monthly_active_days"),
        (b"NAMES,nps_score\n" + GOOD_ROW.encode() + b",3\n", "line 1: found nps_score twice"),
        (b"NAMES\n" + GOOD_ROW.encode() + b'\n"3,2\n', "line 3 is no CSV (unexpected end of data)"),
        (b"NAMES\n\xe9\n", "found the byte 0xe9, expected UTF-8"),
        (b"NAMES\n" + b"9" * 200_000, "line 2 is no CSV (field larger than field limit"),
    ],
)
def test_a_file_that_is_no_table_of_rows_is_refused(
    tmp_path: Path, content: bytes, hint: str
) -> None:
    """One message with the file, the place and what was expected."""
    path = tmp_path / "rows.csv"
    path.write_bytes(content.replace(b"NAMES", HEADER.encode()))
    with pytest.raises(CsvError) as refusal:
        list(read_rows(path, CHURN))
    assert str(refusal.value).startswith(f"{path}: ")
    assert hint in str(refusal.value)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    """A missing file and a folder are said, not raised."""
    for path, hint in ((tmp_path / "none.csv", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(CsvError, match=f"cannot be read .{hint}"):
            list(read_rows(path, CHURN))
