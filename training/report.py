"""`report.html`: what a person looks at before letting a version in.

One file that needs no network.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training import plot
from training.baseline import Baseline, baselines
from training.candidate import Candidate
from training.compilation import Compilation
from training.importance import importances
from training.metrics import HIGHER_IS_BETTER, difference, measures_of
from training.slices import Slice, slices

TEMPLATE = "report.html.jinja"
MEANINGS = {
    "auc": "share of pairs of a 1 and a 0 that are in the right order",
    "average_precision": "mean precision over all recalls",
    "brier": "mean squared error of the probability",
    "log_loss": "mean negative log-likelihood",
    "ece": "mean gap between probability and observed share, ten bins",
    "accuracy": "share of right labels, cut at the model's threshold",
    "mae": "mean absolute error",
    "rmse": "root of the mean squared error",
    "r2": "share of the variance explained",
    "coverage": "share of rows inside the interval",
    "interval_width": "mean width of the interval",
}


def render(candidate: Candidate, compilation: Compilation) -> str:
    """Render the report of a candidate as one HTML page."""
    found = baselines(candidate)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        candidate=candidate,
        spec=candidate.spec,
        compilation=compilation,
        error_name=error_name(candidate),
        metrics=_metric_rows(candidate, found),
        plots=_plots(candidate, found),
        slices=_slice_rows(slices(candidate)),
        examples=_examples(candidate),
    )


def error_name(candidate: Candidate) -> str:
    """Name the error in which importance and slices are measured."""
    return "Brier score" if candidate.spec.kind == "binary_classifier" else "mean absolute error"


def _metric_rows(candidate: Candidate, found: tuple[Baseline, Baseline]) -> list[dict[str, Any]]:
    """One row a metric: the version, the best reachable where known, and both baselines."""
    constant, linear = found
    return [
        {
            "name": name,
            "meaning": MEANINGS[name],
            "model": metric,
            "best": candidate.metrics.get(f"best_{name}"),
            "linear": linear.metrics.get(name),
            "constant": constant.metrics.get(name),
            "verdict": _verdict(name, candidate, linear),
        }
        for name, metric in candidate.metrics.items()
        if name in MEANINGS
    ]


def _verdict(name: str, candidate: Candidate, linear: Baseline) -> str:
    """How the version compares with the linear baseline.

    It is better or worse only where the paired difference is no chance.
    """
    function = measures_of(candidate.spec, candidate.parameters).get(name)
    if function is None:
        return ""
    gap = difference(function, candidate.holdout.target, candidate.scores, linear.scores)
    if gap.low <= 0 <= gap.high:
        return "like linear"
    is_better = (gap.value > 0) == (name in HIGHER_IS_BETTER)
    return "better than linear" if is_better else "worse than linear"


def _plots(candidate: Candidate, found: tuple[Baseline, Baseline]) -> list[dict[str, str]]:
    """Source and alternative text of each plot."""
    target = candidate.holdout.target
    score = candidate.scores
    if candidate.spec.kind == "binary_classifier":
        curves = {"model": score, "linear": found[1].scores}
        sources = {
            "Calibration plot": plot.calibration(target, curves),
            "Scores by true class": plot.histogram(target, score),
            "ROC curve": plot.roc(target, curves),
            "Precision-recall curve": plot.precision_recall(target, curves),
        }
    else:
        width = candidate.parameters["half_width"]
        wanted = candidate.parameters["coverage"]
        name = candidate.spec.target
        sources = {
            "Truth against prediction": plot.predicted_against_truth(target, score, name),
            "Residual plot": plot.residuals(target, score, width, name),
            "Coverage by prediction": plot.coverage(target, score, width, wanted, name),
        }
    sources["Permutation importance"] = plot.importance(
        importances(candidate), error_name(candidate)
    )
    return [{"text": text, "source": source} for text, source in sources.items()]


def _slice_rows(found: list[Slice]) -> list[tuple[Slice, bool, float]]:
    """Each slice, whether it starts a feature, and its error as a share of the largest."""
    largest = max((item.error for item in found), default=1.0) or 1.0
    starts = [i == 0 or found[i - 1].feature != item.feature for i, item in enumerate(found)]
    return [(item, start, item.error / largest) for item, start in zip(found, starts, strict=True)]


def _examples(candidate: Candidate) -> list[dict[str, Any]]:
    """The spec's examples with the answers that this version gives."""
    pairs = zip(candidate.spec.examples, candidate.example_scores, strict=True)
    return [
        {
            "summary": example.summary,
            "answer": candidate.spec.answer(float(score), candidate.parameters).model_dump(),
        }
        for example, score in pairs
    ]
