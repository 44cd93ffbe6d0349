"""What a kind of model is measured by: its metrics, and the one error that everything looks at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from serve_app.contract import ModelSpec
from training import class_metrics, metrics, output_metrics
from training.anomaly import mean_move, share_flagged
from training.conformal import share_inside
from training.metrics import Measure, Numbers


@dataclass(frozen=True)
class Yardstick:
    """The measures of a model by name.

    `error` rises when a model gets worse: importance and slices are told in it. A model must be
    better than a constant in each of `must_beat`. `best` are those that the true score of a recipe
    is measured by, too.
    """

    measures: dict[str, Measure]
    error: Measure
    error_name: str
    must_beat: tuple[str, ...] = ()
    best: tuple[str, ...] = ()
    levels: tuple[float, ...] = field(default=())


def is_quantiles(spec: ModelSpec) -> bool:
    """Whether all outputs of a model are about one target."""
    return bool(spec.target and spec.outputs)


def yardstick_of(
    spec: ModelSpec, parameters: Mapping[str, float], levels: tuple[float, ...] = ()
) -> Yardstick:
    """What a model is measured by.

    `parameters` are those of its bundle, `levels` those of a model of quantiles.
    """
    if spec.kind == "binary_classifier":
        return _of_two_classes(spec.threshold_of(parameters))
    if spec.kind == "classifier":
        must_beat = ("auc", "brier")
        return Yardstick(class_metrics.MEASURES, class_metrics.brier, "Brier score", must_beat)
    if spec.is_anomaly_score:
        return Yardstick({"share_flagged": share_flagged}, mean_move, "move of the score")
    if is_quantiles(spec):
        measures = output_metrics.measures_of_quantiles(spec.outputs, levels)
        error = measures["pinball"]
        return Yardstick(measures, error, "pinball loss", ("pinball",), levels=levels)
    if spec.outputs:
        measures = output_metrics.measures_of_outputs(spec.outputs)
        error = output_metrics.relative_mae
        return Yardstick(measures, error, "relative error", ("relative_mae",))
    return _of_a_value(parameters.get("half_width"))


def _of_two_classes(threshold: float) -> Yardstick:
    measures: dict[str, Measure] = {
        "auc": metrics.auc,
        "average_precision": metrics.average_precision,
        "brier": metrics.brier,
        "log_loss": metrics.log_loss,
        "ece": metrics.ece,
        "accuracy": partial(metrics.accuracy, threshold=threshold),
    }
    return Yardstick(measures, metrics.brier, "Brier score", ("auc", "brier"), ("auc", "brier"))


def _of_a_value(half_width: float | None) -> Yardstick:
    measures: dict[str, Measure] = {
        "mae": metrics.mae,
        "rmse": metrics.rmse,
        "r2": metrics.r2,
    }
    if half_width is not None:
        measures["coverage"] = partial(share_inside, width=half_width)
        measures["interval_width"] = partial(_width, half_width=half_width)
    return Yardstick(measures, metrics.mae, "mean absolute error", ("mae",), ("mae",))


def _width(target: Numbers, score: Numbers, half_width: float) -> float:
    return 2 * half_width
