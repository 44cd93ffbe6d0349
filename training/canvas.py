"""What each plot of the report is drawn on: SVG in data URIs.

No file next to the page, no script, no font to load.
"""

import base64
import io
import warnings
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

MODEL = "#1f5f8b"
LINEAR = "#d9822b"
GUIDE = "#9aa5b1"
STYLE: Any = {
    # Text stays text: small files, and the reader's own font.
    "svg.fonttype": "none",
    # The same plot gives the same bytes.
    "svg.hashsalt": "sluice",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#52606d",
    "axes.grid": True,
    "grid.color": "#e4e7eb",
    "axes.axisbelow": True,
    "legend.frameon": False,
}
# Clouds of dots are drawn as pixels: as shapes they would make the page heavy.
DOTS_PER_INCH = 160
# Of classes and outputs, in their order.
COLOURS = ("#1f5f8b", "#d9822b", "#20744a", "#a6341b", "#6b4fa0", "#7a6a00", "#0f8b8d", "#b0457b")
MAX_LABEL = 24


def plain(text: str) -> str:
    """A label as it is: dollars begin no formula, and a first underscore hides nothing."""
    short = text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "…"
    escaped = short.replace("$", r"\$")
    return " " + escaped if escaped.startswith("_") else escaped


def canvas(title: str, x: str, y: str, height: float = 3.2) -> tuple[Figure, Axes]:
    """Make an empty plot with these words; `height` is in inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, height), layout="constrained")
        axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel(x)
    # Small numbers have long names.
    axes.locator_params(axis="x", nbins=6)
    axes.set_ylabel(y)
    return figure, axes


def line_of(name: str) -> dict[str, Any]:
    """How the line of "model" or "linear" is drawn."""
    return {"color": MODEL if name == "model" else LINEAR}


def as_uri(figure: Figure) -> str:
    """The figure as a data URI; without metadata, so that the bytes depend on the plot alone."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A label may be in any script: the reader's font draws it.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.set_dpi(DOTS_PER_INCH)
        # `savefig` draws everything twice, the first time for sizes that nothing here asks for.
        FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)  # type: ignore[no-untyped-call]
    image = buffer.getvalue()
    # The document type before it points to a server.
    image = image[image.index(b"<svg") :]
    return "data:image/svg+xml;base64," + base64.b64encode(image).decode()
