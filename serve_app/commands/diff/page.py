"""A comparison on the screen, for a person; and as JSON, for a program."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import to_json
from rich.console import Console, RenderableType
from rich.filesize import decimal
from rich.text import Text

from serve_app.commands.diff.cells import interval, signed, table_of
from serve_app.commands.diff.comparison import CsvShift, Diff
from serve_app.commands.diff.labelled_page import quality_lines
from serve_app.commands.diff.limits import Judged
from serve_app.commands.diff.shift import Flips, Shift
from serve_app.statistics.disagreement import AnswerKind

N_BAD_ROWS = 5
N_SLICES = 3
N_GROUPS = 8
FLIPS: dict[AnswerKind, str] = {
    "label": "label flips",
    "class": "label flips",
    "anomaly": "anomaly or not",
    "value": "outside {stable}'s interval",
    "quantiles": "outside {stable}'s interval",
    "outputs": "outside {stable}'s intervals",
}
DIFFERENCES: dict[AnswerKind, str] = {
    "label": "in probability. Up: to the positive label.",
    "class": "in probability. Mean: of the class that the first one answers.",
    "anomaly": "in score. Up: no longer an anomaly.",
    "value": "in {target}. Up: above the interval.",
    "quantiles": "in {target}. Mean and up: of the median output.",
    "outputs": "in {target}. Mean: of the first of them.",
}
OVERLAP = {None: "–", True: "overlap", False: "apart"}


def as_json(diff: Diff, judged: Sequence[Judged] = ()) -> str:
    """Write what the page shows as JSON, unrounded, with every bad row and slice.

    `broken` is empty when nothing breaks; `limits` are those of `--fail-on`, with the exit code of
    each, 0 where it is kept.
    """
    derived = {
        "broken": diff.broken,
        "changes": [
            {**vars(change), "breaks": change.breaks, "reason": change.reason}
            for change in diff.changes
        ],
        "metrics": [{**vars(pair), "overlap": pair.overlap} for pair in diff.metrics],
        "csv": None if diff.csv is None else _csv(diff.csv),
        "limits": [vars(one) for one in judged],
    }
    return to_json({**vars(diff), **derived}, indent=2, inf_nan_mode="null").decode()


def _csv(found: CsvShift) -> dict[str, Any]:
    if found.quality is None:
        return vars(found)
    quality = found.quality
    judged = {
        "metrics": [{**vars(pair), "verdict": pair.verdict} for pair in quality.metrics],
        "slices": [{**vars(part), "verdict": part.verdict} for part in quality.slices],
    }
    return {**vars(found), "quality": {**vars(quality), **judged}}


def show(diff: Diff, console: Console) -> None:
    """Print contract, metrics, scores, size and speed, then the verdict in one line."""
    parts = (_contract, _metrics, _scores, quality_lines, _bad_rows, _size)
    for part in parts:
        for line in part(diff):
            console.print(line)
    names = f"{diff.model} {diff.stable.version} → {diff.candidate.version}"
    verdict = (
        "breaks: " + "; ".join(diff.broken)
        if diff.broken
        else f"no client of {diff.stable.version} breaks"
    )
    console.print(f"{names}: {verdict}", style="red" if diff.broken else "green", soft_wrap=True)


def _contract(diff: Diff) -> Iterator[RenderableType]:
    if diff.changes:
        table = table_of("contract", "field", "change", diff.stable.version, diff.candidate.version)
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
    table = table_of(
        "metrics, each on its own hold-out",
        "metric",
        diff.stable.version,
        diff.candidate.version,
        "intervals",
    )
    for pair in diff.metrics:
        table.add_row(
            pair.name, interval(pair.stable), interval(pair.candidate), OVERLAP[pair.overlap]
        )
    yield table
    yield "Intervals are 95 %. Overlap is no proof that the versions are equally good."
    if diff.stable.training_data_sha256 != diff.candidate.training_data_sha256:
        yield "The versions were trained on different rows, so their hold-outs may differ too."
    yield ""


def _scores(diff: Diff) -> Iterator[RenderableType]:
    shifts = [diff.golden, *([diff.csv.shift] if diff.csv else [])]
    names = ["golden rows", *([Path(diff.csv.path).name] if diff.csv else [])]
    table = table_of("scores of the same rows", "", *names)
    for label, text in _lines(diff):
        table.add_row(label, *(text(found) for found in shifts))
    yield table
    versions = f"{diff.candidate.version} minus {diff.stable.version}"
    yield f"Differences: {versions}, {DIFFERENCES[diff.answers].format(target=diff.target)}"
    yield "Golden rows span the range of scores; for the share of real traffic give --csv."
    yield ""
    if diff.csv:
        yield from _groups(diff, diff.csv.shift)
        yield from _slices(diff, diff.csv.shift)


def _groups(diff: Diff, found: Shift) -> Iterator[RenderableType]:
    """Which classes became which, or which outputs left their interval."""
    groups = found.flips.groups if found.flips else ()
    if not groups:
        return
    table = table_of("flips" if diff.answers == "class" else "outside", "which", "rows")
    for group in groups[:N_GROUPS]:
        table.add_row(group.name, f"{group.n:,}")
    yield table
    if len(groups) > N_GROUPS:
        yield f"and {len(groups) - N_GROUPS:,} more; --json has them all"
    yield ""


def _lines(diff: Diff) -> list[tuple[str, Callable[[Shift], str]]]:
    """The label and the text of each line about a set of rows."""
    flips = FLIPS[diff.answers].format(stable=diff.stable.version)
    return [
        ("rows", lambda found: f"{found.n_rows:,}"),
        ("scored by both", lambda found: f"{found.n_compared:,}"),
        (f"only by {diff.stable.version}", lambda found: f"{found.n_stable_only:,}"),
        (f"only by {diff.candidate.version}", lambda found: f"{found.n_candidate_only:,}"),
        ("mean difference", lambda found: signed(found.mean)),
        ("largest difference", _largest),
        (flips, lambda found: _flips(found.flips)),
        ("their share, 95 %", lambda found: _share(found.flips)),
    ]


def _largest(found: Shift) -> str:
    """The number, with the class or output that it is of."""
    of = "" if found.largest_of is None else f" ({found.largest_of})"
    return signed(found.largest) + of


def _flips(flips: Flips | None) -> str:
    if flips is None:
        return "–"
    if flips.n_up is None:
        return f"{flips.n:,}"
    return f"{flips.n:,} ({flips.n_up:,} up, {flips.n - flips.n_up:,} down)"


def _share(flips: Flips | None) -> str:
    if flips is None:
        return "–"
    return f"{100 * flips.share:.2f} % ({100 * flips.low:.2f} – {100 * flips.high:.2f})"


def _slices(diff: Diff, found: Shift) -> Iterator[RenderableType]:
    if not found.slices:
        return
    flips = "label flips" if diff.answers in ("label", "class", "anomaly") else "outside"
    table = table_of(
        "where the mean shifts most", "feature", "slice", "rows", "mean difference", flips
    )
    for part in found.slices[:N_SLICES]:
        table.add_row(
            part.feature, part.label, f"{part.n_rows:,}", signed(part.mean), f"{part.n_flips:,}"
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
    table = table_of("size and speed", "", *(side.version for side in sides))
    table.add_row("runtime", *(side.runtime for side in sides))
    table.add_row("file that serving opens", *(decimal(side.model_bytes) for side in sides))
    table.add_row("whole bundle", *(decimal(side.bundle_bytes) for side in sides))
    table.add_row("one row", *(f"{side.call_ms:.3f} ms" for side in sides))
    table.add_row("each further row", *(f"{side.row_ms:.4f} ms" for side in sides))
    yield table
    yield "Times are of a few dozen calls just now on this machine: look for factors."
    yield ""
