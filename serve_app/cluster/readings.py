"""Where the numbers of our metrics are counted, and how those that take a step are read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from serve_app.access.rates import Rates
from serve_app.bundle.manifest import made_at
from serve_app.cluster.heartbeat import Heartbeat
from serve_app.http.door import Door
from serve_app.http.refused_rows import RefusedRows
from serve_app.monitoring.drift_looks import DriftLooks
from serve_app.monitoring.drift_view import FieldDrift, WindowDrift
from serve_app.monitoring.drift_windows import DAY, HOUR, WEEK
from serve_app.monitoring.labels.feedback import Feedback
from serve_app.monitoring.log.writer import PredictionLog
from serve_app.monitoring.retraining_verdict import spans_week
from serve_app.monitoring.score_histograms import ScoreHistograms
from serve_app.rollout.active_rollout import ActiveRollout
from serve_app.rollout.controller import Controller
from serve_app.rollout.label_verdict import CAUSE as LABELS
from serve_app.rollout.verdict import judged
from serve_app.serving.router import Router
from serve_app.serving.version_counts import VersionCounts
from serve_app.serving.versions import Versions
from serve_app.statistics.loss_test import labels_limit

# Label values (a tuple of texts, in the order of a metric's tags) → number.
Readings = Mapping[Any, float]

# As evidence that cannot be any stronger is shown.
MOST_EVIDENCE = 1_000.0


@dataclass(frozen=True)
class OnServer:
    """Where the numbers of a server are counted; `log` is None where none is kept."""

    by_version: VersionCounts
    scores: ScoreHistograms
    door: Door
    refused: RefusedRows
    router: Router
    versions: Versions
    rates: Rates
    rollout: ActiveRollout
    heartbeat: Heartbeat
    drift: DriftLooks
    feedback: Feedback
    log: PredictionLog | None


@dataclass(frozen=True)
class OnCoordinator:
    """Where the numbers of a coordinator are known."""

    controller: Controller


def by_key(counts: Mapping[Any, float]) -> Readings:
    """Numbers that have one label."""
    return {(str(key),): count for key, count in counts.items()}


def times_by_version(here: OnServer) -> Readings:
    """The times of each version, up to each edge."""
    return {
        (version, edge): count
        for version, times in here.by_version.times.items()
        for edge, count in times.up_to().items()
    }


def waiting_rows(here: OnServer) -> Readings:
    """The rows that wait for each isolated version."""
    found: dict[tuple[str, ...], float] = {}
    for version, member in here.versions.members().items():
        rows = getattr(member.opened.scorer, "waiting_rows", None) if member.opened else None
        if rows is not None:
            found[(version,)] = rows
    return found


def model_info(here: OnServer) -> Readings:
    """Each version that is open here, with its runtime and placement."""
    table = here.versions.table
    return {
        (version, member.opened.manifest.runtime, table.entry(version).placement): 1.0
        for version, member in here.versions.members().items()
        if member.opened is not None and table is not None
    }


def model_ages_s(here: OnServer) -> Readings:
    """Seconds since the bundle of each version was made, where it says so."""
    found: dict[tuple[str, ...], float] = {}
    now = datetime.now(UTC)
    for version, member in here.versions.members().items():
        if member.opened is None:
            continue
        made = made_at(member.opened.manifest.created_at)
        if made is not None:
            found[(version,)] = (now - made).total_seconds()
    return found


def rollout_status(here: OnCoordinator) -> Readings:
    """The candidate of the rollout, and how far it is."""
    ongoing = here.controller.ongoing
    return {} if ongoing is None else {(ongoing.plan.candidate, ongoing.state.status): 1.0}


def requests_of_step(here: OnCoordinator) -> Readings:
    """The requests of both versions in the step that is being judged."""
    ongoing = here.controller.ongoing
    phase = ongoing.record.phases.get(ongoing.state.phase) if ongoing else None
    if ongoing is None or phase is None:
        return {}
    plan = ongoing.plan
    return {
        (plan.stable,): phase.requests["stable"],
        (plan.candidate,): phase.requests["candidate"],
    }


def evidence(here: OnCoordinator) -> Readings:
    """Of each guardrail the evidence since the step or the run began, whichever is stronger.

    That of labels is of the whole run, and none while they judge nothing.
    """
    ongoing = here.controller.ongoing
    if ongoing is None or ongoing.state.phase not in ongoing.record.phases:
        return {}
    found: dict[tuple[str, ...], float] = {}
    record = ongoing.record
    plan = ongoing.plan
    for one in judged(record, ongoing.state.phase, plan).findings:
        found[(one.rail,)] = max(found.get((one.rail,), 0.0), _shown(one.log_e / one.limit))
    if record.labels is not None and not record.labels.unjudged:
        limit = labels_limit(plan.guardrails.alpha, record.restarts)
        found[(LABELS,)] = _shown(record.labels.worse_log_e / limit)
    return found


def _shown(share: float) -> float:
    return MOST_EVIDENCE if math.isnan(share) else min(max(share, 0.0), MOST_EVIDENCE)


def drift_psi(here: OnServer) -> Readings:
    """How far each field and score is from training, in each window in which it was compared."""
    return {
        (name, window): field.psi
        for window, found in _drift_of_stable(here).items()
        for name, field in _fields(found).items()
        if field.psi is not None
    }


def drift_alarms(here: OnServer) -> Readings:
    """Whether that is beyond its limit."""
    return {
        (name, window): float(field.is_drifting)
        for window, found in _drift_of_stable(here).items()
        for name, field in _fields(found).items()
        if field.psi is not None
    }


def missing_ratios(here: OnServer) -> Readings:
    """Of each feature, the share of the newest window's rows without a value."""
    return {(name,): one.missing_percent / 100 for name, one in _newest_features(here).items()}


def out_of_range_ratios(here: OnServer) -> Readings:
    """Likewise those outside of all that training has seen, where there is a range."""
    return {
        (name,): one.out_of_range_percent / 100
        for name, one in _newest_features(here).items()
        if one.out_of_range_percent is not None
    }


def unseen_ratios(here: OnServer) -> Readings:
    """Likewise those with a text that training has not seen, where that can be told."""
    return {
        (name,): one.unseen_percent / 100
        for name, one in _newest_features(here).items()
        if one.unseen_percent is not None
    }


def _newest_features(here: OnServer) -> Mapping[str, FieldDrift]:
    windows = _drift_of_stable(here)
    newest = windows.get("1h") or windows.get("24h")
    return newest.features if newest else {}


def _fields(window: WindowDrift) -> Mapping[str, FieldDrift]:
    return {**window.scores, **window.features}


def _drift_of_stable(here: OnServer) -> Mapping[str, WindowDrift]:
    """The windows of stable, which answers most; `GET /v1/drift` has those of every version.

    The day before is left out: who keeps metrics has it. A week is there once it is one.
    """
    view = here.drift.latest
    table = here.versions.table
    stable = view.versions.get(table.stable) if view and table else None
    windows = stable.windows if stable else {}
    now = datetime.now(UTC)
    return {
        name: window
        for name, window in windows.items()
        if name in (HOUR, DAY) or (name == WEEK and spans_week(window.since, now))
    }


def log_written(here: OnServer) -> Readings:
    """The rows in the prediction log, if there is one."""
    return {(): here.log.n_written} if here.log else {}


def log_dropped(here: OnServer) -> Readings:
    """The rows that were to be in the prediction log and are not, if there is one."""
    return {(): here.log.n_dropped} if here.log else {}
