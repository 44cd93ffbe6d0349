"""`python -m benchmarks`: each command imports what it needs itself."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.errors import BenchmarkError, WrongAnswers
from benchmarks.place import ROOT
from serve_app.commands.exit_codes import ExitCode

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console(highlight=False)
OutOption = Annotated[Path, typer.Option("--out", help="Folder for JSON, Markdown and charts.")]
ShortOption = Annotated[
    bool, typer.Option("--short", help="A second or two for each part, and few of them.")
]


def main() -> None:
    """Run the command line; Ctrl-C and SIGTERM end what was started."""
    signal.signal(signal.SIGTERM, _interrupt)
    app(prog_name="python -m benchmarks")


@app.callback()
def benchmarks() -> None:
    """Sluice next to what else serves the same model, in one run on one machine."""


@app.command()
def run(
    out: OutOption = ROOT / ".run" / "bench" / "report",
    short: ShortOption = False,
    peers: Annotated[
        bool, typer.Option("--peers", help="MLServer, BentoML and LitServe too, from PyPI.")
    ] = False,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="Each contender so often; else 2.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A contender by name; may be repeated.")
    ] = None,
) -> None:
    """Ceilings, latency at fixed rates, CPU, memory, start; every answer is compared."""
    from benchmarks import chart, report
    from benchmarks.bundles import kept
    from benchmarks.contenders import CONTENDERS, OWN
    from benchmarks.plan import FULL, SHORT
    from benchmarks.run import run as measure
    from benchmarks.summary import summarize
    from benchmarks.verdict import judge

    names = [contender.name for contender in CONTENDERS]
    unknown = sorted(set(only or ()) - set(names))
    if unknown:
        raise typer.BadParameter(f"found {', '.join(unknown)}; expected some of {', '.join(names)}")
    chosen = list(CONTENDERS if peers else OWN)
    if only:
        chosen = [contender for contender in CONTENDERS if contender.name in only]
    plan = SHORT if short else FULL
    plan = replace(plan, rounds=rounds or plan.rounds)

    def work() -> None:
        with kept() as bundle:
            found = measure(chosen, bundle, plan, console)
        summaries = summarize(found)
        verdicts = judge(summaries)
        report.write(found, summaries, verdicts, out)
        chart.draw(summaries, out)
        for verdict in verdicts:
            style = {"missed": "red", "not measured": "dim"}.get(verdict.reached, "green")
            console.print(
                f"{verdict.reached:>12}  {verdict.what}: {report.number(verdict.found)}",
                style=style,
            )
        console.print(f"report: {out}/report.md")

    _or_say_why(work)


@app.command()
def ramp(out: OutOption = ROOT / ".run" / "bench" / "report") -> None:
    """Load up and down: replicas follow within the file's bounds, and no request fails."""
    from benchmarks import ramp as ramps

    def work() -> None:
        for found in ramps.run(out, console):
            console.print(
                f"{found.title}: {found.least} → {found.most} → {found.least} replicas, none failed"
            )

    _or_say_why(work)


@app.command()
def beside(out: OutOption = ROOT / ".run" / "bench" / "report", short: ShortOption = False) -> None:
    """A candidate that takes 200 ms a call next to stable: stable's p99 stays within 1.5 ×."""
    from benchmarks import beside as pairs

    def work() -> None:
        for pair in pairs.run(out, console, seconds=3 if short else 15, rounds=1 if short else 3):
            style = "green" if pair.ratio <= pairs.MOST_RATIO else "red"
            console.print(
                f"{pair.candidate}, {pair.placement}: p99 of stable × {pair.ratio:.2f}", style=style
            )

    _or_say_why(work)


@app.command()
def watched(
    out: OutOption = ROOT / ".run" / "bench" / "report", short: ShortOption = False
) -> None:
    """What a rollout costs on a request's path: at most 5 % more CPU for a canary."""
    from benchmarks import watched as ways

    def work() -> None:
        found = ways.run(out, console, seconds=2 if short else 10, rounds=1 if short else 3)
        console.print((out / "watched.md").read_text(), markup=False)
        ratio = ways.ratio(found, ways.CANARY)
        console.print(
            f"canary: CPU × {ratio:.3f}", style="green" if ratio <= ways.MOST_RATIO else "red"
        )

    _or_say_why(work)


@app.command()
def heavy(out: OutOption = ROOT / ".run" / "bench" / "report", short: ShortOption = False) -> None:
    """Two models whose call is expensive: with the batch, without it, isolated."""
    from benchmarks import heavy as models

    def work() -> None:
        models.run(out, console, short=short)
        console.print((out / "heavy.md").read_text(), markup=False)

    _or_say_why(work)


@app.command()
def agree(
    n_rows: Annotated[int, typer.Option("--rows", min=1, help="Rows of each pipeline.")] = 20_000,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A part of a name; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of data and rows.")] = 7,
    processes: Annotated[int, typer.Option("--processes", min=1, help="Side by side.")] = 2,
) -> None:
    """Every kind of pipeline: what a bundle serves is what its fitted pipeline says, row by row."""
    from benchmarks.agree import run as agreement

    def work() -> None:
        names = agreement.chosen_names(only or [])
        found = []
        for verdict in agreement.verdicts(names, n_rows, seed, processes):
            agreement.show(verdict, console)
            found.append(verdict)
        console.print(agreement.table_of(found))
        console.print(agreement.summary_of(found))
        if not all(verdict.is_right for verdict in found):
            raise WrongAnswers("served and right are not the same: see the rows above")

    _or_say_why(work)


@app.command()
def drift(
    n_windows: Annotated[
        int, typer.Option("--windows", min=1, help="For each of ten frozen trainings.")
    ] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Of rows and windows.")] = 7,
) -> None:
    """How often drift is raised for nothing, and how often half a deviation is found (percent)."""
    from benchmarks import drift as windows

    def work() -> None:
        for line in windows.lines(n_windows, seed):
            console.print(line, markup=False, soft_wrap=True)

    _or_say_why(work)


@app.command()
def season(
    out: Annotated[Path, typer.Option("--out", help="Folder for the pictures.")] = ROOT
    / ".run"
    / "bench"
    / "season",
    short: ShortOption = False,
) -> None:
    """Thirty days of a shop in virtual time: a monsoon, and a quiet season in which nothing is."""
    from benchmarks import season as seasons

    def work() -> None:
        for line in seasons.tell(out, short=short):
            console.print(line, markup=False, soft_wrap=True)

    _or_say_why(work)


@app.command()
def observer() -> None:
    """What counting for drift costs a request, in CPU time of the server."""
    from benchmarks import observer as counting

    def work() -> None:
        for cost in counting.costs():
            console.print(
                f"{cost.n_rows} rows a request: {cost.us:.1f} µs; the longest step "
                f"{cost.longest_ms:.2f} ms"
            )

    _or_say_why(work)


@app.command()
def stalls(
    out: OutOption = ROOT / ".run" / "bench" / "report",
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="How long to search.")] = 60,
    seed: Annotated[int, typer.Option("--seed", help="Of the bodies.")] = 7,
) -> None:
    """How long one request holds up the others: a search for the body with the longest step."""
    from benchmarks import stalls as steps

    def work() -> None:
        found = steps.search(seconds, seed)
        console.print(steps.report(found, out), markup=False)
        longest_ms = found.longest[0].seconds * 1e3
        style = "green" if longest_ms <= steps.MOST_MS else "red"
        console.print(f"longest step: {longest_ms:.2f} ms (at most {steps.MOST_MS:g})", style=style)

    _or_say_why(work)


@app.command()
def disk(out: OutOption = ROOT / ".run" / "bench" / "report", short: ShortOption = False) -> None:
    """An idle server for an hour: at most 2 MB more in all of its files and Ray's."""
    from benchmarks import disk as files

    def work() -> None:
        found = files.run(out, console, files.SHORT if short else files.FULL)
        console.print((out / "disk.md").read_text(), markup=False)
        if found.bytes_an_hour > files.MOST_BYTES_AN_HOUR:
            raise BenchmarkError(
                f"{found.bytes_an_hour / 1e6:.2f} MB an hour, expected at most "
                f"{files.MOST_BYTES_AN_HOUR / 1e6:g}"
            )

    _or_say_why(work)


@app.command()
def models(
    out: OutOption = ROOT / ".run" / "bench" / "report",
    short: ShortOption = False,
    counts: Annotated[
        list[int] | None, typer.Option("--count", min=1, help="So many models; may be repeated.")
    ] = None,
) -> None:
    """What one more model costs: memory, idle CPU, start, and one's p99 while others are asked."""
    from benchmarks import models as many

    def work() -> None:
        many.run(out, console, counts or many.COUNTS, many.SHORT if short else many.FULL)
        console.print((out / "models.md").read_text(), markup=False)

    _or_say_why(work)


def _or_say_why(work: Callable[[], None]) -> None:
    try:
        work()
    except BenchmarkError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(ExitCode.REFUSED) from None
    except KeyboardInterrupt:
        console.print("interrupted: everything that was started has been ended", style="yellow")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
