"""What sums say: realised quality with intervals, and the estimate without labels."""

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import NamedTuple

from serve_app.monitoring.labels.shapes import Shape
from serve_app.monitoring.quality.sums import N_BINS, Sums
from serve_app.statistics.intervals import Z, auc_interval, mean_interval, wilson

# Of fewer labels, or rows, nothing is told.
LEAST = 10
# Probabilities that are further from what comes true, on the hold-out, are no base for an estimate.
MOST_ECE = 0.05


class Measured(NamedTuple):
    """A number with its interval of 95 %, and of how many rows it is; NaN where it is not known."""

    value: float
    low: float
    high: float
    n: int


def realised(
    shape: Shape, sums: Sums, classes: Sequence[str], outputs: Sequence[str]
) -> dict[str, Measured]:
    """What the labels say, by name; nothing of fewer than ten."""
    n = sums.get("n", 0.0)
    if n < LEAST:
        return {}
    if shape in (Shape.BINARY, Shape.CLASSES):
        return _of_classes(shape, sums, n, classes)
    found: dict[str, Measured] = {}
    suffixes = [f".{i}" for i in range(len(outputs))] if shape is Shape.OUTPUTS else [""]
    for i, suffix in enumerate(suffixes):
        ending = f"_{outputs[i]}" if suffix else ""
        absolute, squares = sums.get(f"abs{suffix}", 0.0), sums.get(f"abs2{suffix}", 0.0)
        found[f"mae{ending}"] = _mean(n, absolute, squares)
        found[f"bias{ending}"] = _mean(n, sums.get(f"err{suffix}", 0.0), squares)
    n_intervals = sums.get("interval", 0.0)
    if n_intervals >= LEAST:
        found["coverage"] = _share(sums.get("covered", 0.0), n_intervals)
    return found


def _of_classes(shape: Shape, sums: Sums, n: float, classes: Sequence[str]) -> dict[str, Measured]:
    found = {"accuracy": _share(sums.get("right", 0.0), n)}
    brier = _mean(n, sums.get("brier", 0.0), sums.get("brier2", 0.0))
    if shape is Shape.BINARY:
        area = _area(sums, "pos", "neg")
        if area is not None:
            found = {"auc": area, **found}
        found["brier"] = brier
    else:
        # Of the label's own probability: an id has no room for those of all classes.
        found["label_brier"] = brier
    for i, name in enumerate(classes):
        n_class = sums.get(f"class.{i}", 0.0)
        if n_class:
            found[f"recall_{name}"] = _share(sums.get(f"hit.{i}", 0.0), n_class)
    return found


def estimated(shape: Shape, sums: Sums) -> dict[str, Measured]:
    """What the scores alone let expect, if they are calibrated; nothing of fewer than ten.

    The interval of accuracy is that of the luck of the rows alone, not of a calibration that has
    gone.
    """
    n = sums.get("e_n", 0.0)
    if n < LEAST:
        return {}
    accuracy = sums.get("e_right", 0.0) / n
    spread = sums.get("e_spread", 0.0)
    # A probability of float32 may be above 1 by a hair.
    half = Z * max(0.0, spread) ** 0.5 / n
    found = {
        "accuracy": Measured(accuracy, max(0.0, accuracy - half), min(1.0, accuracy + half), int(n))
    }
    name = "brier" if shape is Shape.BINARY else "label_brier"
    found[name] = Measured(spread / n, nan, nan, int(n))
    if shape is Shape.BINARY:
        area = _area(sums, "e_pos", "e_neg")
        if area is not None:
            found = {"auc": area, **found}
    return found


def no_estimate(shape: Shape, metrics: Mapping[str, float]) -> str:
    """Why there is no estimate without labels; empty: there is one."""
    if shape not in (Shape.BINARY, Shape.CLASSES):
        return "Only a probability says how sure it is: for this kind of model labels are needed."
    ece = metrics.get("ece")
    if ece is None or not isfinite(ece):
        return "The bundle has no calibration error (ece): nobody knows what its scores mean."
    if ece > MOST_ECE:
        return (
            f"Its probabilities are off by {ece:.3f} on the hold-out (ece), more than {MOST_ECE}: "
            "what they let expect would be wrong."
        )
    return ""


def _area(sums: Sums, positive: str, negative: str) -> Measured | None:
    """The area under the ROC curve of two histograms; rows of one bin count as tied."""
    n_positive = n_negative = area = 0.0
    for place in range(N_BINS):
        hits = sums.get(f"{positive}.{place}", 0.0)
        others = sums.get(f"{negative}.{place}", 0.0)
        area += hits * (n_negative + others / 2)
        n_positive += hits
        n_negative += others
    # Of a single positive nothing can be told; expected ones may be parts of a row.
    if min(n_positive, n_negative) < 2:
        return None
    value = area / (n_positive * n_negative)
    n = round(n_positive + n_negative)
    return Measured(value, *auc_interval(value, n_positive, n_negative), n)


def _share(n_hits: float, n: float) -> Measured:
    return Measured(n_hits / n, *wilson(n_hits, n), int(n))


def _mean(n: float, total: float, squares: float) -> Measured:
    return Measured(total / n, *mean_interval(n, total, squares), int(n))
