"""What `GET /v1/drift` answers: for each version and window, how its rows differ from training."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from pydantic import BaseModel, Field

from serve_app.bundle.manifest import Manifest
from serve_app.contract import Feature, ModelSpec
from serve_app.monitoring.drift_bins import PLACES, Counts, DriftBins
from serve_app.monitoring.drift_counter import ANSWERED, REFUSED
from serve_app.monitoring.drift_histograms import (
    FAILED,
    LEAST_ROWS,
    LEAST_TRAINING_ROWS,
    FieldCounts,
    Histogram,
    class_counts,
    date_counts,
    number_counts,
    text_counts,
)
from serve_app.monitoring.drift_series import Counted
from serve_app.monitoring.drift_windows import WINDOWS, DriftSums, WindowSum
from serve_app.serving.member import Opened
from serve_app.serving.versions import Versions

N_WORST = 10
NO_REFERENCE = (
    "no reference: its bundle is of format {}, and training keeps one from format 3 on; train or "
    "bundle it again"
)
NO_ROWS = "no rows were answered within a week"


class HistogramView(BaseModel):
    """Rows of training and live ones in the same bins."""

    bins: list[str] = Field(description="what is said of a row in each bin")
    training: list[int]
    live: list[int]


class FieldDrift(BaseModel):
    """A feature, or a score, in one window, next to training.

    `psi` and its `limit` are null where nothing can be compared. What is missing among scores are
    rows that failed.
    """

    psi: float | None = Field(description="population stability index: 0 where nothing differs")
    limit: float | None = Field(description="what chance or habit may give; above it has drifted")
    is_drifting: bool
    missing_percent: float
    missing_percent_in_training: float
    out_of_range_percent: float | None = Field(
        description="below or above everything in training; null where there is no range"
    )
    unseen_percent: float | None = Field(
        description="texts that training never had; null where that cannot be told"
    )
    fullest: str = Field(default="", description="the bin with most rows, in words")
    fullest_percent: float = Field(default=0.0, description="of the rows, in that bin")
    fullest_percent_in_training: float = 0.0
    sentence: str
    histograms: list[HistogramView] = Field(
        default=[], description="one; of a date two, of months and of weekdays"
    )


class WindowDrift(BaseModel):
    """What was answered within a window; `since` is when its first row came, to five minutes."""

    since: datetime
    n_rows: int
    n_drifting: int = Field(description="of features and scores")
    worst: list[str] = Field(description="a sentence each, the worst first; ten at most")
    features: dict[str, FieldDrift]
    scores: dict[str, FieldDrift]


class VersionDrift(BaseModel):
    """A version that is loaded, with the rows that it answered.

    The windows `1h`, `24h`, `24h_before` (the day before that one) and `7d` are there where it has
    any.
    """

    detail: str = Field(description="why there is nothing to see")
    windows: dict[str, WindowDrift]


class DriftView(BaseModel):
    """How the rows of a model differ from those that each version was trained on."""

    model: str
    detail: str = Field(description="why a restart would lose the counts; empty when it does not")
    versions: dict[str, VersionDrift]
    since: datetime | None = Field(default=None, description="when counting began")
    answered: dict[str, int] = Field(
        default_factory=dict, description="by window the rows that any version answered"
    )
    refused: dict[str, int] = Field(
        default_factory=dict, description="by window the rows that broke the contract"
    )


class Sums(Protocol):
    """What all servers of a model counted (the coordinator, under Ray)."""

    async def sums(self) -> DriftSums:
        """The sums of now. Raises NotReady when the coordinator does not answer."""


class DriftReader:
    """Compares what all servers counted with the versions that are loaded here."""

    def __init__(self, spec: ModelSpec, versions: Versions, sums: Sums) -> None:
        self._spec = spec
        self._versions = versions
        self._sums = sums

    async def drift(self) -> DriftView:
        """The view of now. Raises NotReady when the coordinator does not answer."""
        found = await self._sums.sums()
        held = {name: member.opened for name, member in self._versions.members().items()}
        # A contract of a thousand fields takes longer than others should wait.
        versions = await asyncio.to_thread(self._compared, held, found)
        return DriftView(
            model=self._spec.name,
            detail=found.trouble,
            versions=versions,
            since=datetime.fromtimestamp(found.begin_s, UTC),
            answered=_rows_of_no_version(found, ANSWERED),
            refused=_rows_of_no_version(found, REFUSED),
        )

    def _compared(
        self, held: Mapping[str, Opened | None], found: DriftSums
    ) -> dict[str, VersionDrift]:
        return {
            name: version_drift(self._spec, opened, found.windows)
            for name, opened in held.items()
            if opened is not None
        }


def _rows_of_no_version(found: DriftSums, what: str) -> dict[str, int]:
    """By window the rows of a series that belongs to no version."""
    windows = found.windows.get(Counted("", what, PLACES), {})
    return {name: window.n_rows for name, window in windows.items()}


def version_drift(
    spec: ModelSpec, opened: Opened, found: Mapping[Counted, Mapping[str, WindowSum]]
) -> VersionDrift:
    """The drift of one version; of another manifest under its name nothing is taken."""
    manifest = opened.manifest
    bins = DriftBins(manifest, spec.contract)
    if not bins.size:
        return VersionDrift(detail=NO_REFERENCE.format(manifest.format), windows={})
    counted = Counted(manifest.version, opened.manifest_sha256, PLACES)
    windows = {
        name: window_drift(spec, manifest, bins, window)
        for name in WINDOWS
        if (window := found.get(counted, {}).get(name)) and len(window.counts) == bins.size
    }
    return VersionDrift(detail="" if windows else NO_ROWS, windows=windows)


def window_drift(
    spec: ModelSpec, manifest: Manifest, bins: DriftBins, window: WindowSum
) -> WindowDrift:
    """The drift of one version in one window."""
    contract = {feature.name: feature for feature in spec.contract}
    features = {
        name: _feature_counts(manifest, contract[name], window.counts[part])
        for name, part in bins.features.items()
    }
    # In the order of the contract, not of the bins.
    features = {name: features[name] for name in contract if name in features}
    scores = {
        name: _score_counts(manifest, name, window.counts[part])
        for name, part in bins.scores.items()
    }
    every = [*features.values(), *scores.values()]
    n_compared = sum(len(one.histograms) for one in every if not one.moves)
    of_features = {name: field_drift(one, n_compared) for name, one in features.items()}
    of_scores = {name: field_drift(one, n_compared) for name, one in scores.items()}
    found = [*of_features.items(), *of_scores.items()]
    compared = [(name, one) for name, one in found if one.psi is not None]
    compared.sort(key=lambda named: -_ratio(named[1]))
    return WindowDrift(
        since=datetime.fromtimestamp(window.since_s, UTC),
        n_rows=window.n_rows,
        n_drifting=sum(one.is_drifting for _, one in found),
        worst=[f"{name}: {one.sentence}" for name, one in compared[:N_WORST]],
        features=of_features,
        scores=of_scores,
    )


def field_drift(counts: FieldCounts, n_compared: int) -> FieldDrift:
    """The drift of a field; of several histograms the one that is furthest beyond its limit.

    `n_compared` histograms are looked at together.
    """
    n_present = counts.n_rows - counts.n_missing
    training = counts.histograms[0].training
    psi = limit = None
    worst = counts.histograms[0]
    if not counts.moves and all(histogram.is_enough for histogram in counts.histograms):
        ratios = [one.psi() / one.limit(n_compared) for one in counts.histograms]
        worst = counts.histograms[ratios.index(max(ratios))]
        psi = worst.psi()
        limit = worst.limit(n_compared)
    is_drifting = psi is not None and limit is not None and psi > limit
    if counts.moves:
        sentence = "moves with the clock: its months and weekdays are not compared"
    elif psi is None:
        sentence = (
            f"not compared: {counts.n_rows} rows, and {int(training.sum())} in training; at least "
            f"{LEAST_ROWS} and {LEAST_TRAINING_ROWS} are needed"
        )
    elif is_drifting:
        sentence = worst.worst()
    else:
        sentence = f"as in training, as far as {counts.n_rows:,} rows tell"
    fullest, share, share_in_training = worst.fullest()
    return FieldDrift(
        psi=None if psi is None else round(psi, 4),
        limit=None if limit is None else round(limit, 4),
        is_drifting=is_drifting,
        missing_percent=_percent(counts.n_missing, counts.n_rows),
        missing_percent_in_training=_percent(training[-1], training.sum()),
        out_of_range_percent=_or_none(counts.n_outside, n_present),
        unseen_percent=_or_none(counts.n_unseen, n_present),
        fullest=fullest,
        fullest_percent=round(100 * share, 4),
        fullest_percent_in_training=round(100 * share_in_training, 4),
        sentence=sentence,
        histograms=[_histogram_view(one) for one in counts.histograms],
    )


def _histogram_view(found: Histogram) -> HistogramView:
    """Without the places that a grid of several fields leaves unused."""
    places = [place for place, said in enumerate(found.said) if said]
    return HistogramView(
        bins=[found.said[place] for place in places],
        training=found.training[places].tolist(),
        live=found.live[places].tolist(),
    )


def _feature_counts(manifest: Manifest, feature: Feature, live: Counts) -> FieldCounts:
    reference = manifest.references[feature.name]
    if feature.is_text:
        return text_counts(reference, live)
    if reference.months is not None:
        return date_counts(reference, live)
    return number_counts(reference, feature, live)


def _score_counts(manifest: Manifest, name: str, live: Counts) -> FieldCounts:
    reference = manifest.score_references[name]
    if manifest.kind == "classifier":
        return class_counts(reference, live)
    return number_counts(reference, Feature(name=name, dtype="float"), live, FAILED)


def _ratio(one: FieldDrift) -> float:
    """How near to its limit, or how far beyond."""
    return (one.psi or 0.0) / (one.limit or 1.0)


def _percent(part: float, whole: float) -> float:
    return round(100 * float(part) / float(whole), 4) if whole else 0.0


def _or_none(part: int | None, whole: int) -> float | None:
    return None if part is None else _percent(part, whole)
