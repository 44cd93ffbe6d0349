"""The report's plots, each as a data URI."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.canvas import COLOURS, GUIDE, LINEAR, MODEL, as_uri, canvas, line_of, plain
from training.importance import Importance
from training.table import Numbers

N_BINS = 10
# Bars of fields, and cells with a number in them.
MAX_BARS = 25
MAX_CELLS_WITH_NUMBERS = 12
# "model" and "linear" to scores (n_rows,).
Curves = Mapping[str, Numbers]


def calibration(curves: Mapping[str, tuple[Numbers, Numbers]], x: str) -> str:
    """Draw mean prediction against the observed share, in ten bins of equally many rows.

    `curves` have truth and probability (n_rows,) of "model" and "linear"; `x` says what of.
    """
    figure, axes = canvas("Calibration", x, "observed share")
    axes.plot([0, 1], [0, 1], color=GUIDE, linestyle="--", linewidth=1, label="perfect")
    for name, (target, score) in curves.items():
        bins = np.array_split(np.argsort(score, kind="stable"), N_BINS)
        axes.plot(
            [score[rows].mean() for rows in bins],
            [target[rows].mean() for rows in bins],
            marker="o",
            markersize=4,
            label=name,
            **line_of(name),
        )
    axes.legend()
    return as_uri(figure)


def roc(target: Numbers, scores: Curves) -> str:
    """Draw the true-positive rate against the false-positive rate."""
    figure, axes = canvas("ROC curve", "false-positive rate", "true-positive rate")
    axes.plot([0, 1], [0, 1], color=GUIDE, linestyle="--", linewidth=1, label="constant")
    for name, score in scores.items():
        hits, misses = _cumulated(target, score)
        axes.plot(*_thin(misses / misses[-1], hits / hits[-1]), label=name, **line_of(name))
    axes.legend(loc="lower right")
    return as_uri(figure)


def precision_recall(target: Numbers, scores: Curves) -> str:
    """Draw precision against recall."""
    figure, axes = canvas("Precision and recall", "recall", "precision")
    axes.axhline(target.mean(), color=GUIDE, linestyle="--", linewidth=1, label="constant")
    for name, score in scores.items():
        hits, misses = _cumulated(target, score)
        # With no rows at all precision is 0 / 0.
        hits = hits[1:]
        misses = misses[1:]
        axes.plot(*_thin(hits / hits[-1], hits / (hits + misses)), label=name, **line_of(name))
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower left")
    return as_uri(figure)


def histogram(target: Numbers, score: Numbers, labels: tuple[str, str]) -> str:
    """Draw how the probabilities of the two classes, the negative one first, spread."""
    figure, axes = canvas("Scores by true class", "predicted probability", "rows")
    bins = list(np.linspace(0, 1, 26))
    axes.hist(
        [score[target == 0], score[target == 1]],
        bins=bins,
        stacked=True,
        color=[GUIDE, MODEL],
        label=[plain(label) for label in labels],
    )
    axes.legend(title="truth")
    return as_uri(figure)


def residuals(target: Numbers, score: Numbers, half_width: float, unit: str) -> str:
    """Draw truth minus prediction against the prediction, with the interval as lines."""
    figure, axes = canvas(
        "Residuals and the interval",
        f"predicted ({plain(unit)})",
        f"truth - predicted ({plain(unit)})",
    )
    axes.plot(score, target - score, ".", markersize=3, alpha=0.4, color=MODEL, rasterized=True)
    for height in (-half_width, half_width):
        axes.axhline(height, color=LINEAR, linewidth=1.2)
    axes.axhline(0, color=GUIDE, linewidth=1)
    return as_uri(figure)


def coverage(
    score: Numbers, inside: NDArray[np.bool_], wanted: float, unit: str, wanted_word: str
) -> str:
    """Draw the share of rows inside the interval, in ten bins of the prediction, as a data URI.

    `score` and `inside` are (n_rows,). `wanted`, of 0 to 1, is the line that the shares should lie
    around.
    """
    figure, axes = canvas(
        "Coverage by prediction", f"predicted ({plain(unit)})", "share inside the interval"
    )
    bins = np.array_split(np.argsort(score, kind="stable"), N_BINS)
    shares = np.array([inside[rows].mean() for rows in bins])
    errors = np.array([1.96 * np.sqrt(wanted * (1 - wanted) / len(rows)) for rows in bins])
    middles = [score[rows].mean() for rows in bins]
    axes.axhline(
        wanted, color=LINEAR, linestyle="--", linewidth=1.2, label=f"{wanted_word}: {wanted:.0%}"
    )
    axes.errorbar(
        middles, shares, yerr=errors, fmt="o", color=MODEL, capsize=2, label="found, ± 95 % chance"
    )
    axes.set_ylim(min(0.6, float(shares.min()) - 0.05), 1.08)
    axes.legend(loc="lower left")
    return as_uri(figure)


def predicted_against_truth(
    target: Numbers, score: Numbers, unit: str, title: str = "Truth against prediction"
) -> str:
    """Draw the truth against the prediction, (n_rows,) both and in `unit`, as a data URI."""
    name = plain(unit)
    figure, axes = canvas(plain(title), f"predicted ({name})", f"truth ({name})")
    axes.plot(score, target, ".", markersize=3, alpha=0.4, color=MODEL, rasterized=True)
    ends = [min(score.min(), target.min()), max(score.max(), target.max())]
    axes.plot(ends, ends, color=GUIDE, linestyle="--", linewidth=1)
    return as_uri(figure)


def importance(found: Sequence[Importance], meaning: str) -> str:
    """Draw horizontal bars, the most important feature on top; of many fields the first ones."""
    n_shown = min(MAX_BARS, len(found))
    title = "Permutation importance"
    if len(found) > n_shown:
        title += f" (and {len(found) - n_shown} fields with less)"
    figure, axes = canvas(title, f"{meaning} when shuffled", "", height=0.8 + 0.28 * n_shown)
    items = list(reversed(found[:n_shown]))
    axes.barh(
        [i.feature for i in items],
        [i.mean for i in items],
        xerr=[i.deviation for i in items],
        color=MODEL,
    )
    axes.grid(visible=False, axis="y")
    return as_uri(figure)


def confusion(counts: NDArray[np.int64], labels: Sequence[str]) -> str:
    """Draw the rows of each true class by their label, as shares of the class."""
    n_classes = len(labels)
    size = min(8.0, 2.2 + 0.35 * n_classes)
    figure, axes = canvas("Confusion matrix", "label", "truth", height=max(3.2, size))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    names = [plain(label) for label in labels]
    is_long = max(len(name) for name in names) > 4 and n_classes > 4
    axes.set_xticks(range(n_classes), names, rotation=90 if is_long else 0)
    axes.set_yticks(range(n_classes), names)
    if n_classes > MAX_CELLS_WITH_NUMBERS:
        return as_uri(figure)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.55 else "#1f2933"
        text = f"{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    return as_uri(figure)


def class_calibration(target: Numbers, scores: Numbers, labels: Sequence[str]) -> str:
    """Draw, for each class against all others, mean probability against the observed share."""
    figure, axes = canvas("Calibration by class", "predicted probability", "observed share")
    axes.plot([0, 1], [0, 1], color=GUIDE, linestyle="--", linewidth=1, label="perfect")
    for place, label in enumerate(labels[: len(COLOURS)]):
        bins = np.array_split(np.argsort(scores[:, place], kind="stable"), N_BINS)
        axes.plot(
            [scores[rows, place].mean() for rows in bins],
            [(target[rows] == place).mean() for rows in bins],
            marker="o",
            markersize=3,
            linewidth=1.2,
            color=COLOURS[place],
            label=plain(label),
        )
    axes.legend(fontsize=8)
    return as_uri(figure)


def certainty(sure: Numbers, is_right: Numbers) -> str:
    """Draw how sure the labels are, the right and the wrong ones."""
    figure, axes = canvas("How sure the labels are", "probability of the label", "rows")
    bins: int | list[float] = 26
    if sure.min() < 1:
        bins = list(np.linspace(sure.min(), 1, 26))
    axes.hist(
        [sure[is_right == 0], sure[is_right == 1]],
        bins=bins,
        stacked=True,
        color=[LINEAR, MODEL],
        label=["wrong", "right"],
    )
    axes.legend(title="label")
    return as_uri(figure)


def interval_by_prediction(
    target: Numbers, middle: Numbers, low: Numbers, high: Numbers, unit: str
) -> str:
    """Draw the interval of each row, in the order of the prediction, and the truth in it."""
    figure, axes = canvas("The interval and the truth", "rows by prediction", plain(unit))
    order = np.argsort(middle, kind="stable")
    rows = order[np.linspace(0, len(order) - 1, min(150, len(order))).astype(int)]
    places = np.arange(len(rows))
    axes.vlines(places, low[rows], high[rows], color=MODEL, alpha=0.35, linewidth=1.5)
    axes.plot(places, target[rows], ".", markersize=4, color=LINEAR, label="truth")
    axes.set_xticks([])
    axes.legend(loc="upper left")
    return as_uri(figure)


def shares_below(
    target: Numbers, scores: Numbers, middle: Numbers, outputs: Sequence[str], unit: str
) -> str:
    """Draw the share of the truth at or below each quantile, in ten bins of the prediction."""
    figure, axes = canvas("Truth below each quantile", f"predicted ({plain(unit)})", "share")
    bins = np.array_split(np.argsort(middle, kind="stable"), N_BINS)
    middles = [middle[rows].mean() for rows in bins]
    for place, output in enumerate(outputs[: len(COLOURS)]):
        colour = COLOURS[place]
        is_below = target <= scores[:, place]
        shares = [is_below[rows].mean() for rows in bins]
        axes.axhline(is_below.mean(), color=colour, linestyle="--", linewidth=1)
        axes.plot(middles, shares, "o-", markersize=3, color=colour, label=plain(output))
    axes.set_ylim(-0.03, 1.03)
    axes.legend(fontsize=8)
    return as_uri(figure)


def anomaly_scores(score: Numbers) -> str:
    """Draw how the scores spread, and the cut at zero below which a row is unusual."""
    figure, axes = canvas("Anomaly scores", "score (below 0: unusual)", "rows")
    bins = list(np.linspace(min(score.min(), 0.0), max(score.max(), 0.0), 41))
    axes.hist(
        [score[score < 0], score[score >= 0]],
        bins=bins,
        stacked=True,
        color=[LINEAR, MODEL],
        label=["flagged", "usual"],
    )
    axes.axvline(0, color="#1f2933", linewidth=1.2, linestyle="--")
    axes.legend()
    return as_uri(figure)


def _cumulated(target: Numbers, score: Numbers) -> tuple[Numbers, Numbers]:
    """Hits and misses from the highest score down, from (0, 0) on; equal scores are one step."""
    order = np.argsort(-score, kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(score[order])), len(order) - 1]
    hits = np.cumsum(target[order])[ends]
    return np.r_[0.0, hits], np.r_[0.0, ends + 1 - hits]


def _thin(x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
    rows = np.linspace(0, len(x) - 1, min(400, len(x))).astype(int)
    return x[rows], y[rows]
