"""Whether a version is worse now than on its hold-out, by more than chance explains."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from math import isfinite, sqrt

from serve_app.bundle.manifest import Metric
from serve_app.monitoring.quality.book import KEPT_DAYS
from serve_app.monitoring.quality.view import MeasureView, VersionQualityView, WindowView
from serve_app.monitoring.retraining_limits import RetrainingLimits
from serve_app.statistics.intervals import Z

# A day is too little to say something of a version: a Saturday is no Monday.
WINDOWS_DAYS = (7, 30, KEPT_DAYS)
HIGHER_IS_BETTER = ("auc", "accuracy", "coverage")
# Also of one output: `mae_grams`.
LOWER_IS_BETTER = ("brier", "mae")
# A window whose share of labelled predictions is under this part of the next longer window's has
# those labels only that come fast.
EARLY_PART = 0.5
RECALL = "recall_"


def lost_by_labels(
    metrics: Mapping[str, Metric], quality: VersionQualityView, limits: RetrainingLimits
) -> list[str]:
    """A sentence for each measure that labels show to be worse than on the hold-out.

    Of the window that `labelled_window` finds.
    """
    window = labelled_window(quality, limits)
    if window is None:
        return []
    return list(
        _worse(metrics, window.realised, limits, f"by labels of the last {window.days} days")
    )


def lost_by_estimate(
    metrics: Mapping[str, Metric], quality: VersionQualityView, limits: RetrainingLimits
) -> list[str]:
    """A sentence for each measure that the scores alone let expect to be worse.

    An estimate may be off by the calibration error of the hold-out: by so much more it has to be
    worse.
    """
    window = next((one for one in quality.windows if one.days == WINDOWS_DAYS[0]), None)
    if window is None or window.n_predictions < limits.least_labels:
        return []
    ece = metrics.get("ece")
    off = ece.value if ece is not None and isfinite(ece.value) else 0.0
    said = f"as the scores of the last {window.days} days let expect"
    return list(_worse(metrics, window.estimated, limits, said, off))


def labelled_window(quality: VersionQualityView, limits: RetrainingLimits) -> WindowView | None:
    """The shortest window of a week or more that has labels enough, and not only early ones.

    Who left told so at once, and a "no" is known when the time is over: what is labelled early is
    no sample of what was predicted.
    """
    windows = _windows(quality)
    for window, longer in zip_longest(windows, windows[1:]):
        if window.n_labels >= limits.least_labels and not _is_early(window, longer):
            return window
    return None


def unjudged_labels(quality: VersionQualityView | None, limits: RetrainingLimits) -> str:
    """Why labels ask for nothing; empty where they are judged."""
    if quality is not None and labelled_window(quality, limits) is not None:
        return ""
    windows = [] if quality is None else _windows(quality)
    if any(window.n_labels >= limits.least_labels for window in windows):
        return "labels ask for nothing: only those that come early are there, or of one class alone"
    return f"labels ask for nothing: there are fewer than {limits.least_labels}"


def _windows(quality: VersionQualityView) -> list[WindowView]:
    """Those that are judged, the shortest first."""
    by_days = {window.days: window for window in quality.windows}
    return [by_days[days] for days in WINDOWS_DAYS if days in by_days]


def _is_early(window: WindowView, longer: WindowView | None) -> bool:
    # Recall is told of each class that has labels; of values there is none.
    n_classes = sum(name.startswith(RECALL) for name in window.realised)
    if n_classes == 1:
        return True
    if longer is None:
        return False
    # Predictions of values are not counted: of those there are taken to be as many on each day.
    is_counted = window.n_predictions > 0 and longer.n_predictions > 0
    n_here = window.n_predictions if is_counted else window.days
    n_longer = longer.n_predictions if is_counted else longer.days
    return window.n_labels / n_here < EARLY_PART * longer.n_labels / n_longer


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
