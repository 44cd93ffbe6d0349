"""The pictures of two seasons, as docs/monitoring.md shows them."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.season.run import NEW, OLD, Season
from benchmarks.season.shop import FIELDS
from serve_app.commands.report import plots, svg

SCORE = "score"
FIELD_NAMES = (*FIELDS, SCORE)
NEAR = "PSI of the last 7 days over its limit: above 1 a field has drifted"
MAE = "mae of the last 7 days of predictions, minutes"
TICKS_EVERY = 5


def draw(monsoon: Season, quiet: Season, out: Path, n_days: int) -> Iterator[Path]:
    """Write three files, and yield where they are."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("drift", drift_plot(monsoon, n_days)),
        ("quality", quality_plot(monsoon, n_days)),
        ("quiet", drift_plot(quiet, n_days)),
    ):
        path = out / f"{name}.svg"
        path.write_text(text + "\n")
        yield path


def drift_plot(season: Season, n_days: int) -> str:
    """How near to its limit each field of stable is."""
    drawn = [
        plots.Line(
            field,
            [(look.day, look.nearness.get(field)) for look in season.looks],
            svg.COLOURS[place],
        )
        for place, field in enumerate(FIELD_NAMES)
    ]
    limit = plots.Line("limit", [(0, 1.0), (n_days, 1.0)], svg.WARNING, is_dashed=True)
    marks = [
        plots.Mark(day, text)
        for day, text in (
            (season.named_day, "drift is named"),
            (season.asked_day, "retraining is asked for"),
            (season.won_day, f"{NEW} has everybody"),
        )
        if day is not None
    ]
    return plots.lines([*drawn, limit], _days(n_days), NEAR, marks, _bands(season, n_days))


def quality_plot(season: Season, n_days: int) -> str:
    """What labels say of both versions, with the hold-out of the first one."""
    drawn = []
    for place, version in enumerate((OLD, NEW)):
        points = [
            (look.day, look.mae[version][0] if version in look.mae else None)
            for look in season.looks
        ]
        drawn.append(plots.Line(version, points, svg.COLOURS[place]))
    ends = [(0, season.baseline_mae), (n_days, season.baseline_mae)]
    drawn.append(plots.Line(f"hold-out of {OLD}", ends, svg.TRAINING, is_dashed=True))
    marks = [
        plots.Mark(day, text)
        for day, text in (
            (season.named_day, "drift is named"),
            (season.confirmed_day, "labels confirm"),
            (season.trained_day, f"{NEW} is trained, in shadow"),
            (season.won_day, f"{NEW} has everybody"),
        )
        if day is not None
    ]
    return plots.lines(drawn, _days(n_days), MAE, marks, _bands(season, n_days))


def _days(n_days: int) -> svg.Axis:
    return svg.Axis(0, n_days, [(day, f"day {day}") for day in range(0, n_days + 1, TICKS_EVERY)])


def _bands(season: Season, n_days: int) -> list[tuple[float, float, str]]:
    weather = season.weather
    if weather.orders_from is None or weather.minutes_from is None:
        return []
    return [
        (weather.orders_from, weather.minutes_from, "orders differ"),
        (weather.minutes_from, n_days, "and take longer"),
    ]
