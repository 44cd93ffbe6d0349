"""How good scores are against the truth. Needs numpy only.

The truth of a binary classifier is 1 for the positive class and 0 for the other, that of a
classifier the position of the class, (n_rows,). Of a regressor it is the value, or the values
(n_rows, n_outputs) where each output is a column of its own.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from serve_app.contract import ModelSpec
from serve_app.contract.block import Scores
from serve_app.statistics.disagreement import best_class

Truth = NDArray[np.float64]
# One number of (truth, scores).
Measure = Callable[[Truth, Scores], float]
# (n_rows,) of (truth, scores): what each row costs, the less the better.
Loss = Callable[[Truth, Scores], NDArray[np.float64]]
N_BINS = 10
CLIP = 1e-15
HIGHER_IS_BETTER = frozenset(
    {"auc", "average_precision", "accuracy", "balanced_accuracy", "macro_f1", "r2"}
)


def auc(truth: Truth, score: Scores) -> float:
    """Area under the ROC curve: the share of pairs in the right order (Mann and Whitney, 1947)."""
    n_positive = truth.sum()
    n_pairs = n_positive * (len(truth) - n_positive)
    if n_pairs == 0:
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    # Equal scores share the mean of their ranks.
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    ranks = mean_ranks[inverse][truth == 1].sum()
    return float((ranks - n_positive * (n_positive + 1) / 2) / n_pairs)


def average_precision(truth: Truth, score: Scores) -> float:
    """The mean precision over the steps of recall; equal scores count as one step."""
    order = np.argsort(-score, kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(score[order])), len(order) - 1]
    hits = np.cumsum(truth[order])[ends]
    if hits[-1] == 0:
        return float("nan")
    return float(np.sum(np.diff(hits, prepend=0) * hits / (ends + 1)) / hits[-1])


def ece(truth: Truth, score: Scores) -> float:
    """Expected calibration error over ten bins of equally many rows."""
    order = np.argsort(score, kind="stable")
    gaps = np.array([part.sum() for part in np.array_split((score - truth)[order], N_BINS)])
    return float(np.abs(gaps).sum() / len(score))


def squared_errors(truth: Truth, score: Scores) -> NDArray[np.float64]:
    """(n_rows,) the squared error of a value, or of a probability (Brier, 1950)."""
    return np.asarray((score - truth) ** 2)


def absolute_errors(truth: Truth, score: Scores) -> NDArray[np.float64]:
    """(n_rows,) in the unit of the value."""
    return np.asarray(np.abs(score - truth))


def log_losses(truth: Truth, score: Scores) -> NDArray[np.float64]:
    """(n_rows,) the negative logarithm of the probability of what is true."""
    return np.asarray(-np.log(np.clip(np.where(truth == 1, score, 1 - score), CLIP, 1)))


def accuracy(truth: Truth, score: Scores, threshold: float) -> float:
    """The share of right labels, cut at the version's own threshold."""
    return float(np.mean((score >= threshold) == (truth == 1)))


def r2(truth: Truth, score: Scores) -> float:
    """The share of the variance that is explained."""
    variance = np.sum((truth - truth.mean()) ** 2)
    return float(1 - np.sum((score - truth) ** 2) / max(variance, CLIP))


def coverage(truth: Truth, low: Scores, high: Scores) -> float:
    """The share of rows whose truth lies in the interval."""
    return float(np.mean((low <= truth) & (truth <= high)))


def _mean_of(loss: Loss) -> Measure:
    return lambda truth, scores: float(loss(truth, scores).mean())


def _root_mean_of(loss: Loss) -> Measure:
    return lambda truth, scores: float(np.sqrt(loss(truth, scores).mean()))


OF_A_VALUE: dict[str, Measure] = {
    "mae": _mean_of(absolute_errors),
    "rmse": _root_mean_of(squared_errors),
    "r2": r2,
}


def class_log_losses(truth: Truth, scores: Scores) -> NDArray[np.float64]:
    """(n_rows,) the negative logarithm of the probability of the true class."""
    sure = scores[np.arange(len(truth)), truth.astype(int)]
    return np.asarray(-np.log(np.clip(sure, CLIP, 1)))


def class_squared_errors(truth: Truth, scores: Scores) -> NDArray[np.float64]:
    """(n_rows,) the squared error summed over the classes, 0 to 2 (Brier, 1950)."""
    is_true = np.eye(scores.shape[1])[truth.astype(int)]
    return np.asarray(((scores - is_true) ** 2).sum(axis=1))


def class_accuracy(truth: Truth, scores: Scores) -> float:
    """The share of right labels."""
    return float(np.mean(best_class(scores) == truth))


def balanced_accuracy(truth: Truth, scores: Scores) -> float:
    """The mean share of right labels over the classes that occur."""
    is_right = best_class(scores) == truth
    return float(np.mean([is_right[truth == label].mean() for label in np.unique(truth)]))


def macro_f1(truth: Truth, scores: Scores) -> float:
    """The mean F1 over all classes that occur in the truth or in the labels."""
    labels = best_class(scores)
    found = []
    for label in np.union1d(truth, labels):
        n_hits = np.sum((labels == label) & (truth == label))
        found.append(2 * n_hits / (np.sum(labels == label) + np.sum(truth == label)))
    return float(np.mean(found))


def class_auc(truth: Truth, scores: Scores) -> float:
    """The mean over the classes of the AUC of each against all others (Provost, Domingos, 2000)."""
    found = [auc((truth == i).astype(np.float64), scores[:, i]) for i in range(scores.shape[1])]
    known = [value for value in found if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def class_ece(truth: Truth, scores: Scores) -> float:
    """Expected calibration error of the label's own probability."""
    is_right = (best_class(scores) == truth).astype(np.float64)
    return ece(is_right, scores.max(axis=1))


def measures_of(spec: ModelSpec, parameters: Mapping[str, float]) -> dict[str, Measure]:
    """What is measured of a version, by name; `parameters` are those of its bundle.

    Empty for an anomaly score, which has no truth.
    """
    if spec.kind == "binary_classifier":
        threshold = spec.threshold_of(parameters)
        return {
            "auc": auc,
            "average_precision": average_precision,
            "brier": _mean_of(squared_errors),
            "log_loss": _mean_of(log_losses),
            "ece": ece,
            "accuracy": partial(accuracy, threshold=threshold),
        }
    if spec.kind == "classifier":
        return {
            "accuracy": class_accuracy,
            "balanced_accuracy": balanced_accuracy,
            "macro_f1": macro_f1,
            "auc": class_auc,
            "log_loss": _mean_of(class_log_losses),
            "brier": _mean_of(class_squared_errors),
            "ece": class_ece,
        }
    if spec.is_anomaly_score:
        return {}
    if spec.outputs:
        return _of_quantiles(spec) if spec.target else _of_outputs(spec)
    measures = dict(OF_A_VALUE)
    width = parameters.get("half_width")
    if width is not None:
        measures["coverage"] = lambda truth, score: coverage(truth, score - width, score + width)
        measures["interval_width"] = lambda truth, score: 2 * width
    return measures


def _of_outputs(spec: ModelSpec) -> dict[str, Measure]:
    """Each output by itself, against its own column."""

    def only(measure: Measure, i: int) -> Measure:
        return lambda truth, scores: measure(truth[:, i], scores[:, i])

    of_each = {
        f"{name}_{output}": only(measure, i)
        for i, output in enumerate(spec.outputs)
        for name, measure in OF_A_VALUE.items()
    }
    return {"relative_mae": _mean_of(relative_errors)} | of_each


def _of_quantiles(spec: ModelSpec) -> dict[str, Measure]:
    """The median output as a value, the interval of all outputs, and the share below each."""

    def of_median(measure: Measure) -> Measure:
        return lambda truth, scores: measure(truth, np.median(scores, axis=1))

    def below(i: int) -> Measure:
        return lambda truth, scores: float(np.mean(truth <= scores[:, i]))

    measures = {name: of_median(measure) for name, measure in OF_A_VALUE.items()}
    measures["coverage"] = lambda truth, scores: coverage(
        truth, scores.min(axis=1), scores.max(axis=1)
    )
    measures["interval_width"] = lambda truth, scores: float(np.ptp(scores, axis=1).mean())
    return measures | {f"below_{output}": below(i) for i, output in enumerate(spec.outputs)}


def loss_of(spec: ModelSpec) -> tuple[str, Loss] | None:
    """The name and the error of each row, by which slices are compared; None without a truth.

    Of several outputs it is the mean absolute error in parts of the spread of each one's truth; of
    quantiles, that of the median output.
    """
    if spec.kind == "binary_classifier":
        return "brier", squared_errors
    if spec.kind == "classifier":
        return "log_loss", class_log_losses
    if spec.is_anomaly_score:
        return None
    if not spec.outputs:
        return "mae", absolute_errors
    if spec.target:
        return "mae", lambda truth, scores: absolute_errors(truth, np.median(scores, axis=1))
    return "relative_mae", relative_errors


def relative_errors(truth: Truth, scores: Scores) -> NDArray[np.float64]:
    """(n_rows,) the mean over the outputs of the error as a share of the truth's spread."""
    deviations = truth.std(axis=0)
    spread = np.where(deviations > 0, deviations, 1.0)
    return np.asarray((np.abs(scores - truth) / spread).mean(axis=1))
