"""Plots as SVG: bars next to bars, columns over time, lines, and values with their intervals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from serve_app.commands.report import svg

# Behind the lines, in turn.
BANDS = ("#eaf2f8", "#d6e6f2")
BAR_PX = 7
BAR_ROW_PX = 2 * BAR_PX + 6


@dataclass(frozen=True)
class Line:
    """A line of a plot: (x, y) points; None for y breaks it."""

    name: str
    points: Sequence[tuple[float, float | None]]
    colour: str
    is_dashed: bool = False
    has_dots: bool = False


@dataclass(frozen=True)
class Mark:
    """Something that happened at x, written along an upright line."""

    x: float
    text: str
    colour: str = svg.WARNING


def bars(labels: Sequence[str], training: Sequence[float], live: Sequence[float]) -> str:
    """For each label two bars, of training and of live rows; both are counts of their own total."""
    of_training = _percents(training)
    of_live = _percents(live)
    left = 12 + svg.LETTER_PX * min(svg.MOST_LETTERS, max(map(len, labels), default=0))
    width = left + 310
    most = max([*of_training, *of_live, 1e-9])
    parts = []
    for i, label in enumerate(labels):
        top = 4 + i * BAR_ROW_PX
        parts.append(svg.text(left - 6, top + BAR_PX + 3, svg.said(label), "end"))
        for height, percent, colour in (
            (0, of_training[i], svg.TRAINING),
            (BAR_PX, of_live[i], svg.LIVE),
        ):
            wide = 220 * percent / most
            parts.append(svg.rect(left, top + height, wide, BAR_PX - 1, colour))
        share = f"{of_training[i]:.1f} → {of_live[i]:.1f} %"
        parts.append(svg.text(left + 226, top + BAR_PX + 3, share, "start", size=10))
    return svg.document(width, 8 + len(labels) * BAR_ROW_PX, parts)


def _percents(counts: Sequence[float]) -> list[float]:
    total = sum(counts)
    return [100 * count / total if total else 0.0 for count in counts]


def columns(labels: Sequence[str], series: Mapping[str, Sequence[float]], y: str) -> str:
    """Columns that stand on each other, one for each label; an empty label is not written.

    `series` has a number for each column, by name.
    """
    sums = [sum(numbers) for numbers in zip(*series.values(), strict=True)]
    axis = svg.nice_axis([0.0, *sums], from_zero=True)
    frame = svg.Frame(720, 205, axis, svg.Axis(0, len(labels)), y)
    parts = list(frame.grid())
    wide = (frame.right - frame.left) / max(1, len(labels))
    heights = [0.0] * len(labels)
    for number, numbers in enumerate(series.values()):
        colour = svg.COLOURS[number % len(svg.COLOURS)]
        for i, value in enumerate(numbers):
            if not value:
                continue
            top = frame.y(heights[i] + value)
            bottom = frame.y(heights[i])
            x = frame.left + i * wide
            parts.append(svg.rect(x, top, max(0.8, wide - 0.6), bottom - top, colour))
            heights[i] += value
    for i, label in enumerate(labels):
        if label:
            parts.append(
                svg.text(frame.left + (i + 0.5) * wide, frame.bottom + 14, svg.said(label))
            )
    return svg.document(frame.width, frame.height, [*parts, *svg.legend(list(series), frame)])


def lines(
    drawn: Sequence[Line],
    x: svg.Axis,
    y: str,
    marks: Sequence[Mark] = (),
    bands: Sequence[tuple[float, float, str]] = (),
    height: int = 250,
) -> str:
    """Lines over a common x, with bands (from, to, text) behind them and marks of events."""
    values = [value for line in drawn for _, value in line.points if value is not None]
    frame = svg.Frame(720, height, svg.nice_axis([0.0, *values], from_zero=True), x, y)
    parts = []
    for place, (begin, end, text) in enumerate(bands):
        left = frame.x(begin)
        parts.append(
            svg.rect(left, frame.top, frame.x(end) - left, frame.tall, BANDS[place % len(BANDS)])
        )
        parts.append(svg.text(left + 4, frame.top + 11, svg.said(text, 80), "start", size=10))
    parts += frame.grid()
    for tick, text in x.ticks:
        parts.append(svg.text(frame.x(tick), frame.bottom + 14, svg.said(text)))
    for line in drawn:
        parts += _drawn(line, frame)
    for i, mark in enumerate(marks):
        at = frame.x(mark.x)
        top = frame.top + 24 + 13 * (i % 4)
        parts.append(
            f"<line x1='{at:.1f}' x2='{at:.1f}' y1='{frame.top}' y2='{frame.bottom}' "
            f"stroke='{mark.colour}' stroke-dasharray='2 2'/>"
        )
        is_late = at > frame.left + 0.66 * (frame.right - frame.left)
        beside = at - 4 if is_late else at + 4
        anchor = "end" if is_late else "start"
        parts.append(svg.text(beside, top, svg.said(mark.text, 80), anchor, mark.colour, 10))
    names = [line.name for line in drawn]
    return svg.document(
        frame.width,
        frame.height,
        [*parts, *svg.legend(names, frame, [line.colour for line in drawn])],
    )


def _drawn(line: Line, frame: svg.Frame) -> Iterator[str]:
    pieces: list[list[str]] = [[]]
    for x, y in line.points:
        if y is None:
            pieces.append([])
            continue
        pieces[-1].append(f"{frame.x(x):.1f},{frame.y(y):.1f}")
        if line.has_dots:
            yield (
                f"<circle cx='{frame.x(x):.1f}' cy='{frame.y(y):.1f}' r='2' fill='{line.colour}'/>"
            )
    dash = " stroke-dasharray='4 3'" if line.is_dashed else ""
    for piece in pieces:
        if piece:
            yield (
                f"<polyline points='{' '.join(piece)}' fill='none' stroke='{line.colour}' "
                f"stroke-width='1.5'{dash}/>"
            )


@dataclass(frozen=True)
class Measure:
    """A value with its interval, and what it was at the beginning."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    baseline: float | None = None


def intervals(measures: Sequence[Measure]) -> str:
    """A dot with its interval for each measure, and a bar where it was on the hold-out."""
    numbers = [
        number
        for one in measures
        for number in (one.value, one.low, one.high, one.baseline)
        if number is not None
    ]
    axis = svg.nice_axis(numbers)
    left = 12 + svg.LETTER_PX * min(
        svg.MOST_LETTERS, max((len(one.name) for one in measures), default=0)
    )
    right = left + 420
    height = 26 + 18 * len(measures)
    parts = []
    for tick, text in axis.ticks:
        x = axis.place(tick, left, right)
        parts.append(svg.stroke(x, x, 4, height - 18, svg.GUIDE))
        parts.append(svg.text(x, height - 5, text, size=10))
    for i, one in enumerate(measures):
        y = 14 + 18 * i
        parts.append(svg.text(left - 6, y + 4, svg.said(one.name), "end"))
        if one.baseline is not None:
            x = axis.place(one.baseline, left, right)
            parts.append(svg.stroke(x, x, y - 7, y + 7, svg.WARNING, 2))
        if one.low is not None and one.high is not None:
            ends = (axis.place(one.low, left, right), axis.place(one.high, left, right))
            parts.append(svg.stroke(ends[0], ends[1], y, y, svg.LIVE, 2))
        x = axis.place(one.value, left, right)
        parts.append(f"<circle cx='{x:.1f}' cy='{y}' r='3.5' fill='{svg.LIVE}'/>")
    return svg.document(right + 20, height, parts)
