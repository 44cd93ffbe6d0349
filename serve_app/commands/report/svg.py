"""What plots are made of: shapes, texts and axes of SVG.

Texts are escaped here, whatever they hold: a category is what a client sent. There is no script, no
font and no link in a plot. docs/decisions/065-plots-of-our-own.md says why it is no library.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from serve_app.contract.plain_text import plain

TRAINING = "#9aa5b1"
LIVE = "#1f5f8b"
WARNING = "#c0392b"
# Of versions and of lines, in their order.
COLOURS = ("#1f5f8b", "#d9822b", "#20744a", "#6b4fa0", "#0f8b8d", "#b0457b", "#7a6a00", "#a6341b")
INK = "#1f2933"
GUIDE = "#cbd2d9"
FONT = "font-family='system-ui,sans-serif' font-size='11'"
# Characters of a text beside a bar; the whole of it is in the page's table.
MOST_LETTERS = 44
LETTER_PX = 6.2


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`; ticks are (value, text)."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]] = field(default_factory=tuple)

    def place(self, value: float, begin: float, end: float) -> float:
        """Where a value lies between two ends, in pixels."""
        width = self.high - self.low or 1.0
        return begin + (end - begin) * (value - self.low) / width


def said(text: str, most: int = MOST_LETTERS) -> str:
    """A text as it may stand in SVG and in HTML: one plain line, no longer than this."""
    short = plain(text)
    short = short if len(short) <= most else short[: most - 1] + "…"
    return escape(short, quote=True)


def nice_axis(values: Sequence[float], most_ticks: int = 5, *, from_zero: bool = False) -> Axis:
    """An axis with round ticks that holds all values that are finite."""
    finite = [value for value in values if math.isfinite(value)]
    low = min(finite, default=0.0)
    high = max(finite, default=1.0)
    if from_zero:
        low = min(low, 0.0)
    if high <= low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / most_ticks
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= raw * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    ticks = [(i * step, f"{i * step:,.6g}") for i in range(first, last + 1)]
    return Axis(first * step, last * step, ticks)


@dataclass(frozen=True)
class Frame:
    """The place of a plot with axes, in pixels."""

    width: int
    height: int
    y_axis: Axis
    x_axis: Axis
    y_name: str
    left: int = 64
    top: int = 38

    @property
    def right(self) -> int:
        """Where the plot ends."""
        return self.width - 24

    @property
    def bottom(self) -> int:
        """Where the x axis is."""
        return self.height - 22

    @property
    def tall(self) -> int:
        """From the top to the x axis."""
        return self.bottom - self.top

    def x(self, value: float) -> float:
        """Where a value lies from left to right."""
        return self.x_axis.place(value, self.left, self.right)

    def y(self, value: float) -> float:
        """Where a value lies from the top."""
        return self.y_axis.place(value, self.bottom, self.top)

    def grid(self) -> Iterator[str]:
        """Yield lines and numbers of the y axis, and what it is of."""
        for tick, label in self.y_axis.ticks:
            yield stroke(self.left, self.right, self.y(tick), self.y(tick), GUIDE)
            yield text(self.left - 6, self.y(tick) + 4, label, "end")
        yield text(4, 12, said(self.y_name, 100), "start")


def legend(names: Sequence[str], frame: Frame, colours: Sequence[str] = COLOURS) -> Iterator[str]:
    """Yield names with their colours, in the line below what the y axis is of."""
    x = frame.right
    for i, name in reversed(list(enumerate(names))):
        x -= int(LETTER_PX * min(len(name), MOST_LETTERS)) + 22
        yield rect(x, 19, 10, 10, colours[i % len(colours)])
        yield text(x + 14, 28, said(name), "start")


def document(width: float, height: float, parts: Sequence[str]) -> str:
    """The whole of a plot, as it may stand in a page or in a file."""
    size = f"viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}' height='{height:.0f}'"
    # A reader's dark page would leave its texts unreadable.
    paper = "<rect width='100%' height='100%' fill='#fff'/>"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' {size} {FONT} fill='{INK}'>"
    return f"{head}{paper}{''.join(parts)}</svg>"


def rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    """A filled rectangle."""
    return (
        f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}' fill='{colour}'/>"
    )


def stroke(x1: float, x2: float, y1: float, y2: float, colour: str, width: float = 1) -> str:
    """A straight line."""
    return (
        f"<line x1='{x1:.1f}' x2='{x2:.1f}' y1='{y1:.1f}' y2='{y2:.1f}' stroke='{colour}' "
        f"stroke-width='{width:g}'/>"
    )


def text(
    x: float, y: float, escaped: str, anchor: str = "middle", colour: str = "", size: int = 0
) -> str:
    """A text that `said` has made harmless."""
    more = f" fill='{colour}'" if colour else ""
    more += f" font-size='{size}'" if size else ""
    # Lines behind it leave it readable.
    more += " stroke='#fff' stroke-width='3' paint-order='stroke'" if colour else ""
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'{more}>{escaped}</text>"
