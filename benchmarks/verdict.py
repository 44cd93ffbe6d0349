"""The targets, and whether this run met them.

Ratios are within one run; CPU is of every server process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.plan import CEILING, Cell
from benchmarks.steady import Steady
from benchmarks.summary import Summary

Summaries = Mapping[str, Summary]
SHARE = 0.6
PEERS = ("mlserver", "bentoml", "litserve")


@dataclass(frozen=True)
class Target:
    """A number to reach, and one to stretch for. `unit` tells whether less or more is better."""

    what: str
    unit: str
    better: Literal["less", "more"]
    reach: float
    stretch: float
    found: Callable[[Summaries], float | None]


@dataclass(frozen=True)
class Verdict:
    """A target with what was measured; None where this run did not measure it."""

    what: str
    unit: str
    bound: str
    reach: float
    stretch: float
    found: float | None

    @property
    def reached(self) -> str:
        """How far it got: "stretch", "reach", "missed" or "not measured"."""
        if self.found is None:
            return "not measured"
        if self._meets(self.stretch):
            return "stretch"
        return "reach" if self._meets(self.reach) else "missed"

    def _meets(self, wanted: float) -> bool:
        assert self.found is not None
        return self.found <= wanted if self.bound == "≤" else self.found >= wanted


def cpu(contender: str, cell: Cell) -> Callable[[Summaries], float | None]:
    """Find CPU ms per request of a cell."""

    def found(all_of: Summaries) -> float | None:
        measured = all_of[contender].cells.get(cell) if contender in all_of else None
        return measured.cpu_ms_per_request if measured and not measured.skipped else None

    return found


def throughput(contender: str, all_of: Summaries) -> float | None:
    """Find requests/s of single rows over 64 connections."""
    return all_of[contender].cells[CEILING].requests_per_s if contender in all_of else None


def ratio(*others: str) -> Callable[[Summaries], float | None]:
    """Divide Sluice's throughput by the best of the others'."""

    def found(all_of: Summaries) -> float | None:
        ours = throughput("sluice-fast", all_of)
        theirs = [throughput(name, all_of) or 0.0 for name in others]
        theirs = [rate for rate in theirs if rate]
        return ours / max(theirs) if ours and theirs else None

    return found


def _of_fast(pick: Callable[[Summary], float | None]) -> Callable[[Summaries], float | None]:
    return lambda all_of: pick(all_of["sluice-fast"]) if "sluice-fast" in all_of else None


def _p50_alone(summary: Summary) -> float | None:
    return summary.cells[Cell(1, 1)].p50_ms if Cell(1, 1) in summary.cells else None


def _most_rows(summary: Summary) -> float | None:
    return max(
        (m.rows_per_s for cell, m in summary.cells.items() if cell.n_rows == 1_000), default=None
    )


def _at_share(pick: Callable[[Steady], float]) -> Callable[[Summaries], float | None]:
    return _of_fast(
        lambda summary: pick(summary.at_rates[SHARE]) if SHARE in summary.at_rates else None
    )


def _error_percent(steady: Steady) -> float:
    return 100 * steady.errors / max(1, steady.requests)


def _replica_ready(summary: Summary) -> float | None:
    return summary.replica.ready_s if summary.replica else None


def _replica_memory(summary: Summary) -> float | None:
    return summary.replica.memory_mb if summary.replica else None


ALL_PEERS = tuple(name + kind for name in PEERS for kind in ("", "-compiled"))
AT_SHARE = f"at {SHARE:.0%} of the ceiling"
TARGETS = (
    Target(
        "CPU per request, 1 row, 64 connections",
        "ms",
        "less",
        0.65,
        0.5,
        cpu("sluice-fast", CEILING),
    ),
    Target(
        "the same, the version isolated", "ms", "less", 0.95, 0.75, cpu("sluice-isolated", CEILING)
    ),
    Target("throughput over Ray Serve as documented", "×", "more", 15, 20, ratio("ray-documented")),
    Target("throughput over the tutorial's FastAPI", "×", "more", 8, 12, ratio("fastapi-tutorial")),
    Target("throughput over the best peer", "×", "more", 2, 3, ratio(*ALL_PEERS)),
    Target(
        "throughput over the limit of the Python stack",
        "×",
        "more",
        0.45,
        0.7,
        ratio("fastapi-compiled"),
    ),
    Target("p50 at 1 connection", "ms", "less", 1, 0.5, _of_fast(_p50_alone)),
    Target(
        "CPU per request, 100 rows, 64 connections",
        "ms",
        "less",
        1.6,
        0.9,
        cpu("sluice-fast", Cell(100, 64)),
    ),
    Target("rows/s at 1,000 rows a request", "", "more", 100_000, 300_000, _of_fast(_most_rows)),
    Target(f"p50 {AT_SHARE}", "ms", "less", 50, 10, _at_share(lambda steady: steady.p50_ms)),
    Target(f"p95 {AT_SHARE}", "ms", "less", 200, 30, _at_share(lambda steady: steady.p95_ms)),
    Target(f"p99 {AT_SHARE}", "ms", "less", 500, 60, _at_share(lambda steady: steady.p99_ms)),
    Target(f"errors {AT_SHARE}", "%", "less", 0.1, 0.0, _at_share(_error_percent)),
    Target("a server replica: start to ready", "s", "less", 4, 2, _of_fast(_replica_ready)),
    Target("a server replica: memory", "MB", "less", 200, 160, _of_fast(_replica_memory)),
)


def judge(all_of: Summaries) -> list[Verdict]:
    """Judge every target by what this run found."""
    return [
        Verdict(
            t.what, t.unit, "≤" if t.better == "less" else "≥", t.reach, t.stretch, t.found(all_of)
        )
        for t in TARGETS
    ]
