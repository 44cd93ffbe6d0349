"""All cases, side by side in processes, and the table of what came out."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from rich.console import Console
from rich.table import Table

from benchmarks.agree.families import all_cases
from benchmarks.agree.judge import Verdict, judge
from benchmarks.errors import BenchmarkError

MAX_REASON_LENGTH = 160


def chosen_names(only: Sequence[str]) -> list[str]:
    """The cases whose name has one of these words; all without words. Raises BenchmarkError."""
    names = [case.name for case in all_cases()]
    found = [name for name in names if not only or any(word in name for word in only)]
    if not found:
        raise BenchmarkError(
            f"no pipeline has {' or '.join(map(repr, only))} in its name; expected a part of "
            f"one of: {', '.join(names)}"
        )
    return found


def verdicts(names: Sequence[str], n_rows: int, seed: int, n_processes: int) -> Iterator[Verdict]:
    """What became of each case, in order, as soon as it is known."""
    if n_processes == 1:
        for name in names:
            yield judged(name, n_rows, seed)
        return
    # Threads of libraries do not survive a fork.
    with ProcessPoolExecutor(n_processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(judged, names, [n_rows] * len(names), [seed] * len(names))


def judged(name: str, n_rows: int, seed: int) -> Verdict:
    """One case by its name: lambdas do not cross a process."""
    [case] = [case for case in all_cases() if case.name == name]
    return judge(case, n_rows, seed)


def show(found: Verdict, console: Console) -> None:
    """One line for a case, and the rows that differ."""
    if found.skipped:
        console.print(f"{'skipped':>8}  {found.name}: {found.skipped}", style="dim", markup=False)
        return
    if found.refusal:
        console.print(f"{'refused':>8}  {found.name}: {found.refusal}", style="red", markup=False)
        return
    console.print(
        f"{'right' if found.is_right else 'WRONG':>8}  {found.name}: {found.n_different:,} of "
        f"{found.n_rows:,} rows differ, {found.n_errors:,} error rows, "
        f"{'compiled' if found.is_compiled else 'not compiled'}, {found.bundling_s:.1f} s",
        style="green" if found.is_right else "red",
        markup=False,
    )
    for line in found.shown:
        console.print(f"{'':>10}{line}", markup=False)


def table_of(found: Sequence[Verdict]) -> Table:
    """One row for each case that was tried."""
    table = Table("pipeline", "compiled", "why")
    for name in ("rows", "differ", "errors", "bundling s"):
        table.add_column(name, justify="right")
    for one in found:
        if one.skipped:
            continue
        reason = one.refusal or one.reason
        if len(reason) > MAX_REASON_LENGTH:
            reason = reason[: MAX_REASON_LENGTH - 1] + "…"
        compiled = "yes" if one.is_compiled else "no"
        table.add_row(
            one.name,
            "refused" if one.refusal else compiled,
            reason,
            f"{one.n_rows:,}",
            f"{one.n_different:,}",
            f"{one.n_errors:,}",
            f"{one.bundling_s:.1f}",
        )
    return table


def summary_of(found: Sequence[Verdict]) -> str:
    """The last line: how many are compiled, and how many rows differ."""
    tried = [one for one in found if not one.skipped]
    return (
        f"{len(tried)} pipelines, {sum(one.n_rows for one in tried):,} rows: "
        f"{sum(one.n_different for one in tried):,} differ; "
        f"{sum(one.is_compiled for one in tried)} compiled, "
        f"{sum(bool(one.refusal) for one in tried)} refused, "
        f"{len(found) - len(tried)} skipped"
    )
