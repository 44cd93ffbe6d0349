"""The sections of a report, each from the part of what was seen that it shows."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite

from serve_app.commands.report import plots
from serve_app.commands.report.asked import WINDOWS, Fact
from serve_app.commands.report.html import Cell, esc, figure, paragraph, table
from serve_app.commands.report.log_facts import STEP_S, LogFacts, SliceSum, VersionLog
from serve_app.monitoring.drift_view import FieldDrift, HistogramView, VersionDrift, WindowDrift
from serve_app.monitoring.quality.view import MeasureView, QualityView, VersionQualityView
from serve_app.statistics.intervals import wilson

MOST_COLUMNS = 120
# Drawn for each version; a table has all of them.
MOST_FIELDS = 40
# Of fewer rows a slice says nothing.
LEAST_SLICE_ROWS = 30
MOST_SLICES = 12
# The first one that is there is drawn: a day has one weekday, and an hour one hour.
SHOWN_WINDOWS = ("7d", "24h", "log", "1h")
# Windows whose drift stands out.
TOLD_WINDOWS = ("7d", "24h", "log")
STEPS_S = (300, 900, 3_600, 4 * 3_600, 86_400, 7 * 86_400, 28 * 86_400)


def traffic(log: LogFacts) -> str:
    """Rows over time by version, and how they were answered."""
    rows = [
        (
            version,
            f"{one.n_rows:,}",
            f"{one.outcomes['fallback']:,}",
            Cell(f"{one.outcomes['failed']:,}", is_bad=one.outcomes["failed"] > 0),
            "–" if one.times.p95_ms is None else f"{one.times.p95_ms:.3g}",
        )
        for version, one in log.versions.items()
    ]
    heads = ("Version", "Rows", "In place of another", "Failed", "95 % within, ms")
    return figure("Rows over time (UTC)", _over_time(log)) + table(heads, rows)


def _over_time(log: LogFacts) -> str:
    times = [begin for one in log.versions.values() for begin in one.by_time]
    first, last = min(times), max(times)
    fitting = [step for step in STEPS_S if (last - first) / step < MOST_COLUMNS]
    step = fitting[0] if fitting else -(-(last - first) // MOST_COLUMNS // STEP_S) * STEP_S
    begin = first // step * step
    n_columns = (last - begin) // step + 1
    series = {}
    for version, one in log.versions.items():
        counts = [0.0] * n_columns
        for at_s, n_rows in one.by_time.items():
            counts[(at_s - begin) // step] += n_rows
        series[version] = counts
    form = "%d %b %H:%M" if step < 86_400 else "%d %b"
    labels = [""] * n_columns
    for i in range(0, n_columns, max(1, n_columns // 7)):
        labels[i] = f"{datetime.fromtimestamp(begin + i * step, UTC):{form}}"
    return plots.columns(labels, series, f"rows in {_duration(step)}")


def _duration(seconds: int) -> str:
    if seconds >= 86_400:
        return f"{seconds // 86_400} d"
    return f"{seconds // 3_600} h" if seconds >= 3_600 else f"{seconds // 60} min"


def quality(found: QualityView) -> Iterator[str]:
    """Yield what labels say of each version, and what its scores alone let expect."""
    yield paragraph(found.selection, is_dim=True)
    for version in found.versions:
        yield f"<h3>{esc(version.version)}</h3>"
        measures = list(_measures(version))
        if measures:
            yield figure("By labels, with 95 %; red: on the hold-out", plots.intervals(measures))
        rows = list(_quality_rows(version))
        if rows:
            heads = ("Measure", "Days", "By labels", "95 %", "Labels", "Expected", "Hold-out")
            yield table(heads, rows)
        else:
            yield paragraph("Fewer than ten labels came for it.")
        if version.no_estimate:
            yield paragraph(version.no_estimate, is_dim=True)


def _measures(version: VersionQualityView) -> Iterator[plots.Measure]:
    """Yield those of one scale: the first measure, by window, and whatever is a share as well."""
    names = [name for window in version.windows for name in window.realised]
    if not names:
        return
    main = names[0]
    for window in version.windows:
        one = window.realised.get(main)
        if one is not None:
            baseline = version.baseline.get(main)
            said = f"{main}, {window.days} d"
            yield plots.Measure(said, one.value, one.low, one.high, baseline)


def _quality_rows(version: VersionQualityView) -> Iterator[tuple[str | Cell, ...]]:
    for window in version.windows:
        for name in dict.fromkeys((*window.realised, *window.estimated)):
            one = window.realised.get(name)
            expected = window.estimated.get(name)
            baseline = version.baseline.get(name)
            yield (
                name,
                f"{window.days}",
                _number(one.value if one else None),
                _interval(one),
                f"{one.n:,}" if one else "–",
                _number(expected.value if expected else None),
                _number(baseline),
            )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _interval(one: MeasureView | None) -> str:
    if one is None or one.low is None or one.high is None:
        return "–"
    return f"{one.low:.4g} to {one.high:.4g}"


def drift(found: Mapping[str, VersionDrift]) -> Iterator[str]:
    """Yield each version's fields against training: plots of those that differ most, then all."""
    for version, one in found.items():
        yield f"<h3>{esc(version)}</h3>"
        if one.detail:
            yield paragraph(one.detail)
        name = next((name for name in SHOWN_WINDOWS if name in one.windows), None)
        if name is None:
            continue
        window = one.windows[name]
        yield paragraph(
            f"{WINDOWS[name]}: {window.n_rows:,} rows since {window.since:%d %b %Y %H:%M} UTC, "
            "next to those of training."
        )
        fields = sorted({**window.features, **window.scores}.items(), key=_how_near)
        drawn = "".join(_field_plots(fields[:MOST_FIELDS]))
        yield f"<div class='plots'>{drawn}</div>"
        yield _field_table(fields)


def _how_near(named: tuple[str, FieldDrift]) -> float:
    """The furthest beyond its limit first; what cannot be compared last."""
    one = named[1]
    return -(one.psi / one.limit) if one.psi is not None and one.limit else 1.0


def _field_plots(fields: Sequence[tuple[str, FieldDrift]]) -> Iterator[str]:
    for name, one in fields:
        for histogram in one.histograms:
            labels, training, live = _used(histogram)
            if labels:
                sign = " has drifted" if one.is_drifting else ""
                yield figure(f"{name}{sign}", plots.bars(labels, training, live))


def _used(histogram: HistogramView) -> tuple[list[str], list[int], list[int]]:
    """The bins that have rows on either side."""
    triples = zip(histogram.bins, histogram.training, histogram.live, strict=True)
    used = [triple for triple in triples if triple[1] or triple[2]]
    return [one[0] for one in used], [one[1] for one in used], [one[2] for one in used]


def _field_table(fields: Sequence[tuple[str, FieldDrift]]) -> str:
    heads = ("Field", "In words", "PSI", "Limit", "Missing, %", "Out of range, %", "Unseen, %")
    rows = [
        (
            name,
            Cell(one.sentence, is_bad=one.is_drifting),
            _number(one.psi),
            _number(one.limit),
            f"{one.missing_percent:.3g}",
            _number(one.out_of_range_percent),
            _number(one.unseen_percent),
        )
        for name, one in fields
    ]
    return table(heads, rows, n_texts=2)


def slices(log: LogFacts) -> Iterator[str]:
    """Yield, for the version with most rows, the rows of each bin: their scores and failures."""
    version, one = max(log.versions.items(), key=lambda named: named[1].n_rows)
    yield paragraph(
        f"{version}, by the bins of training with {LEAST_SLICE_ROWS} rows or more; the largest "
        f"{MOST_SLICES} of each field. Of several outputs the first one is shown, of a classifier "
        "how sure it is."
    )
    by_field: dict[str, list[tuple[str, SliceSum]]] = defaultdict(list)
    for (field, label), found in one.slices.items():
        if found.n_rows >= LEAST_SLICE_ROWS:
            by_field[field].append((label, found))
    overall = _share_failed(one)
    rows = []
    for field, bins in by_field.items():
        largest = sorted(bins, key=lambda named: -named[1].n_rows)[:MOST_SLICES]
        for label, found in largest:
            low, _ = wilson(found.n_failed, found.n_rows)
            mean = found.mean_score
            rows.append(
                (
                    field,
                    label,
                    f"{found.n_rows:,}",
                    f"{100 * found.n_rows / one.n_rows:.3g}",
                    f"{mean:.4g}" if isfinite(mean) else "–",
                    Cell(f"{100 * found.n_failed / found.n_rows:.3g}", is_bad=low > overall),
                )
            )
    if not rows:
        yield paragraph("There is none: the bins of training are not known, or rows are few.")
        return
    heads = ("Field", "Rows with", "Rows", "Of all, %", "Mean score", "Failed, %")
    yield table(heads, rows, n_texts=2)


def _share_failed(one: VersionLog) -> float:
    return one.outcomes["failed"] / one.n_rows if one.n_rows else 0.0


def versions(found: Sequence[Fact]) -> str:
    """Share, age and hold-out of each version."""
    names = list(dict.fromkeys(name for one in found for name in one.metrics))[:8]
    rows = [
        (
            one.version,
            one.share or "–",
            one.trained[:16] or "–",
            *(one.metrics.get(name, "–") for name in names),
            one.manifest_sha256[:12] or "–",
        )
        for one in found
    ]
    return table(("Version", "Share", "Trained", *names, "Manifest"), rows, n_texts=3)


def drifting(found: Mapping[str, VersionDrift]) -> Iterator[str]:
    """Yield a sentence for each field that has drifted in a window."""
    for version, one in found.items():
        told = [(name, one.windows[name]) for name in TOLD_WINDOWS if name in one.windows]
        for name, window in told:
            for field, drifted in _drifted(window):
                yield f"{field}: {drifted.sentence} ({version}, {WINDOWS[name]})"


def _drifted(window: WindowDrift) -> Iterator[tuple[str, FieldDrift]]:
    fields = {**window.features, **window.scores}
    yield from sorted(
        ((name, one) for name, one in fields.items() if one.is_drifting), key=_how_near
    )
