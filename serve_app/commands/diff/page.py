"""A comparison on the screen, for a person; and as JSON, for a program."""

from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic_core import to_json
from rich.console import Console, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from serve_app.bundle.manifest import Metric
from serve_app.commands.diff.comparison import Diff
from serve_app.commands.diff.shift import Flips, Shift

N_BAD_ROWS = 5
N_SLICES = 3
OVERLAP = {None: "–", True: "overlap", False: "apart"}


def as_json(diff: Diff) -> str:
    """Write what the page shows as JSON, unrounded, with every bad row and slice.

    `broken` is empty when nothing breaks.
    """
    derived = {
        "broken": diff.broken,
        "changes": [
            {**vars(change), "breaks": change.breaks, "reason": change.reason}
            for change in diff.changes
        ],
        "metrics": [{**vars(pair), "overlap": pair.overlap} for pair in diff.metrics],
    }
    return to_json({**vars(diff), **derived}, indent=2, inf_nan_mode="null").decode()


def show(diff: Diff, console: Console) -> None:
    """Print contract, metrics, scores, size and speed, then the verdict in one line."""
    for part in (*_contract(diff), *_metrics(diff), *_scores(diff), *_bad_rows(diff), *_size(diff)):
        console.print(part)
    names = f"{diff.model} {diff.stable.version} → {diff.candidate.version}"
    verdict = (
        "breaks: " + "; ".join(diff.broken)
        if diff.broken
        else f"no client of {diff.stable.version} breaks"
    )
    console.print(f"{names}: {verdict}", style="red" if diff.broken else "green", soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    """A table whose long cells go on in the next line instead of being cut off."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        table.add_column(column, overflow="fold", header_style="dim")
    return table


def _contract(diff: Diff) -> Iterator[RenderableType]:
    if diff.changes:
        table = _table("contract", "field", "change", diff.stable.version, diff.candidate.version)
        for change in diff.changes:
            cells = change.field, change.kind, change.before or "–", change.after or "–"
            table.add_row(*cells, style="red" if change.breaks else None)
        yield table
    else:
        yield Text("contract", style="bold")
        yield f"{diff.candidate.version} takes the same fields and values as {diff.stable.version}."
    for kind, reason in {change.kind: change.reason for change in diff.changes}.items():
        yield f"{kind}: {reason}"
    for side in (diff.stable, diff.candidate):
        if side.refused:
            why = "; ".join(side.refused)
            yield f"A server with this code's contract refuses {side.version}: {why}"
    yield ""


def _metrics(diff: Diff) -> Iterator[RenderableType]:
    table = _table(
        "metrics, each on its own hold-out",
        "metric",
        diff.stable.version,
        diff.candidate.version,
        "intervals",
    )
    for pair in diff.metrics:
        table.add_row(
            pair.name, _metric(pair.stable), _metric(pair.candidate), OVERLAP[pair.overlap]
        )
    yield table
    yield "Intervals are 95 %. Overlap is no proof that the versions are equally good."
    if diff.stable.training_data_sha256 != diff.candidate.training_data_sha256:
        yield "The versions were trained on different rows, so their hold-outs may differ too."
    yield ""


def _metric(metric: Metric | None) -> str:
    return "–" if metric is None else f"{metric.value:.4f} ({metric.low:.4f} – {metric.high:.4f})"


def _scores(diff: Diff) -> Iterator[RenderableType]:
    shifts = [diff.golden, *([diff.csv.shift] if diff.csv else [])]
    names = ["golden rows", *([Path(diff.csv.path).name] if diff.csv else [])]
    table = _table("scores of the same rows", "", *names)
    for label, text in _lines(diff):
        table.add_row(label, *(text(found) for found in shifts))
    yield table
    if diff.kind == "binary_classifier":
        unit = "probability"
        up = "to the positive label"
    else:
        unit = diff.target
        up = "above the interval"
    yield f"Differences: {diff.candidate.version} minus {diff.stable.version}, in {unit}. Up: {up}."
    yield "Golden rows span the range of scores; for the share of real traffic give --csv."
    yield ""
    if diff.csv and diff.csv.shift.slices:
        yield from _slices(diff, diff.csv.shift)


def _lines(diff: Diff) -> list[tuple[str, Callable[[Shift], str]]]:
    """The label and the text of each line about a set of rows."""
    flips = f"outside {diff.stable.version}'s interval"
    if diff.kind == "binary_classifier":
        flips = "label flips"
    return [
        ("rows", lambda found: f"{found.n_rows:,}"),
        ("scored by both", lambda found: f"{found.n_compared:,}"),
        (f"only by {diff.stable.version}", lambda found: f"{found.n_stable_only:,}"),
        (f"only by {diff.candidate.version}", lambda found: f"{found.n_candidate_only:,}"),
        ("mean difference", lambda found: _signed(found.mean)),
        ("largest difference", lambda found: _signed(found.largest)),
        (flips, lambda found: _flips(found.flips)),
        ("their share, 95 %", lambda found: _share(found.flips)),
    ]


def _signed(number: float | None) -> str:
    return "–" if number is None else f"{number:+.4g}"


def _flips(flips: Flips | None) -> str:
    if flips is None:
        return "–"
    return f"{flips.n:,} ({flips.n_up:,} up, {flips.n - flips.n_up:,} down)"


def _share(flips: Flips | None) -> str:
    if flips is None:
        return "–"
    return f"{100 * flips.share:.2f} % ({100 * flips.low:.2f} – {100 * flips.high:.2f})"


def _slices(diff: Diff, found: Shift) -> Iterator[RenderableType]:
    flips = "label flips" if diff.kind == "binary_classifier" else "outside"
    table = _table(
        "where the mean shifts most", "feature", "slice", "rows", "mean difference", flips
    )
    for part in found.slices[:N_SLICES]:
        table.add_row(
            part.feature, part.label, f"{part.n_rows:,}", _signed(part.mean), f"{part.n_flips:,}"
        )
    yield table
    yield "The farthest slice of a feature; a small one may lie far off by luck."
    yield ""


def _bad_rows(diff: Diff) -> Iterator[RenderableType]:
    if diff.csv is None or not diff.csv.bad_rows:
        return
    bad = diff.csv.bad_rows
    text = f"rows of {diff.csv.path} left out, since they break the contract: {len(bad):,}"
    yield Text(text, style="yellow")
    for row in bad[:N_BAD_ROWS]:
        yield f"line {row.line}: {row.reason}"
    if len(bad) > N_BAD_ROWS:
        yield f"and {len(bad) - N_BAD_ROWS:,} more; --json names them all"
    yield ""


def _size(diff: Diff) -> Iterator[RenderableType]:
    sides = diff.stable, diff.candidate
    table = _table("size and speed", "", *(side.version for side in sides))
    table.add_row("runtime", *(side.runtime for side in sides))
    table.add_row("file that serving opens", *(decimal(side.model_bytes) for side in sides))
    table.add_row("whole bundle", *(decimal(side.bundle_bytes) for side in sides))
    table.add_row("one row", *(f"{side.call_ms:.3f} ms" for side in sides))
    table.add_row("each further row", *(f"{side.row_ms:.4f} ms" for side in sides))
    yield table
    yield "Times are of a few dozen calls just now on this machine: look for factors."
    yield ""
