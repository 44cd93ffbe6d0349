"""What a report is made of, and where each part comes from: a server, a prediction log, or both."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from serve_app.bundle.store import Store
from serve_app.bundle.verified import read_manifest
from serve_app.commands import rollout_client as client
from serve_app.commands.report.log_facts import Bundle, LogFacts, log_facts
from serve_app.contract import ModelSpec
from serve_app.errors import BundleError, PredictionLogError
from serve_app.monitoring.drift_view import DriftView, VersionDrift
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.reading import logged
from serve_app.monitoring.quality.view import QualityView
from serve_app.monitoring.retraining_verdict import RetrainingVerdict, judge, seen_of
from serve_app.serving.status import Description

WINDOWS = {
    "1h": "the last hour",
    "24h": "the last 24 hours",
    "24h_before": "the 24 hours before",
    "7d": "the last 7 days",
    "log": "all rows of the log",
}


@dataclass(frozen=True)
class Fact:
    """A version in the table of versions."""

    version: str
    share: str = ""
    trained: str = ""
    metrics: dict[str, str] = field(default_factory=dict)
    manifest_sha256: str = ""


@dataclass
class Seen:
    """All that a report shows; `troubles` say what could not be asked, a sentence each."""

    model: str
    title: str
    made_at: datetime
    sources: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    versions: list[Fact] = field(default_factory=list)
    drift: dict[str, VersionDrift] = field(default_factory=dict)
    quality: QualityView | None = None
    verdict: RetrainingVerdict | None = None
    log: LogFacts | None = None


def ask_server(seen: Seen, url: str) -> None:
    """Add what a running server tells. Raises Unreachable, or Refused for what it keeps secret."""
    model: Description = client.description(url)
    if model.model != seen.model:
        raise client.Refused(
            f"{url}: serves {model.model}, expected {seen.model}; another server: --url"
        )
    seen.sources.append(f"the server at {url}")
    seen.versions = [
        Fact(
            name,
            f"{facts.weight_percent:g} %" + (", stable" if name == model.stable else ""),
            facts.created_at or "",
            {key: f"{metric.value:.4g}" for key, metric in facts.metrics.items()},
            facts.manifest_sha256 or "",
        )
        for name, facts in model.versions.items()
    ]
    drift: DriftView = client.drift(url)
    seen.drift = drift.versions
    if drift.detail:
        seen.troubles.append(drift.detail)
    try:
        seen.quality = client.quality(url)
    except client.CoordinatorAway as error:
        seen.troubles.append(str(error))
        return
    judged = seen_of(model, drift, seen.quality)
    if judged is not None:
        seen.verdict = judge(judged, seen.made_at)


def read_log(
    seen: Seen, place: LogPlace, spec: ModelSpec, store: Store, since: datetime | None
) -> None:
    """Add what a log has; its drift only where no server told any.

    Raises PredictionLogError for a log that cannot be read or has no rows.
    """
    found = log_facts(
        place.uri, logged(place, spec.name, since), spec, bundle_in(store, spec), since
    )
    if not found.n_rows:
        when = "" if since is None else f" since {since:%Y-%m-%d %H:%M} UTC"
        raise PredictionLogError(
            f"{place.uri}: found no row of {spec.name}{when}, expected at least one"
        )
    seen.log = found
    seen.sources.append(f"the prediction log {place.uri}")
    if not seen.drift:
        seen.drift = {version: one.drift for version, one in found.versions.items()}
    if not seen.versions:
        seen.versions = [
            Fact(version)
            if one.manifest is None
            else Fact(
                version,
                "",
                one.manifest.created_at,
                {key: f"{metric.value:.4g}" for key, metric in one.manifest.metrics.items()},
            )
            for version, one in found.versions.items()
        ]


def bundle_in(store: Store, spec: ModelSpec) -> Callable[[str], Bundle]:
    """Reads manifests of a store; why one cannot be read is told in its place."""

    def bundle_of(version: str) -> Bundle:
        try:
            return read_manifest(store, spec.name, version)
        except BundleError as error:
            return str(error)

    return bundle_of


def nothing_seen(spec: ModelSpec) -> Seen:
    """A report of which nothing is known yet."""
    return Seen(spec.name, spec.title, datetime.now(UTC))
