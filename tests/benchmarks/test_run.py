"""The benchmark itself: what a short run reports, and that it cannot be fooled.

Never a word on milliseconds.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import run as side_by_side
from benchmarks.bundles import kept
from benchmarks.contenders.fastapi import COMPILED
from benchmarks.errors import BenchmarkError, WrongAnswers
from benchmarks.plan import CEILING, SHORT, Cell, Plan

ROOT = Path(__file__).parents[2]
NAMES = ("sluice-fast", "fastapi-compiled")
# A minute on a machine that does nothing else.
LONGEST_S = 1_800
needs_wrk = pytest.mark.skipif(
    shutil.which("wrk") is None, reason="wrk is not installed: apt-get install wrk"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a short run leaves, for Sluice and for the limit of the Python stack."""
    out: Path = tmp_path_factory.mktemp("report")
    command = [sys.executable, "-m", "benchmarks", "run", "--short", "--out", str(out)]
    for name in NAMES:
        command += ["--only", name]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@needs_wrk
def test_a_short_run_reports_every_cell_of_every_contender_without_an_error(report: Path) -> None:
    """Throughput, percentiles, CPU by process, memory, start; and latency at a fixed rate."""
    outcomes = _read(report)["outcomes"]
    assert [outcome["contender"] for outcome in outcomes] == list(NAMES)
    for outcome in outcomes:
        cells = {(m["cell"]["n_rows"], m["cell"]["connections"]): m for m in outcome["cells"]}
        assert set(cells) == {(cell.n_rows, cell.connections) for cell in SHORT.cells}
        for measured in cells.values():
            assert measured["errors"] == 0
            assert measured["rows_per_s"] == pytest.approx(
                measured["requests_per_s"] * measured["cell"]["n_rows"]
            )
            assert 0 < measured["p50_ms"] <= measured["p95_ms"] <= measured["p99_ms"]
            assert sum(measured["cpu_ms"].values()) > 0
        for at in outcome["at_rates"]:
            assert at["steady"]["errors"] == 0
            assert at["steady"]["requests"] > 0
        assert sum(outcome["memory_mb"].values()) > 50
        assert outcome["ready_s"] > 0
    assert {"Sluice server", "HAProxy"} <= set(outcomes[0]["memory_mb"])
    assert outcomes[0]["replica"]["ready_s"] > 0


@needs_wrk
def test_a_short_run_judges_every_target_and_says_which_it_did_not_measure(report: Path) -> None:
    """A target whose contender took no part is not measured, and never met by accident."""
    verdicts = {verdict["what"]: verdict for verdict in _read(report)["verdicts"]}
    assert len(verdicts) == 15
    assert verdicts["throughput over Ray Serve as documented"]["reached"] == "not measured"
    assert verdicts["throughput over the limit of the Python stack"]["found"] > 0


@needs_wrk
def test_a_short_run_leaves_tables_and_charts(report: Path) -> None:
    """There is Markdown for people, and PNG for the page."""
    text = (report / "report.md").read_text()
    assert "## Targets" in text
    assert all(f"| {name} |" in text for name in NAMES)
    for name in ("throughput", "latency", "cpu", "cost"):
        assert (report / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@needs_wrk
def test_a_contender_with_wrong_answers_fails_the_run() -> None:
    """The speed of wrong answers means nothing."""
    dialect = replace(
        COMPILED.dialect, answers=lambda body: [p + 0.01 for p in COMPILED.dialect.answers(body)]
    )
    plan = Plan((CEILING, Cell(1, 1)), cell_s=1, warm_s=1, load_shares=(), rounds=1)
    with (
        kept() as bundle,
        pytest.raises(
            WrongAnswers, match=r"fastapi-compiled: answers differ from the pipeline.s by 0\.0"
        ),
    ):
        side_by_side.run([replace(COMPILED, dialect=dialect)], bundle, plan, Console(quiet=True))


def test_a_missing_wrk_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run stops before anything is started."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(BenchmarkError, match="apt-get install wrk"):
        side_by_side.run([], Path(), SHORT, Console(quiet=True))


def _read(report: Path) -> Any:
    return json.loads((report / "results.json").read_text())
