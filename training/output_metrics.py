"""How good several outputs are: columns of their own, or quantiles of one target.

`score` is (n_rows, n_outputs). `target` is of the same shape, or (n_rows,) for quantiles.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from training import metrics
from training.metrics import CLIP, Measure, Numbers


def measures_of_outputs(outputs: Sequence[str]) -> dict[str, Measure]:
    """Each output by itself, `mae_<output>` and so on, and one number for all of them."""
    measures: dict[str, Measure] = {"relative_mae": relative_mae}
    for place, output in enumerate(outputs):
        for name, function in (("mae", metrics.mae), ("rmse", metrics.rmse), ("r2", metrics.r2)):
            measures[f"{name}_{output}"] = partial(_of_output, function=function, place=place)
    return measures


def relative_mae(target: Numbers, score: Numbers) -> float:
    """The mean absolute error of an output as a share of the spread of its truth; mean of all."""
    spread = np.maximum(target.std(axis=0), CLIP)
    return float(np.mean(np.abs(score - target).mean(axis=0) / spread))


def _of_output(target: Numbers, score: Numbers, function: Measure, place: int) -> float:
    return function(target[:, place], score[:, place])


def measures_of_quantiles(outputs: Sequence[str], levels: Sequence[float]) -> dict[str, Measure]:
    """Of quantiles, whose interval goes from the lowest to the highest.

    `below_<output>` is the share of the truth at or below an output: near .05 for a quantile of 5
    percent.
    """
    low, high = ends(outputs)
    middle = central(outputs)
    measures: dict[str, Measure] = {"pinball": partial(pinball, levels=levels)}
    if middle is not None:
        for name, function in (("mae", metrics.mae), ("rmse", metrics.rmse), ("r2", metrics.r2)):
            measures[name] = partial(_of_one, function=function, place=middle)
    measures["coverage"] = partial(coverage, low=low, high=high)
    measures["interval_width"] = partial(_width, low=low, high=high)
    measures["crossing"] = partial(crossing, low=low, high=high)
    for place, output in enumerate(outputs):
        measures[f"below_{output}"] = partial(_share_below, place=place)
    return measures


def ends(outputs: Sequence[str]) -> tuple[int, int]:
    """The places of the interval's ends: those named low and high, else the first and the last."""
    if "low" in outputs and "high" in outputs:
        return outputs.index("low"), outputs.index("high")
    return 0, len(outputs) - 1


def central(outputs: Sequence[str]) -> int | None:
    """The place of the output that stands for the value itself, if there is one."""
    for name in ("value", "median"):
        if name in outputs:
            return outputs.index(name)
    return len(outputs) // 2 if len(outputs) % 2 else None


def levels_of(target: Numbers, score: Numbers) -> tuple[float, ...]:
    """Which quantiles these outputs are: the share of the truth at or below each of them.

    Never quite 0 or 1, of which nobody can tell how far they are.
    """
    n_rows = len(target)
    shares = (target[:, None] <= score).mean(axis=0)
    return tuple(float(share) for share in np.clip(shares, 1 / (n_rows + 1), n_rows / (n_rows + 1)))


def pinball(target: Numbers, score: Numbers, levels: Sequence[float]) -> float:
    """The mean pinball loss of quantiles of these levels (Koenker and Bassett, 1978)."""
    gaps = target[:, None] - score
    shares = np.asarray(levels)
    return float(np.mean(np.maximum(shares * gaps, (shares - 1) * gaps)))


def coverage(target: Numbers, score: Numbers, low: int, high: int) -> float:
    """The share of rows whose truth lies between the two outputs."""
    return float(np.mean((score[:, low] <= target) & (target <= score[:, high])))


def crossing(target: Numbers, score: Numbers, low: int, high: int) -> float:
    """The share of rows where the low end is above the high one."""
    return float(np.mean(score[:, low] > score[:, high]))


def _width(target: Numbers, score: Numbers, low: int, high: int) -> float:
    return float(np.mean(score[:, high] - score[:, low]))


def _share_below(target: Numbers, score: Numbers, place: int) -> float:
    return float(np.mean(target <= score[:, place]))


def _of_one(target: Numbers, score: Numbers, function: Measure, place: int) -> float:
    return function(target, score[:, place])
