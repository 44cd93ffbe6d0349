"""Which plots a report shows of each kind of model: alternative text to source."""

from collections.abc import Mapping

from serve_app.contract.block import Scores
from training import plot
from training.baseline import Baseline
from training.canvas import plain
from training.class_metrics import confusion, is_right
from training.fitted_pipeline import FittedPipeline
from training.importance import Importance
from training.metrics import Numbers
from training.output_metrics import central, ends
from training.yardstick import is_quantiles

# A page with one plot for each of a hundred outputs is read by nobody.
MAX_OUTPUTS = 12


def pictures(
    fitted: FittedPipeline, found: Mapping[str, Baseline], leaning: list[Importance]
) -> dict[str, str]:
    """Draw everything that one looks at for this kind of model."""
    spec = fitted.spec
    if spec.kind == "binary_classifier":
        drawn = _of_two_classes(fitted, found["linear"].scores)
    elif spec.kind == "classifier":
        drawn = _of_classes(fitted, found["linear"].scores)
    elif spec.is_anomaly_score:
        drawn = {"Anomaly scores": plot.anomaly_scores(fitted.scores)}
    elif is_quantiles(spec):
        drawn = _of_quantiles(fitted)
    elif spec.outputs:
        drawn = _of_outputs(fitted)
    else:
        drawn = _of_a_value(fitted)
    meaning = "" if spec.is_anomaly_score else "rise of the "
    meaning += fitted.yardstick.error_name
    drawn["Permutation importance"] = plot.importance(leaning, meaning)
    return drawn


def _of_two_classes(fitted: FittedPipeline, linear: Scores) -> dict[str, str]:
    spec = fitted.spec
    target = fitted.holdout.target
    score = fitted.scores
    curves = {"model": score, "linear": linear}
    pairs = {name: (target, values) for name, values in curves.items()}
    [negative] = [label for label in spec.classes if label != spec.positive]
    return {
        "Calibration plot": plot.calibration(pairs, f"probability of {plain(str(spec.positive))}"),
        "Scores by true class": plot.histogram(target, score, (str(negative), str(spec.positive))),
        "ROC curve": plot.roc(target, curves),
        "Precision-recall curve": plot.precision_recall(target, curves),
    }


def _of_classes(fitted: FittedPipeline, linear: Scores) -> dict[str, str]:
    target = fitted.holdout.target
    score = fitted.scores
    labels = [str(label) for label in fitted.spec.classes]
    pairs = {
        name: (is_right(target, values), values.max(axis=1))
        for name, values in (("model", score), ("linear", linear))
    }
    return {
        "Confusion matrix": plot.confusion(confusion(target, score), labels),
        "Calibration plot": plot.calibration(pairs, "probability of the label"),
        "Calibration by class": plot.class_calibration(target, score, labels),
        "How sure the labels are": plot.certainty(score.max(axis=1), is_right(target, score)),
    }


def _of_quantiles(fitted: FittedPipeline) -> dict[str, str]:
    spec = fitted.spec
    target = fitted.holdout.target
    score = fitted.scores
    low, high = ends(spec.outputs)
    middle = _middle(fitted)
    inside = (score[:, low] <= target) & (target <= score[:, high])
    drawn = {
        "The interval and the truth": plot.interval_by_prediction(
            target, middle, score[:, low], score[:, high], spec.target
        ),
        "Truth below each quantile": plot.shares_below(
            target, score, middle, spec.outputs, spec.target
        ),
        "Coverage by prediction": plot.coverage(
            middle, inside, float(inside.mean()), spec.target, "all rows"
        ),
    }
    if central(spec.outputs) is not None:
        drawn["Truth against prediction"] = plot.predicted_against_truth(
            target, middle, spec.target
        )
    return drawn


def _middle(fitted: FittedPipeline) -> Numbers:
    """(n_rows,) the value itself, or what lies halfway between the ends of the interval."""
    place = central(fitted.spec.outputs)
    if place is not None:
        return fitted.scores[:, place]
    low, high = ends(fitted.spec.outputs)
    return (fitted.scores[:, low] + fitted.scores[:, high]) / 2


def _of_outputs(fitted: FittedPipeline) -> dict[str, str]:
    target = fitted.holdout.target
    return {
        f"Truth against prediction of {output}": plot.predicted_against_truth(
            target[:, place], fitted.scores[:, place], output, title=output
        )
        for place, output in enumerate(fitted.spec.outputs[:MAX_OUTPUTS])
    }


def _of_a_value(fitted: FittedPipeline) -> dict[str, str]:
    target = fitted.holdout.target
    score = fitted.scores
    width = fitted.parameters["half_width"]
    wanted = fitted.parameters["coverage"]
    name = fitted.spec.target
    inside = abs(target - score) <= width
    return {
        "Truth against prediction": plot.predicted_against_truth(target, score, name),
        "Residual plot": plot.residuals(target, score, width, name),
        "Coverage by prediction": plot.coverage(score, inside, wanted, name, "wanted"),
    }
