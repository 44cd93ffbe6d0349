"""What is wrong with the rows themselves, so that no other training would help.

A source that is away, a unit that has changed or a client that sends something else looks like a
world that has changed. Whoever trains on it teaches the model the fault.
"""

from collections.abc import Collection, Iterator, Mapping

from serve_app.monitoring.drift_histograms import LEAST_ROWS, percent
from serve_app.monitoring.drift_view import FieldDrift, VersionDrift, WindowDrift
from serve_app.monitoring.drift_windows import DAY, DAY_BEFORE, HOUR, WEEK
from serve_app.monitoring.retraining_limits import RetrainingLimits
from serve_app.statistics.intervals import SURE_Z, wilson
from serve_app.statistics.psi import psi

# A fault is named by the day, where it lasts, and else by the hour.
LOOKED_AT = {DAY: "the last 24 hours", HOUR: "the last hour"}
GONE_PERCENT = 99.5
# Values that are spread about as in training; one that the calendar moved is far beyond it.
MOST_SPREAD_PSI = 1.0


def data_faults(drift: VersionDrift, dates: Collection[str], limits: RetrainingLimits) -> list[str]:
    """A sentence for each fault of the fields; `dates` are fields that go with the time.

    A share counts only beyond chance: its interval of 99.95 % has to lie above the limit.
    """
    found: dict[tuple[str, str], str] = {}
    for window_name, said in LOOKED_AT.items():
        window = drift.windows.get(window_name)
        if window is None:
            continue
        for (name, kind), fault in _of_window(window, dates, limits):
            found.setdefault((name, kind), f"{name}: {fault} within {said}")
    broken = {name for name, _ in found}
    stuck = [
        f"{name}: {sentence}, and so it was on the day before"
        for name, sentence in _constant(drift, dates, limits, drift.windows.get(DAY_BEFORE))
        if name not in broken and _was_spread(drift, name)
    ]
    return [*found.values(), *stuck]


def suspicions(drift: VersionDrift, dates: Collection[str], limits: RetrainingLimits) -> list[str]:
    """A sentence for each feature that is constant, and may well be so by nature.

    A weekday is constant on each day; where nobody knows the day before, time will tell. A month is
    constant for weeks.
    """
    before = drift.windows.get(DAY_BEFORE)
    if before is None:
        return [
            f"{name}: {sentence}; a fault if it stays so"
            for name, sentence in _constant(drift, dates, limits, drift.windows.get(DAY))
        ]
    return [
        f"{name}: {sentence}, and this week it was never spread as in training: right where it "
        "goes by the calendar, as a month does, and else a fault"
        for name, sentence in _constant(drift, dates, limits, before)
        if not _was_spread(drift, name)
    ]


def refusal_faults(
    refused: Mapping[str, int], answered: Mapping[str, int], limits: RetrainingLimits
) -> list[str]:
    """A sentence where too many rows break the contract; both are numbers of rows by window."""
    for window, said in LOOKED_AT.items():
        n_refused = refused.get(window, 0)
        n_rows = n_refused + answered.get(window, 0)
        if _is_above(n_refused, n_rows, limits.most_refused_percent):
            return [f"{percent(n_refused, n_rows)} of all rows were refused within {said}"]
    return []


def _of_window(
    window: WindowDrift, dates: Collection[str], limits: RetrainingLimits
) -> Iterator[tuple[tuple[str, str], str]]:
    n_rows = window.n_rows
    for name, field in window.features.items():
        n_missing = n_rows * field.missing_percent / 100
        most = field.missing_percent_in_training + limits.most_missing_percent
        if _is_above(n_missing, n_rows, most):
            yield (name, "missing"), _missing(field)
        n_present = n_rows - n_missing
        outside = field.out_of_range_percent
        if outside is not None and name not in dates:
            n_outside = n_present * outside / 100
            if _is_above(n_outside, n_present, limits.most_out_of_range_percent):
                yield (name, "range"), f"{percent(outside, 100)} outside of training's range"
        unseen = field.unseen_percent
        if unseen is not None:
            n_unseen = n_present * unseen / 100
            if _is_above(n_unseen, n_present, limits.most_unseen_percent):
                yield (name, "unseen"), f"{percent(unseen, 100)} never seen in training"
    for name, field in window.scores.items():
        n_failed = n_rows * field.missing_percent / 100
        most = field.missing_percent_in_training + limits.most_refused_percent
        if _is_above(n_failed, n_rows, most):
            yield (name, "failed"), f"{percent(field.missing_percent, 100)} of the rows failed"


def _missing(field: FieldDrift) -> str:
    if field.missing_percent >= GONE_PERCENT:
        return "is gone"
    before = percent(field.missing_percent_in_training, 100)
    return f"{percent(field.missing_percent, 100)} missing, {before} in training"


def _constant(
    drift: VersionDrift,
    dates: Collection[str],
    limits: RetrainingLimits,
    other: WindowDrift | None,
) -> Iterator[tuple[str, str]]:
    """The features that the day has in one bin, and `other` in the same."""
    day = drift.windows.get(DAY)
    if day is None or other is None:
        return
    for name, field in day.features.items():
        before = other.features.get(name)
        if before is None or name in dates or not (field.is_drifting and before.is_drifting):
            continue
        least = min(field.fullest_percent, before.fullest_percent)
        if least >= limits.constant_percent and field.fullest == before.fullest:
            in_training = percent(field.fullest_percent_in_training, 100)
            yield name, f"is constant: {field.fullest}, {in_training} in training"


def _was_spread(drift: VersionDrift, name: str) -> bool:
    """Whether the week has other values than the one of today, spread about as in training.

    What breaks was spread until then; the calendar takes a field from one value to the next.
    """
    week = drift.windows.get(WEEK)
    field = None if week is None else week.features.get(name)
    if field is None or not field.histograms:
        return False
    stuck = drift.windows[DAY].features[name].fullest
    [histogram] = field.histograms
    bins = zip(histogram.bins, histogram.training, histogram.live, strict=True)
    others = [(before, now) for said, before, now in bins if said != stuck and before + now]
    training = [before for before, _ in others]
    live = [now for _, now in others]
    return sum(live) >= LEAST_ROWS and psi(training, live) <= MOST_SPREAD_PSI


def _is_above(n_hits: float, n_rows: float, most_percent: float) -> bool:
    """Whether a share is above, beyond chance."""
    return n_rows > 0 and wilson(n_hits, n_rows, SURE_Z)[0] > most_percent / 100
