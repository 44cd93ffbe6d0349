"""What the labels of the file say of both versions, on the screen."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from serve_app.commands.diff.cells import gap, interval, number, table_of
from serve_app.commands.diff.comparison import Diff
from serve_app.commands.diff.labelled import Quality, SliceQuality
from serve_app.statistics.paired import MeasuredPair

N_QUALITY_SLICES = 5
VERDICTS = {"better": "green", "worse": "red"}


def quality_lines(diff: Diff) -> Iterator[RenderableType]:
    """What the labels of the file say of both versions."""
    quality = diff.csv.quality if diff.csv else None
    if diff.csv is None or quality is None:
        return
    name = Path(diff.csv.path).name
    if quality.reason:
        yield Text(f"no metrics on {name}: {quality.reason}", style="yellow")
    else:
        table = _side_by_side(
            diff, f"metrics of both on the same {quality.n_rows:,} rows of {name}", "metric"
        )
        for pair in quality.metrics:
            _add(table, pair, pair.name, interval(pair.stable), interval(pair.candidate))
        yield table
        yield (
            f"Difference: {diff.candidate.version} minus {diff.stable.version} on the same "
            "resampled rows; alike: it may be chance."
        )
        yield ""
        yield from _quality_slices(diff, quality)
    yield from _bad_labels(quality)
    yield ""


def _quality_slices(diff: Diff, quality: Quality) -> Iterator[RenderableType]:
    """The slices where the candidate loses most."""
    if not quality.slices:
        return
    title = f"where {diff.candidate.version} loses most, by {quality.error} (less is better)"
    table = _side_by_side(diff, title, "feature", "slice", "rows")
    for part in quality.slices[:N_QUALITY_SLICES]:
        cells = (part.feature, part.label, f"{part.n_rows:,}")
        _add(table, part, *cells, number(part.stable), number(part.candidate))
    yield table
    n_worse = sum(part.verdict == "worse" for part in quality.slices)
    yield (
        f"Of {len(quality.slices)} slices {n_worse} are worse; by luck alone one in forty is. "
        "--json has them all."
    )


def _side_by_side(diff: Diff, title: str, *columns: str) -> Table:
    """A table with a column for each version after these, and how they differ."""
    versions = (diff.stable.version, diff.candidate.version)
    return table_of(title, *columns, *versions, "difference", "")


def _add(table: Table, compared: MeasuredPair | SliceQuality, *cells: str) -> None:
    """A row of such a table, in the colour of its verdict."""
    verdict = compared.verdict
    table.add_row(*cells, gap(compared.difference), verdict, style=VERDICTS.get(verdict))


def _bad_labels(quality: Quality) -> Iterator[RenderableType]:
    if quality.n_unlabelled:
        yield f"rows without a label: {quality.n_unlabelled:,}"
    bad = quality.bad_labels
    if bad:
        text = f"labels that cannot be read: {len(bad):,}; line {bad[0].line}: {bad[0].reason}"
        yield Text(text, style="yellow")
