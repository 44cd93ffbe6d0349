"""The report's plots as SVG in data URIs: no file next to the page, no script, no font to load."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.importance import Importance
from training.table import Numbers

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
N_BINS = 10
# Clouds of dots are drawn as pixels: as shapes they would make the page heavy.
DOTS_PER_INCH = 160

# "model" and "linear" to scores (n_rows,).
Curves = Mapping[str, Numbers]


def calibration(target: Numbers, scores: Curves) -> str:
    """Draw mean prediction against the observed share, in ten bins of equally many rows."""
    figure, axes = _canvas("Calibration", "predicted probability", "observed share")
    axes.plot([0, 1], [0, 1], color=GUIDE, linestyle="--", linewidth=1, label="perfect")
    for name, score in scores.items():
        bins = np.array_split(np.argsort(score, kind="stable"), N_BINS)
        axes.plot(
            [score[rows].mean() for rows in bins],
            [target[rows].mean() for rows in bins],
            marker="o",
            markersize=4,
            label=name,
            **_line(name),
        )
    axes.legend()
    return _uri(figure)


def roc(target: Numbers, scores: Curves) -> str:
    """Draw the true-positive rate against the false-positive rate."""
    figure, axes = _canvas("ROC curve", "false-positive rate", "true-positive rate")
    axes.plot([0, 1], [0, 1], color=GUIDE, linestyle="--", linewidth=1, label="constant")
    for name, score in scores.items():
        hits, misses = _cumulated(target, score)
        axes.plot(*_thin(misses / misses[-1], hits / hits[-1]), label=name, **_line(name))
    axes.legend(loc="lower right")
    return _uri(figure)


def precision_recall(target: Numbers, scores: Curves) -> str:
    """Draw precision against recall."""
    figure, axes = _canvas("Precision and recall", "recall", "precision")
    axes.axhline(target.mean(), color=GUIDE, linestyle="--", linewidth=1, label="constant")
    for name, score in scores.items():
        hits, misses = _cumulated(target, score)
        # With no rows at all precision is 0 / 0.
        hits = hits[1:]
        misses = misses[1:]
        axes.plot(*_thin(hits / hits[-1], hits / (hits + misses)), label=name, **_line(name))
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower left")
    return _uri(figure)


def histogram(target: Numbers, score: Numbers) -> str:
    """Draw how the probabilities of the two classes spread."""
    figure, axes = _canvas("Scores by true class", "predicted probability", "rows")
    bins = list(np.linspace(0, 1, 26))
    axes.hist(
        [score[target == 0], score[target == 1]],
        bins=bins,
        stacked=True,
        color=[GUIDE, MODEL],
        label=["0", "1"],
    )
    axes.legend(title="truth")
    return _uri(figure)


def residuals(target: Numbers, score: Numbers, half_width: float, unit: str) -> str:
    """Draw truth minus prediction against the prediction, with the interval as lines."""
    figure, axes = _canvas(
        "Residuals and the interval", f"predicted ({unit})", f"truth - predicted ({unit})"
    )
    axes.plot(score, target - score, ".", markersize=3, alpha=0.4, color=MODEL, rasterized=True)
    for height in (-half_width, half_width):
        axes.axhline(height, color=LINEAR, linewidth=1.2)
    axes.axhline(0, color=GUIDE, linewidth=1)
    return _uri(figure)


def coverage(target: Numbers, score: Numbers, half_width: float, wanted: float, unit: str) -> str:
    """Draw the share of rows inside the interval, in ten bins of the prediction."""
    figure, axes = _canvas(
        "Coverage by prediction", f"predicted ({unit})", "share inside the interval"
    )
    bins = np.array_split(np.argsort(score, kind="stable"), N_BINS)
    inside = np.abs(target - score) <= half_width
    shares = np.array([inside[rows].mean() for rows in bins])
    errors = np.array([1.96 * np.sqrt(wanted * (1 - wanted) / len(rows)) for rows in bins])
    middles = [score[rows].mean() for rows in bins]
    axes.axhline(wanted, color=LINEAR, linestyle="--", linewidth=1.2, label=f"wanted: {wanted:.0%}")
    axes.errorbar(
        middles, shares, yerr=errors, fmt="o", color=MODEL, capsize=2, label="found, ± 95 % chance"
    )
    axes.set_ylim(min(0.6, float(shares.min()) - 0.05), 1.08)
    axes.legend(loc="lower left")
    return _uri(figure)


def predicted_against_truth(target: Numbers, score: Numbers, unit: str) -> str:
    """Draw the truth against the prediction."""
    figure, axes = _canvas("Truth against prediction", f"predicted ({unit})", f"truth ({unit})")
    axes.plot(score, target, ".", markersize=3, alpha=0.4, color=MODEL, rasterized=True)
    ends = [min(score.min(), target.min()), max(score.max(), target.max())]
    axes.plot(ends, ends, color=GUIDE, linestyle="--", linewidth=1)
    return _uri(figure)


def importance(found: Sequence[Importance], error: str) -> str:
    """Draw horizontal bars, the most important feature on top."""
    figure, axes = _canvas(
        "Permutation importance",
        f"rise of the {error} when shuffled",
        "",
        height=0.8 + 0.28 * len(found),
    )
    items = list(reversed(found))
    axes.barh(
        [i.feature for i in items],
        [i.mean for i in items],
        xerr=[i.deviation for i in items],
        color=MODEL,
    )
    axes.grid(visible=False, axis="y")
    return _uri(figure)


def _canvas(title: str, x: str, y: str, height: float = 3.2) -> tuple[Figure, Axes]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, height), layout="constrained")
        axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _line(name: str) -> dict[str, Any]:
    return {"color": MODEL if name == "model" else LINEAR}


def _cumulated(target: Numbers, score: Numbers) -> tuple[Numbers, Numbers]:
    """Hits and misses from the highest score down, from (0, 0) on; equal scores are one step."""
    order = np.argsort(-score, kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(score[order])), len(order) - 1]
    hits = np.cumsum(target[order])[ends]
    return np.r_[0.0, hits], np.r_[0.0, ends + 1 - hits]


def _thin(x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
    rows = np.linspace(0, len(x) - 1, min(400, len(x))).astype(int)
    return x[rows], y[rows]


def _uri(figure: Figure) -> str:
    """The figure as a data URI; without metadata, so that the bytes depend on the plot alone."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(buffer, format="svg", dpi=DOTS_PER_INCH, metadata=nothing)
    image = buffer.getvalue()
    # The document type before it points to a server.
    image = image[image.index(b"<svg") :]
    return "data:image/svg+xml;base64," + base64.b64encode(image).decode()
