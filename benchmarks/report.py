"""The report of a run: JSON for programs, Markdown for people."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.outcome import Measured, Run
from benchmarks.plan import CEILING, Cell
from benchmarks.summary import Summary
from benchmarks.verdict import Verdict


def write(
    run: Run, summaries: Mapping[str, Summary], verdicts: Sequence[Verdict], folder: Path
) -> None:
    """Write `results.json` with every round, and `report.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = asdict(run)
    data["verdicts"] = [asdict(verdict) | {"reached": verdict.reached} for verdict in verdicts]
    (folder / "results.json").write_text(json.dumps(data, indent=1))
    (folder / "report.md").write_text(markdown(run, summaries, verdicts))


def markdown(run: Run, summaries: Mapping[str, Summary], verdicts: Sequence[Verdict]) -> str:
    """Write the tables."""
    parts = [
        "# Benchmark",
        "\n".join(f"* {name}: {value}" for name, value in run.machine.items()),
        "## Targets",
        verdict_table(verdicts),
        "## Single rows over 64 connections",
        contender_table(summaries),
        "## Latency at a fixed rate (open loop, single rows)",
        rate_table(summaries),
        "## All cells",
    ]
    for name, summary in summaries.items():
        parts.append(f"### {name}\n\n{cell_table(summary.cells.values())}")
    for name, reason in run.skipped.items():
        parts.append(f"Skipped: {name}: {reason}")
    return "\n\n".join([*parts, ""])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table; numbers to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def verdict_table(verdicts: Iterable[Verdict]) -> str:
    """List each target with what was found."""
    return table(
        ["target", "reach (stretch)", "found", "met"],
        [
            [v.what, f"{v.bound} {v.reach:g} ({v.stretch:g}) {v.unit}", number(v.found), v.reached]
            for v in verdicts
        ],
    )


def contender_table(summaries: Mapping[str, Summary]) -> str:
    """List everybody at the cell that ratios are taken from."""
    ours = None
    if "sluice-fast" in summaries:
        ours = summaries["sluice-fast"].cells[CEILING].requests_per_s
    rows = []
    for name, summary in summaries.items():
        at = summary.cells[CEILING]
        alone = summary.cells.get(Cell(1, 1))
        factor = ours / at.requests_per_s if ours and at.requests_per_s else None
        values = [at.requests_per_s, factor, at.cpu_ms_per_request, alone.p50_ms if alone else None]
        values += [at.p50_ms, at.p99_ms, summary.errors, summary.memory_mb, summary.ready_s]
        rows.append([name, *map(number, values)])
    head = [
        "contender",
        "requests/s",
        "Sluice is × faster",
        "CPU ms/request",
        "p50 ms at 1 connection",
    ]
    return table([*head, "p50 ms", "p99 ms", "errors, all cells", "memory MB", "ready s"], rows)


def rate_table(summaries: Mapping[str, Summary]) -> str:
    """List latency by share of each one's own ceiling."""
    return table(
        ["contender", "share of its ceiling", "requests/s", "p50 ms", "p95 ms", "p99 ms", "errors"],
        [
            [
                name,
                f"{share:.0%}",
                *map(number, (s.offered_rate, s.p50_ms, s.p95_ms, s.p99_ms, s.errors)),
            ]
            for name, summary in summaries.items()
            for share, s in summary.at_rates.items()
        ],
    )


def cell_table(cells: Iterable[Measured]) -> str:
    """List the cells: rows a request × connections."""
    return table(
        [
            "rows × connections",
            "requests/s",
            "rows/s",
            "CPU ms/request",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "errors",
        ],
        [_cell_row(measured) for measured in cells],
    )


def _cell_row(m: Measured) -> list[str]:
    name = f"{m.cell.n_rows:,} × {m.cell.connections}"
    if m.skipped:
        return [f"{name} (skipped: {m.skipped})", *["–"] * 7]
    values = (m.requests_per_s, m.rows_per_s, m.cpu_ms_per_request, m.p50_ms, m.p95_ms, m.p99_ms)
    return [name, *(number(value) for value in values), str(m.errors)]


def number(value: float | None) -> str:
    """Write three significant digits, with commas between thousands."""
    if value is None:
        return "–"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
