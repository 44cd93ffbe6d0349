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
from training import metrics
from training.metrics import CLIP, Measure, Numbers, interval, resamples


def label_of(score: Numbers) -> NDArray[np.intp]:
    """(n_rows,) the position of the most probable class; of equal ones the first."""
    return np.asarray(np.argmax(score, axis=1))


def confusion(target: Numbers, score: Numbers) -> NDArray[np.int64]:
    """(n_classes, n_classes) counts of rows: by their true class, then by their label."""
    n_classes = score.shape[1]
    places = target.astype(np.int64) * n_classes + label_of(score)
    return np.bincount(places, minlength=n_classes**2).reshape(n_classes, n_classes)


def accuracy(target: Numbers, score: Numbers) -> float:
    """The share of right labels."""
    return float(np.mean(label_of(score) == target))


def balanced_accuracy(target: Numbers, score: Numbers) -> float:
    """The mean recall of the classes, so that a rare class counts as much as a common one."""
    return float(np.nanmean(_recall(confusion(target, score))))


def macro_f1(target: Numbers, score: Numbers) -> float:
    """The mean over the classes of the harmonic mean of precision and recall."""
    counts = confusion(target, score)
    n_either = counts.sum(axis=0) + counts.sum(axis=1)
    occurs = n_either > 0
    return float(np.mean(2 * np.diag(counts)[occurs] / n_either[occurs]))


def auc(target: Numbers, score: Numbers) -> float:
    """The mean over the classes of the AUC of each against all others (Provost, Domingos, 2000)."""
    found = [
        metrics.auc((target == place).astype(np.float64), score[:, place])
        for place in range(score.shape[1])
    ]
    known = [value for value in found if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def log_loss(target: Numbers, score: Numbers) -> float:
    """The mean negative log-likelihood of the true class."""
    return float(-np.mean(np.log(np.clip(_of_truth(target, score), CLIP, 1))))


def brier(target: Numbers, score: Numbers) -> float:
    """The mean over the rows of the squared errors of all classes, 0 to 2 (Brier, 1950)."""
    squares = np.sum(score**2, axis=1)
    return float(np.mean(squares - 2 * _of_truth(target, score) + 1))


def ece(target: Numbers, score: Numbers) -> float:
    """Expected calibration error of the label's probability, over ten bins of equally many rows."""
    return metrics.ece(is_right(target, score), score.max(axis=1))


def is_right(target: Numbers, score: Numbers) -> Numbers:
    """(n_rows,) 1 where the label is the true class, else 0."""
    found: Numbers = (label_of(score) == target).astype(np.float64)
    return found


MEASURES: dict[str, Measure] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "auc": auc,
    "log_loss": log_loss,
    "brier": brier,
    "ece": ece,
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


def _of_truth(target: Numbers, score: Numbers) -> Numbers:
    """(n_rows,) the probability of each row's true class."""
    return np.asarray(score[np.arange(len(target)), target.astype(np.intp)])


def _precision(counts: NDArray[np.int64]) -> Numbers:
    """By class; 0 where no row has this label."""
    return np.asarray(np.diag(counts) / np.maximum(counts.sum(axis=0), 1))


def _recall(counts: NDArray[np.int64]) -> Numbers:
    """By class; NaN where no row is of this class."""
    n_rows = counts.sum(axis=1)
    return np.where(n_rows > 0, np.diag(counts) / np.maximum(n_rows, 1), np.nan)
