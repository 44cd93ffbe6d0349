"""Whether a model needs another training: pure, of what its server tells.

A data fault never asks for retraining, whatever else is seen: the next version would learn it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from serve_app.bundle.manifest import Metric
from serve_app.monitoring.data_faults import DAY, data_faults, refusal_faults, suspicions
from serve_app.monitoring.drift_view import DriftView, VersionDrift
from serve_app.monitoring.drift_windows import DAY_BEFORE
from serve_app.monitoring.lost_quality import labelled_window, lost_by_estimate, lost_by_labels
from serve_app.monitoring.quality.view import QualityView, VersionQualityView
from serve_app.monitoring.retraining_limits import RetrainingLimits
from serve_app.serving.status import Description

LIMITS = RetrainingLimits()
DATES = ("date", "datetime")
S_PER_DAY = 86_400
S_PER_HOUR = 3_600


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

    `metrics` are those of its hold-out, `answered` and `refused` numbers of rows by window, and
    `dates` the fields that go with the time.
    """

    version: str
    created_at: datetime | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    drift: VersionDrift = field(default_factory=_no_drift)
    answered: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    quality: VersionQualityView | None = None
    dates: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RetrainingVerdict:
    """What is to be done, and why.

    `faults` are of the data, `reasons` for retraining; `notes` say what could not be judged. With
    faults the outcome is `data_fault`, and the reasons are there to be read.
    """

    faults: tuple[str, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]

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
    answered: dict[str, int] = {}
    for one in drift.versions.values():
        for name, window in one.windows.items():
            answered[name] = answered.get(name, 0) + window.n_rows
    return Seen(
        version=version,
        created_at=datetime.fromisoformat(facts.created_at) if facts.created_at else None,
        metrics=facts.metrics,
        drift=drift.versions.get(version, _no_drift()),
        answered=answered,
        refused=drift.refused,
        quality=next((one for one in quality.versions if one.version == version), None),
        dates=frozenset(one.name for one in model.contract if one.dtype in DATES),
    )


def judge(seen: Seen, now: datetime, limits: RetrainingLimits = LIMITS) -> RetrainingVerdict:
    """The verdict of now, which has a time zone."""
    faults = [
        *_silence(seen),
        *data_faults(seen.drift, seen.dates, limits),
        *refusal_faults(seen.refused, seen.answered, limits),
    ]
    reasons = [
        *_lost_quality(seen, now, limits),
        *_drift_reasons(seen.drift, now, limits),
        *_age_reasons(seen.created_at, now, limits),
    ]
    notes = [*suspicions(seen.drift, seen.dates, limits), *_notes(seen, now, limits)]
    return RetrainingVerdict(tuple(faults), tuple(reasons), tuple(notes))


def _has_reference(drift: VersionDrift) -> bool:
    """Whether rows are compared at all: bundles of an older format have nothing to compare with."""
    return not drift.detail.startswith("no reference")


def _silence(seen: Seen) -> list[str]:
    if DAY in seen.drift.windows or not _has_reference(seen.drift):
        return []
    return [f"{seen.version} answered no row within the last 24 hours"]


def _is_whole_day(drift: VersionDrift, now: datetime, limits: RetrainingLimits) -> bool:
    """Whether the rows of the day began early enough, or go on from the day before."""
    day = drift.windows.get(DAY)
    if day is None:
        return False
    hours = (now - day.since).total_seconds() / S_PER_HOUR
    return DAY_BEFORE in drift.windows or hours >= limits.least_hours


def _lost_quality(seen: Seen, now: datetime, limits: RetrainingLimits) -> Iterator[str]:
    if seen.quality is None:
        return
    yield from lost_by_labels(seen.metrics, seen.quality, limits)
    if _is_whole_day(seen.drift, now, limits):
        yield from lost_by_estimate(seen.metrics, seen.quality, limits)


def _drift_reasons(drift: VersionDrift, now: datetime, limits: RetrainingLimits) -> Iterator[str]:
    day = drift.windows.get(DAY)
    if day is None or not _is_whole_day(drift, now, limits):
        return
    for name, found in day.scores.items():
        if found.is_drifting:
            yield f"{name} has drifted: {found.sentence}"
    before = drift.windows.get(DAY_BEFORE)
    if before is None:
        return
    compared = [
        name
        for name, found in day.features.items()
        if found.psi is not None and name in before.features
    ]
    lasting = [
        name
        for name in compared
        if day.features[name].is_drifting and before.features[name].is_drifting
    ]
    if lasting and 100 * len(lasting) >= limits.drifting_percent * len(compared):
        yield (
            f"{len(lasting)} of {len(compared)} features have drifted on two days running: "
            f"{', '.join(lasting)}"
        )


def _age_reasons(
    created_at: datetime | None, now: datetime, limits: RetrainingLimits
) -> Iterator[str]:
    if created_at is None:
        return
    days = (now - created_at).total_seconds() / S_PER_DAY
    if days > limits.most_age_days:
        yield f"it was trained {days:.0f} days ago, more than {limits.most_age_days:g}"


def _notes(seen: Seen, now: datetime, limits: RetrainingLimits) -> Iterator[str]:
    if not _has_reference(seen.drift):
        yield seen.drift.detail
    elif not _is_whole_day(seen.drift, now, limits):
        yield (
            "drift asks for nothing yet: there are rows of less than a day "
            f"({limits.least_hours:g} hours)"
        )
    if seen.quality is None or labelled_window(seen.quality, limits) is None:
        yield f"labels ask for nothing: there are fewer than {limits.least_labels}"
    if seen.quality is not None and seen.quality.no_estimate:
        yield seen.quality.no_estimate
