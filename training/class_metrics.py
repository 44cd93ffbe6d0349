"""How good the probabilities of several classes are.

`target` (n_rows,) is the position of each row's class, `score` (n_rows, n_classes) has a
probability for each class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.manifest import Metric
from serve_app.contract import Label
from serve_app.statistics.disagreement import best_class
from serve_app.statistics.quality import (
    balanced_accuracy,
    class_accuracy,
    class_auc,
    class_ece,
    class_log_losses,
    class_squared_errors,
    macro_f1,
)
from training.metrics import Measure, Numbers, interval, resamples


def confusion(target: Numbers, score: Numbers) -> NDArray[np.int64]:
    """(n_classes, n_classes) counts of rows: by their true class, then by their label."""
    n_classes = score.shape[1]
    places = target.astype(np.int64) * n_classes + best_class(score)
    return np.bincount(places, minlength=n_classes**2).reshape(n_classes, n_classes)


def brier(target: Numbers, score: Numbers) -> float:
    """The mean over the rows of the squared errors of all classes, 0 to 2 (Brier, 1950)."""
    return float(class_squared_errors(target, score).mean())


def log_loss(target: Numbers, score: Numbers) -> float:
    """The mean negative log-likelihood of the true class."""
    return float(class_log_losses(target, score).mean())


def is_right(target: Numbers, score: Numbers) -> Numbers:
    """(n_rows,) 1 where the label is the true class, else 0."""
    found: Numbers = (best_class(score) == target).astype(np.float64)
    return found


MEASURES: dict[str, Measure] = {
    "accuracy": class_accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "auc": class_auc,
    "log_loss": log_loss,
    "brier": brier,
    "ece": class_ece,
}


@dataclass(frozen=True)
class OfClass:
    """How one class is found: `precision` of its labels, `recall` of its `n_rows` rows."""

    label: Label
    n_rows: int
    n_labels: int
    precision: Metric
    recall: Metric


def by_class(
    target: Numbers, score: Numbers, classes: Sequence[Label], seed: int = 0
) -> list[OfClass]:
    """Precision and recall of each class, with bootstrap intervals.

    A class that no row is given has a precision of 0, as in scikit-learn.
    """
    counts = confusion(target, score)
    samples = [confusion(target[rows], score[rows]) for rows in resamples(len(target), seed)]
    precisions = [_precision(sample) for sample in samples]
    recalls = [_recall(sample) for sample in samples]
    return [
        OfClass(
            label=label,
            n_rows=int(counts[place].sum()),
            n_labels=int(counts[:, place].sum()),
            precision=interval(
                float(_precision(counts)[place]), [float(one[place]) for one in precisions]
            ),
            recall=interval(float(_recall(counts)[place]), [float(one[place]) for one in recalls]),
        )
        for place, label in enumerate(classes)
    ]


def _precision(counts: NDArray[np.int64]) -> Numbers:
    """By class; 0 where no row has this label."""
    return np.asarray(np.diag(counts) / np.maximum(counts.sum(axis=0), 1))


def _recall(counts: NDArray[np.int64]) -> Numbers:
    """By class; NaN where no row is of this class."""
    n_rows = counts.sum(axis=1)
    return np.where(n_rows > 0, np.diag(counts) / np.maximum(n_rows, 1), np.nan)
