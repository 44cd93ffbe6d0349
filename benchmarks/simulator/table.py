"""What is printed of the scenarios: a line as each is known, and a Markdown table at the end."""

from collections.abc import Iterator, Sequence

from benchmarks.simulator.outcome import Summary
from benchmarks.simulator.scenario import Scenario

COLUMNS = (
    "scenario",
    "runs",
    "aborted",
    "held",
    "passed",
    "undecided",
    "median time",
    "candidate requests",
    "answers lost",
    "longest exposure",
    "cannot be taken away",
    "missed",
)


def verdict_of(scenario: Scenario, summary: Summary) -> str:
    """Say in one line how it went."""
    reached = "missed" if summary.missed else "reached"
    found = "; ".join(summary.missed)
    finds = f" [{', '.join(scenario.finds)}]" if scenario.finds else ""
    return f"{reached:>8}  {scenario.name}{finds}: {found or scenario.about}"


def table_of(found: Sequence[tuple[Scenario, Summary]]) -> Iterator[str]:
    """Markdown: one row a scenario."""
    yield _row(COLUMNS)
    yield _row(["---"] * len(COLUMNS))
    for scenario, summary in found:
        yield _row(
            [
                scenario.name,
                f"{summary.n_runs}",
                f"{summary.aborted:.1f} %",
                f"{summary.held:.1f} %",
                f"{summary.passed:.1f} %",
                f"{summary.undecided:.1f} %",
                f"{summary.median_s:.0f} s",
                f"{summary.median_candidate:,.0f}",
                f"{summary.n_lost}",
                f"{summary.longest_exposure_s} s",
                f"{summary.n_stuck}",
                "; ".join(summary.missed) or "–",
            ]
        )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
