"""What is kept of labels and scores: sums by name, which add up over servers, days and restarts.

A version has one set of sums for each day of its predictions (UTC). Of a binary classifier they
hold the histograms of its scores, by truth, in bins of equal width in log odds: area under the
curve, recall and accuracy follow from them, whatever the share of positives is.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from math import exp, isfinite

from serve_app.monitoring.labels.shapes import Label, Shape

Sums = dict[str, float]

# Log odds from -16 to 16: probabilities from one in nine million, since what is seldom (fraud) is
# told apart far below one per cent.
_LOG_ODDS = [step / 4 for step in range(-64, 65)]
EDGES = [1 / (1 + exp(-odds)) for odds in _LOG_ODDS]
N_BINS = len(EDGES) + 1
# More rows are counted in no day, and no sum of squares of float32 is larger.
MOST_ROWS = 1e15
MOST_SUM = 1e100
# What is counted among what.
PARTS = {"right": "n", "covered": "interval"}


def add_to(sums: Sums, more: Mapping[str, float]) -> None:
    """Add sums to others."""
    for name, number in more.items():
        sums[name] = sums.get(name, 0.0) + number


def require_sums(sums: Mapping[str, float]) -> None:
    """Look whether labels and scores can add up to these sums. Raises ValueError."""
    for name, number in sums.items():
        is_count = not name.startswith(("abs", "err", "brier"))
        least = -MOST_SUM if name.startswith("err") else 0.0
        if not least <= number <= (MOST_ROWS if is_count else MOST_SUM):
            raise ValueError(f"found a sum {name} of {number}, expected a possible one")
        whole = "class" + name.removeprefix("hit") if name.startswith("hit.") else PARTS.get(name)
        if whole is not None and number > sums.get(whole, 0.0):
            raise ValueError(f"found more {name} than {whole}")


def bin_of(probability: float) -> int:
    """The place of a probability among the bins."""
    return bisect_right(EDGES, probability)


def sums_of_label(shape: Shape, label: Label) -> Sums:
    """What one label adds; nothing where the model had failed on its row."""
    numbers = label.numbers
    if not isfinite(numbers[0]):
        return {}
    if shape is Shape.BINARY:
        return _of_binary(min(numbers[0], 1.0), label.truth[0], label.is_positive)
    if shape is Shape.CLASSES:
        return _of_class(min(numbers[0], 1.0), round(numbers[1]), round(label.truth[0]))
    if shape is Shape.OUTPUTS:
        found: Sums = {"n": 1.0}
        for i, (number, truth) in enumerate(zip(numbers, label.truth, strict=False)):
            found |= _errors(number - truth, f".{i}")
        return found
    return _of_value(shape, label)


def _of_binary(probability: float, truth: float, is_positive: bool) -> Sums:
    squared = (probability - truth) ** 2
    is_right = is_positive == (truth == 1)
    place = bin_of(probability)
    return {
        "n": 1.0,
        "brier": squared,
        "brier2": squared * squared,
        "right": float(is_right),
        f"{'pos' if truth == 1 else 'neg'}.{place}": 1.0,
        f"class.{int(truth)}": 1.0,
        f"hit.{int(truth)}": float(is_right),
    }


def _of_class(confidence: float, place: int, truth: int) -> Sums:
    is_right = place == truth
    squared = (confidence - is_right) ** 2
    return {
        "n": 1.0,
        "brier": squared,
        "brier2": squared * squared,
        "right": float(is_right),
        f"class.{truth}": 1.0,
        f"hit.{truth}": float(is_right),
    }


def _of_value(shape: Shape, label: Label) -> Sums:
    value, second, third = label.numbers
    truth = label.truth[0]
    low, high = value - second, value + second
    if shape is Shape.QUANTILES:
        low, high = second, third
    found: Sums = {"n": 1.0, **_errors(value - truth, "")}
    if isfinite(low) and isfinite(high):
        found["interval"] = 1.0
        found["covered"] = float(low <= truth <= high)
    return found


def _errors(error: float, suffix: str) -> Sums:
    return {
        f"abs{suffix}": abs(error),
        f"abs2{suffix}": error * error,
        f"err{suffix}": error,
    }


def loss_of_label(shape: Shape, label: Label, scales: Iterable[float]) -> float | None:
    """What a prediction lost, from 0 to 1: by this two versions are compared; None: not known.

    Of a probability the squared error; of a class whether it was wrong; of values the absolute
    error, in parts of `scales` and 1 at most, as a mean over the outputs.
    """
    numbers = label.numbers
    if not isfinite(numbers[0]):
        return None
    if shape is Shape.BINARY:
        return min((min(numbers[0], 1.0) - label.truth[0]) ** 2, 1.0)
    if shape is Shape.CLASSES:
        return float(round(numbers[1]) != round(label.truth[0]))
    known = [scale for scale in scales if scale > 0]
    if len(known) != len(label.truth):
        return None
    parts = [
        min(abs(number - truth) / scale, 1.0)
        for number, truth, scale in zip(numbers, label.truth, known, strict=False)
    ]
    return sum(parts) / len(parts)
