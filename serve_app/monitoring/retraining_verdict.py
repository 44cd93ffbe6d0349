"""Whether a model needs another training: pure, of what its server tells.

A data fault never asks for retraining, whatever else is seen: the next version would learn it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from serve_app.bundle.manifest import Metric, made_at
from serve_app.monitoring.data_faults import data_faults, refusal_faults, suspicions
from serve_app.monitoring.drift_view import DriftView, FieldDrift, VersionDrift
from serve_app.monitoring.drift_windows import DAY, WEEK
from serve_app.monitoring.lost_quality import (
    labelled_window,
    lost_by_estimate,
    lost_by_labels,
    unjudged_labels,
)
from serve_app.monitoring.quality.view import QualityView, VersionQualityView
from serve_app.monitoring.retraining_limits import LIMITS, RetrainingLimits
from serve_app.serving.status import Description

DATES = ("date", "datetime")
S_PER_DAY = 86_400
WEEK_DAYS = 7


def _no_drift() -> VersionDrift:
    """Of a version that the view does not know."""
    return VersionDrift(detail="", windows={})


class Outcome(StrEnum):
    """What a verdict asks for."""

    FINE = "fine"
    RETRAIN = "retrain"
    DATA_FAULT = "data_fault"


@dataclass(frozen=True)
class Seen:
    """What a server tells of the version that answers most.

    `metrics` are those of its hold-out. `answered`, by any version, and `refused` are numbers of
    rows by window, counted since `counted_since`; None: nobody knows. `dates` are the fields that
    go with the time; `label_delay_days` is after how many days all labels have come, if it is said.
    """

    version: str
    created_at: datetime | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    drift: VersionDrift = field(default_factory=_no_drift)
    answered: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    counted_since: datetime | None = None
    quality: VersionQualityView | None = None
    dates: frozenset[str] = frozenset()
    label_delay_days: float | None = None


@dataclass(frozen=True)
class RetrainingVerdict:
    """What is to be done, and why.

    `faults` are of the data, `reasons` for retraining; `notes` say what could not be judged. With
    faults the outcome is `data_fault`, and the reasons are there to be read.

    `asking_days` are those of the window in which a reason was seen: that of the labels where they
    ask, and else a week. None where age alone asks.
    """

    faults: tuple[str, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    asking_days: int | None = None

    @property
    def outcome(self) -> Outcome:
        """Faults come first."""
        if self.faults:
            return Outcome.DATA_FAULT
        return Outcome.RETRAIN if self.reasons else Outcome.FINE


def seen_of(model: Description, drift: DriftView, quality: QualityView) -> Seen | None:
    """What three routes tell of the version that answers most; None while no version is loaded."""
    loaded = {name: one for name, one in model.versions.items() if one.manifest_sha256 is not None}
    if not loaded:
        return None
    # Of two with the same share it is stable.
    version = max(loaded, key=lambda name: (loaded[name].weight_percent, name == model.stable))
    facts = loaded[version]
    return Seen(
        version=version,
        created_at=made_at(facts.created_at),
        metrics=facts.metrics,
        drift=drift.versions.get(version, _no_drift()),
        answered=drift.answered,
        refused=drift.refused,
        counted_since=drift.since,
        quality=next((one for one in quality.versions if one.version == version), None),
        dates=frozenset(one.name for one in model.contract if one.dtype in DATES),
        label_delay_days=quality.label_delay_days,
    )


def judge(seen: Seen, now: datetime, limits: RetrainingLimits = LIMITS) -> RetrainingVerdict:
    """The verdict of now, which has a time zone."""
    faults = [
        *_silence(seen, now),
        *data_faults(seen.drift, seen.dates, limits),
        *refusal_faults(seen.refused, seen.answered, limits),
    ]
    is_whole = _is_whole(seen, now, limits)
    reasons = list(_age_reasons(seen.created_at, now, limits))
    asking_days: int | None = None
    if is_whole:
        found, asking_days = _asking(seen, limits)
        reasons = [*found, *reasons]
    notes = [
        *_not_yet(seen, now),
        *suspicions(seen.drift, seen.dates, limits),
        *_notes(seen, limits, is_whole=is_whole),
    ]
    return RetrainingVerdict(tuple(faults), tuple(reasons), tuple(notes), asking_days)


def spans_week(since: datetime, now: datetime, limits: RetrainingLimits = LIMITS) -> bool:
    """Whether what came since then is a sample of a week: a part of one lacks weekdays."""
    return (now - since).total_seconds() >= limits.least_days * S_PER_DAY


def _has_reference(drift: VersionDrift) -> bool:
    """Whether rows are compared at all: bundles of an older format have nothing to compare with."""
    return not drift.detail.startswith("no reference")


def _silence(seen: Seen, now: datetime) -> list[str]:
    if DAY in seen.answered or not _is_counted_for_a_day(seen, now):
        return []
    return ["no row was answered within the last 24 hours"]


def _not_yet(seen: Seen, now: datetime) -> Iterator[str]:
    if DAY not in seen.answered and not _is_counted_for_a_day(seen, now):
        yield "no row was answered yet; a fault if it stays so for 24 hours"
    elif DAY in seen.answered and DAY not in seen.drift.windows and _has_reference(seen.drift):
        yield f"{seen.version} itself has answered no row within the last 24 hours"


def _is_counted_for_a_day(seen: Seen, now: datetime) -> bool:
    """Whether a day without rows was silent, and not a day before anything was counted."""
    since = seen.counted_since
    return since is not None and (now - since).total_seconds() >= S_PER_DAY


def _is_whole(seen: Seen, now: datetime, limits: RetrainingLimits) -> bool:
    """Whether the rows of the week began early enough to be a sample of one.

    Where no rows are compared, nobody knows; then the version itself has to be as old.
    """
    week = seen.drift.windows.get(WEEK)
    begin = seen.created_at if week is None else week.since
    return begin is not None and spans_week(begin, now, limits)


def _asking(seen: Seen, limits: RetrainingLimits) -> tuple[list[str], int | None]:
    """What else than age asks, and the days of the window in which it was seen."""
    by_drift = list(_drift_reasons(seen.drift, limits))
    if seen.quality is None:
        return by_drift, WEEK_DAYS if by_drift else None
    by_labels = lost_by_labels(seen.metrics, seen.quality, limits)
    by_estimate = lost_by_estimate(seen.metrics, seen.quality, limits)
    reasons = [*by_labels, *by_estimate, *by_drift]
    window = labelled_window(seen.quality, limits)
    if by_labels and window is not None:
        return reasons, window.days
    return reasons, WEEK_DAYS if reasons else None


def _drift_reasons(drift: VersionDrift, limits: RetrainingLimits) -> Iterator[str]:
    """What has drifted over the week, and does so still.

    A day alone drifts by its weekday; a week alone by what is over.
    """
    day = drift.windows.get(DAY)
    week = drift.windows.get(WEEK)
    if day is None or week is None:
        return
    for name in _in_both(day.scores, week.scores):
        yield f"{name} has drifted for days: {week.scores[name].sentence}"
    lasting = _in_both(day.features, week.features)
    n_compared = sum(found.psi is not None for found in week.features.values())
    if lasting and 100 * len(lasting) >= limits.drifting_percent * n_compared:
        yield (
            f"{len(lasting)} of {n_compared} features have drifted for days: {', '.join(lasting)}"
        )


def _in_both(day: Mapping[str, FieldDrift], week: Mapping[str, FieldDrift]) -> list[str]:
    """The fields that have drifted in both windows."""
    return [
        name
        for name, found in week.items()
        if found.is_drifting and name in day and day[name].is_drifting
    ]


def _age_reasons(
    created_at: datetime | None, now: datetime, limits: RetrainingLimits
) -> Iterator[str]:
    if created_at is None:
        return
    days = (now - created_at).total_seconds() / S_PER_DAY
    if days > limits.most_age_days:
        yield f"it was trained {days:.0f} days ago, more than {limits.most_age_days:g}"


def _notes(seen: Seen, limits: RetrainingLimits, *, is_whole: bool) -> Iterator[str]:
    if not is_whole:
        yield (
            f"quality and drift ask for nothing yet: there are rows of less than "
            f"{limits.least_days:g} days (--least-days)"
        )
    if not _has_reference(seen.drift):
        yield seen.drift.detail
    unjudged = unjudged_labels(seen.quality, limits)
    if unjudged:
        yield unjudged
    if seen.quality is not None and seen.quality.no_estimate:
        yield seen.quality.no_estimate
