"""`sluice check` on where the prediction log goes, and what it leaves out."""

from pathlib import Path

import pytest
from checking import SHIPPED, changed, report_on

STABLE = '      stable: "1.0.0"\n'
MARKED = "    # log: prediction_log "


def said(tmp_path: Path, text: str) -> list[str]:
    """All faults as `severity place: text`."""
    report = report_on(tmp_path, text, with_store=False)
    return [f"{fault.severity} {fault.where}: {fault.text}" for fault in report.faults]


def test_the_log_that_is_shipped_as_a_comment_is_sound(tmp_path: Path) -> None:
    """Whoever takes the marks away has a log of everything."""
    text = SHIPPED.replace(MARKED, "    log: prediction_log ", 1)
    text = text.replace("      # log: {", "      log: {", 1)
    assert text.count("    log:") == 2
    assert said(tmp_path, text) == []


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("{leave_out: [nps]}", "leave_out: found nps, expected fields of the contract"),
        ("{hashed: [nps_score]}", "hashed: found nps_score, expected fields of text"),
        ("{keep_days: 0}", "greater than or equal to 1"),
        ("{sample_percent: 101}", "less than or equal to 100"),
        ("{leave_out: [nps_score], hashed: [nps_score]}", "keep one of the two"),
        ("{sampel_percent: 5}", "unknown key"),
    ],
)
def test_what_a_log_cannot_do_is_told_with_its_place(
    tmp_path: Path, log: str, expected: str
) -> None:
    """Before it is deployed, when nothing has been written yet that should not be."""
    text = changed(SHIPPED, STABLE, f"{STABLE}      log: {log}\n")[0]
    text = text.replace(MARKED, "    log: prediction_log ", 1)
    [line] = said(tmp_path, text)
    assert line.startswith("error ")
    assert "log" in line
    assert expected in line


def test_a_place_that_is_none_is_told(tmp_path: Path) -> None:
    """As the server would at its start."""
    text = SHIPPED.replace(MARKED, "    log: ftp://here ", 1)
    [line] = said(tmp_path, text)
    assert "args.log" in line
    assert "expected a folder or one of s3://" in line


def test_what_is_kept_is_said_where_nothing_is_kept(tmp_path: Path) -> None:
    """A warning: the variable of the place may be set where it serves."""
    text = changed(SHIPPED, STABLE, f"{STABLE}      log: {{sample_percent: 5}}\n")[0]
    [line] = said(tmp_path, text)
    assert line.startswith("warning ")
    assert "args has no `log`" in line


@pytest.mark.parametrize(("keep_days", "is_told"), [(36, True), (37, False)])
def test_a_log_that_deletes_rows_before_all_their_labels_have_come_is_told(
    tmp_path: Path, keep_days: int, is_told: bool
) -> None:
    """To train on a week of them, they have to be kept for a week longer."""
    text = SHIPPED.replace(MARKED, "    label_delay_days: 30\n    log: prediction_log ", 1)
    text = changed(text, STABLE, f"{STABLE}      log: {{keep_days: {keep_days}}}\n")[0]
    found = said(tmp_path, text)
    assert len(found) == is_told
    for line in found:
        assert line.startswith("warning ")
        assert "keep_days: found 36, expected 37 or more" in line
