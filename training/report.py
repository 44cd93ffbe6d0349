"""`report.html`: what a person looks at before letting a version in.

One file that needs no network.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.baseline import Baseline, baselines
from training.compilation.proof import Compilation
from training.fitted_pipeline import FittedPipeline
from training.importance import importances
from training.metrics import BY_OUTPUT, difference, direction
from training.pictures import pictures
from training.slices import MeasuredSlice, slices

TEMPLATE = "report.html.jinja"
FLOAT_NOISE = 1e-9
# Slices of more fields are shown of those that the version leans on most.
MAX_SLICED_FIELDS = 30
SHOWN_AS_PERCENT = frozenset(
    {"coverage", "right labels", "probability of the label", "share flagged"}
)
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
    "relative_mae": "mean absolute error of an output in spreads of its truth, mean of all",
    "pinball": "mean pinball loss of all quantiles, at the shares that they hold",
    "crossing": "share of rows where the low end is above the high one",
    "share_flagged": "share of rows with a score below 0",
    "contamination": "share of unusual rows that is expected",
}
MEANINGS_OF_CLASSES = {
    "accuracy": "share of right labels",
    "balanced_accuracy": "mean recall of the classes",
    "macro_f1": "harmonic mean of precision and recall, mean of the classes",
    "auc": "of each class against all others, mean of the classes",
    "brier": "squared errors of the probabilities of all classes, 0 to 2",
    "ece": "mean gap between the label's probability and its share of right ones, ten bins",
}


def render(fitted: FittedPipeline, compilation: Compilation, notes: Sequence[str] = ()) -> str:
    """Render the report as one HTML page; `notes` are sentences of the manifest."""
    found = baselines(fitted)
    leaning = importances(fitted)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sliced = {item.feature for item in leaning[:MAX_SLICED_FIELDS]}
    rows = slices(fitted, sliced)
    return environment.get_template(TEMPLATE).render(
        fitted=fitted,
        spec=fitted.spec,
        compilation=compilation,
        error_name=error_name(fitted),
        metrics=_metric_rows(fitted, found),
        has_baselines=bool(found),
        plots=[
            {"text": text, "source": source}
            for text, source in pictures(fitted, found, leaning).items()
        ],
        slice_columns=list(rows[0].numbers) if rows else [],
        slices=_slice_rows(rows),
        n_fields_left_out=len(fitted.spec.contract) - len(sliced),
        examples=_examples(fitted),
        notes=[note.removesuffix(".") for note in notes],
    )


def error_name(fitted: FittedPipeline) -> str:
    """Name what slices are compared by."""
    is_anomaly_score = fitted.spec.is_anomaly_score
    return "share flagged" if is_anomaly_score else fitted.yardstick.error_name


def _metric_rows(fitted: FittedPipeline, found: Mapping[str, Baseline]) -> list[dict[str, Any]]:
    """One row a metric: the version, the best reachable where known, and both baselines.

    Those of single classes have a table of their own.
    """
    by_baseline = {name: baseline.metrics for name, baseline in found.items()}
    return [
        {
            "name": name,
            "meaning": meaning_of(name, fitted),
            "model": metric,
            "best": fitted.metrics.get(f"best_{name}"),
            "linear": by_baseline.get("linear", {}).get(name),
            "constant": by_baseline.get("constant", {}).get(name),
            "verdict": _verdict(name, fitted, found),
        }
        for name, metric in fitted.metrics.items()
        if name in fitted.yardstick.measures or name == "contamination"
    ]


def meaning_of(name: str, fitted: FittedPipeline) -> str:
    """What a metric says, in a few words."""
    spec = fitted.spec
    if spec.kind == "classifier" and name in MEANINGS_OF_CLASSES:
        return MEANINGS_OF_CLASSES[name]
    if name in MEANINGS:
        return MEANINGS[name]
    base, _, output = name.partition("_")
    if base == "below":
        return f"share of the truth at or below {output}"
    return f"{MEANINGS[base]} of {output}" if base in BY_OUTPUT else ""


def _verdict(name: str, fitted: FittedPipeline, found: Mapping[str, Baseline]) -> str:
    """How the version compares with the linear baseline.

    It is better or worse only where the paired difference is no chance.
    """
    function = fitted.yardstick.measures.get(name)
    if function is None or "linear" not in found or not direction(name):
        return ""
    other = found["linear"].scores
    gap = difference(function, fitted.holdout.target, fitted.scores, other)
    # Two linear models differ by float noise, always to the same side.
    noise = FLOAT_NOISE * abs(fitted.metrics[name].value)
    if gap.low <= noise and gap.high >= -noise:
        return "like linear"
    return "better than linear" if gap.value * direction(name) > 0 else "worse than linear"


def _slice_rows(found: list[MeasuredSlice]) -> list[dict[str, Any]]:
    """Each slice, whether it starts a feature, and its error as a share of the largest."""
    largest = max((item.error for item in found), default=1.0) or 1.0
    return [
        {
            "slice": item,
            "is_start": i == 0 or found[i - 1].feature != item.feature,
            "share": item.error / largest,
            "numbers": [_number(name, value) for name, value in item.numbers.items()],
        }
        for i, item in enumerate(found)
    ]


def _number(name: str, value: float) -> str:
    if name in SHOWN_AS_PERCENT:
        return f"{value:.1%}"
    return f"{value:+.2g}" if name == "bias" else f"{value:.3g}"


def _examples(fitted: FittedPipeline) -> list[dict[str, Any]]:
    """The spec's examples with the answers that this version gives."""
    pairs = zip(fitted.spec.examples, fitted.example_scores.tolist(), strict=True)
    return [
        {
            "summary": example.summary,
            "answer": {
                name: _shown(value) for name, value in fitted.spec.answer(score, fitted.parameters)
            },
        }
        for example, score in pairs
    ]


def _shown(value: Any) -> str:
    """A field of an answer for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown(part)}" for name, part in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
