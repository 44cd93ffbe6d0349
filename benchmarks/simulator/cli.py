"""The command line of the simulator."""

import os
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.errors import BenchmarkError
from benchmarks.simulator.run import simulate
from benchmarks.simulator.runs import all_runs, chosen
from benchmarks.simulator.scenario import Scenario
from benchmarks.simulator.table import table_of, verdict_of
from serve_app.commands.exit_codes import ExitCode

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(highlight=False)


def main() -> None:
    """Run the command line."""
    app(prog_name="make simulate")


@app.command()
def scenarios(
    scenario: Annotated[
        list[str] | None,
        typer.Option("--scenario", help="A part of a name; may be repeated. Else all."),
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Of each scenario.")] = 1_000,
    seed: Annotated[
        int, typer.Option("--seed", help="Of the first run; the next has one more.")
    ] = 1,
    story: Annotated[
        int | None, typer.Option("--story", help="Tell the run of this seed, and run nothing else.")
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", min=1, help="Side by side.")
    ] = os.cpu_count() or 1,
) -> None:
    """Rollouts of the real code in virtual time, with simulated clients, processes and faults."""
    try:
        found = chosen(scenario or [])
    except BenchmarkError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(ExitCode.REFUSED) from None
    if story is not None:
        for one in found:
            _tell(one, story)
        return
    summaries = {}
    for one, summary in all_runs(found, runs, seed, processes):
        summaries[one.name] = (one, summary)
        console.print(verdict_of(one, summary), markup=False, soft_wrap=True)
    for line in table_of(list(summaries.values())):
        console.print(line, markup=False, soft_wrap=True)
    for one, summary in summaries.values():
        if summary.failing_seed is not None:
            _tell(one, summary.failing_seed)
    if any(summary.missed for _, summary in summaries.values()):
        raise typer.Exit(ExitCode.REFUSED)


def _tell(scenario: Scenario, seed: int) -> None:
    """Run one seed again, and print its story: what happened when, as a log."""
    outcome = simulate(scenario, seed, is_told=True)
    console.print(f"{scenario.name}, seed {seed}: {scenario.about}", style="bold", markup=False)
    for line in outcome.story:
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"{outcome.ended}: {outcome.reason}", markup=False, soft_wrap=True)
