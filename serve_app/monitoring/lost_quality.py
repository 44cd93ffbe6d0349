"""Whether a version is worse now than on its hold-out, by more than chance explains."""

from collections.abc import Iterator, Mapping
from math import isfinite, sqrt

from serve_app.bundle.manifest import Metric
from serve_app.monitoring.quality.view import MeasureView, VersionQualityView, WindowView
from serve_app.monitoring.retraining_limits import RetrainingLimits
from serve_app.statistics.intervals import Z

# Of the scores that are looked at without labels.
ESTIMATE_DAYS = 7
HIGHER_IS_BETTER = ("auc", "accuracy", "coverage")
# Also of one output: `mae_grams`.
LOWER_IS_BETTER = ("brier", "mae")


def lost_by_labels(
    metrics: Mapping[str, Metric], quality: VersionQualityView, limits: RetrainingLimits
) -> list[str]:
    """A sentence for each measure that labels show to be worse than on the hold-out.

    Of the window that `labelled_window` finds.
    """
    window = labelled_window(quality, limits)
    if window is None:
        return []
    return list(_worse(metrics, window.realised, limits, f"by labels {_of(window)}"))


def lost_by_estimate(
    metrics: Mapping[str, Metric], quality: VersionQualityView, limits: RetrainingLimits
) -> list[str]:
    """A sentence for each measure that the scores alone let expect to be worse.

    An estimate may be off by the calibration error of the hold-out: by so much more it has to be
    worse.
    """
    window = next((one for one in quality.windows if one.days == ESTIMATE_DAYS), None)
    if window is None or window.n_predictions < limits.least_labels:
        return []
    ece = metrics.get("ece")
    off = ece.value if ece is not None and isfinite(ece.value) else 0.0
    said = f"as the scores of the last {window.days} days let expect"
    return list(_worse(metrics, window.estimated, limits, said, off))


def labelled_window(quality: VersionQualityView, limits: RetrainingLimits) -> WindowView | None:
    """The shortest window of a week or more that has labels enough, and whose labels judge.

    Early ones do not: monitoring/quality/unjudged.py says which those are.
    """
    for window in quality.judged:
        if window.n_labels >= limits.least_labels and not window.unjudged:
            return window
    return None


def unjudged_labels(quality: VersionQualityView | None, limits: RetrainingLimits) -> str:
    """Which labels ask for nothing, and why; empty where the shortest window that could is judged.

    Early labels are no sample of what was predicted: who left told so at once, and a "no" is known
    when the time is over.
    """
    judged = [] if quality is None else quality.judged
    enough = next((one for one in judged if one.n_labels >= limits.least_labels), None)
    if enough is None:
        return f"labels ask for nothing: there are fewer than {limits.least_labels}"
    if not enough.unjudged:
        return ""
    return f"labels {_of(enough)} ask for nothing: {enough.unjudged}"


def _of(window: WindowView) -> str:
    if not window.ends_days_ago:
        return f"of the last {window.days} days"
    return f"of {window.days} days, which ended {window.ends_days_ago} days ago,"


def _worse(
    metrics: Mapping[str, Metric],
    found: Mapping[str, MeasureView],
    limits: RetrainingLimits,
    said: str,
    off: float = 0.0,
) -> Iterator[str]:
    for name, now in found.items():
        before = metrics.get(name)
        sign = _sign(name)
        if before is None or not sign or now.low is None or now.high is None:
            continue
        rise = sign * (before.value - now.value)
        lost_before = 1 - before.value if sign > 0 else before.value
        sd = sqrt(_sd(now.low, now.high) ** 2 + _sd(before.low, before.high) ** 2)
        chance = limits.sds * sd + off
        if rise > chance and rise > limits.least_rise_percent / 100 * lost_before:
            yield (
                f"{name} is {now.value:.4g} {said} ({now.n:,}), {before.value:.4g} on the "
                f"hold-out; chance explains {chance:.2g}"
            )


def _sign(name: str) -> int:
    """1 where more is better, -1 where less is, 0 for what is not judged."""
    if name in HIGHER_IS_BETTER:
        return 1
    return -1 if name in LOWER_IS_BETTER or name.startswith("mae_") else 0


def _sd(low: float, high: float) -> float:
    """The standard deviation behind an interval of 95 %; a broken one says nothing is sure."""
    width = high - low
    return width / (2 * Z) if isfinite(width) else float("inf")
