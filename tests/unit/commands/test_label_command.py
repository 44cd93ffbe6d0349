"""`sluice label`: a CSV of what came true, with line and reason of what is refused."""

from pathlib import Path
from typing import Any

import pytest
from labelled import CHURN, CLASSES, OUTPUTS, VALUE

from serve_app.commands.label import LABELS_A_REQUEST, label_of, send_file
from serve_app.errors import SettingsError


class Server:
    """Refuses the actual value 9, and notes the rest."""

    def __init__(self) -> None:
        self.requests: list[list[dict[str, Any]]] = []

    def send(self, labels: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One outcome a label."""
        self.requests.append(labels)
        return [
            {"status": "error", "error": {"code": "invalid_label", "detail": "no such class"}}
            if one["actual"] == "9"
            else {"status": "success"}
            for one in labels
        ]


def test_a_file_is_sent_in_parts_and_what_is_refused_has_its_line(tmp_path: Path) -> None:
    """Other columns are left out, and the order of columns does not matter."""
    path = tmp_path / "labels.csv"
    n = LABELS_A_REQUEST + 2
    lines = [f"note,{i % 2},id-{i}" for i in range(n)]
    lines[3] = "note,9,id-3"
    path.write_text("\n".join(["why,actual,prediction_id", *lines]) + "\n")
    server = Server()
    assert send_file(path, CHURN, server.send) == (n, [(5, "no such class")])
    assert [len(one) for one in server.requests] == [LABELS_A_REQUEST, 2]
    assert server.requests[0][1] == {"prediction_id": "id-1", "actual": "1"}


def test_values_are_sent_as_numbers_and_classes_as_they_stand() -> None:
    """What is no number is left to the server, which says what it expects."""
    row = {"prediction_id": " id ", "actual": "12.5", "grams": "1e3", "metres": "far"}
    assert label_of(row, VALUE) == {"prediction_id": "id", "actual": 12.5}
    assert label_of(row, CLASSES) == {"prediction_id": "id", "actual": "12.5"}
    assert label_of(row, OUTPUTS)["actual"] == {"grams": 1000.0, "metres": "far"}
    assert label_of({**row, "actual": "inf"}, VALUE)["actual"] == "inf"


@pytest.mark.parametrize("text", [b"prediction_id,truth\nx,1\n", b"", b"\xff\xfe\x00"])
def test_a_file_that_has_no_labels_is_refused(tmp_path: Path, text: bytes) -> None:
    """Which column is missing, and what is expected."""
    path = tmp_path / "labels.csv"
    path.write_bytes(text)
    with pytest.raises(SettingsError, match="expected"):
        send_file(path, CHURN, Server().send)
    with pytest.raises(SettingsError, match="cannot be read"):
        send_file(tmp_path / "none.csv", CHURN, Server().send)


@pytest.mark.parametrize("header", ["prediction_id,actual,actual", "actual,prediction_id,actual"])
def test_a_column_that_stands_twice_is_refused(tmp_path: Path, header: str) -> None:
    """The last one would win without a word; other columns may be called as they like."""
    path = tmp_path / "labels.csv"
    path.write_text(f"{header}\nx,1,0\n")
    server = Server()
    with pytest.raises(SettingsError, match="the column actual stands twice"):
        send_file(path, CHURN, server.send)
    assert server.requests == []
    path.write_text("note,note,prediction_id,actual\na,b,x,1\n")
    assert send_file(path, CHURN, server.send) == (1, [])
