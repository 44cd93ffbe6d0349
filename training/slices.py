"""Error by slice: a good average may hide a group that the model serves badly."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from serve_app.contract import ModelSpec
from serve_app.statistics.labels import OTHER
from serve_app.statistics.slicing import MIN_ROWS, Mask, Slice, masks
from training.anomaly import share_flagged
from training.class_metrics import is_right
from training.conformal import share_inside
from training.fitted_pipeline import FittedPipeline
from training.metrics import Numbers
from training.output_metrics import central, coverage, ends
from training.yardstick import is_quantiles


@dataclass(frozen=True)
class MeasuredSlice(Slice):
    """What a version is like among the rows of one slice.

    `numbers` are means over the rows, which differ by kind of model. `error` is that of the
    version's yardstick, or the share of flagged rows for an anomaly score.
    """

    numbers: Mapping[str, float]
    error: float


def slices(fitted: FittedPipeline, fields: Collection[str]) -> list[MeasuredSlice]:
    """Measure every slice of the hold-out with enough rows, in the order of the contract."""
    found = []
    for feature in fitted.spec.contract:
        if feature.name not in fields:
            continue
        parts = []
        for label, mask in masks(fitted.holdout.column(feature.name), feature):
            if mask.sum() >= MIN_ROWS:
                parts.append(_slice(fitted, feature.name, label, mask))
        # Where no text is frequent, the others are nearly all rows.
        if [part.label for part in parts] != [OTHER]:
            found += parts
    return found


def _slice(fitted: FittedPipeline, feature: str, label: str, mask: Mask) -> MeasuredSlice:
    target = fitted.holdout.target[mask]
    score = fitted.scores[mask]
    error = share_flagged if fitted.spec.is_anomaly_score else fitted.yardstick.error
    return MeasuredSlice(
        feature=feature,
        label=label,
        n_rows=int(mask.sum()),
        numbers=_numbers(fitted, target, score),
        error=error(target, score),
    )


def _numbers(fitted: FittedPipeline, target: Numbers, score: Numbers) -> dict[str, float]:
    spec = fitted.spec
    if spec.is_anomaly_score:
        return {"mean score": float(score.mean())}
    if spec.kind == "classifier":
        right = float(is_right(target, score).mean())
        sure = float(score.max(axis=1).mean())
        return {"right labels": right, "probability of the label": sure, "bias": sure - right}
    if spec.outputs and not spec.target:
        gaps = np.abs(score - target).mean(axis=0)
        return {
            f"error of {name}": float(gap) for name, gap in zip(spec.outputs, gaps, strict=True)
        }
    return _of_one_target(fitted, target, score)


def _of_one_target(fitted: FittedPipeline, target: Numbers, score: Numbers) -> dict[str, float]:
    spec = fitted.spec
    predicted = _middle(spec, score)
    found = {"truth": float(target.mean())}
    if predicted is not None:
        mean = float(predicted.mean())
        found |= {"predicted": mean, "bias": mean - found["truth"]}
    width = fitted.parameters.get("half_width")
    if width is not None:
        found["coverage"] = share_inside(target, score, width)
    if is_quantiles(spec):
        low, high = ends(spec.outputs)
        found["coverage"] = coverage(target, score, low, high)
    return found


def _middle(spec: ModelSpec, score: Numbers) -> Numbers | None:
    """(n_rows,) what stands for the value itself; None for quantiles without a middle one."""
    if not is_quantiles(spec):
        return score
    place = central(spec.outputs)
    return None if place is None else score[:, place]
