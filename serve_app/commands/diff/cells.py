"""A table of the page, and its numbers as text."""

from rich.table import Table

from serve_app.bundle.manifest import Metric

LEAST_FIXED = 0.001
MOST_FIXED = 10_000


def table_of(title: str, *columns: str) -> Table:
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


def interval(metric: Metric | None) -> str:
    """Write a metric with its interval, a dash where there is none."""
    if metric is None:
        return "–"
    return f"{number(metric.value)} ({number(metric.low)} – {number(metric.high)})"


def number(value: float, sign: str = "") -> str:
    """Four decimals, or four digits of what is too small or too large for them."""
    digits = ".4f" if value == 0 or LEAST_FIXED <= abs(value) < MOST_FIXED else ".4g"
    return format(value, sign + digits)


def signed(difference: float | None) -> str:
    """Write a difference with its sign, a dash where there is none."""
    return "–" if difference is None else f"{difference:+.4g}"


def gap(metric: Metric) -> str:
    """Write a difference and its interval with signs."""
    low = number(metric.low, "+")
    high = number(metric.high, "+")
    return f"{number(metric.value, '+')} ({low} – {high})"
