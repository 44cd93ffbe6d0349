"""Where the numbers of our metrics are counted, and how those that take a step are read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from serve_app.access.rates import Rates
from serve_app.cluster.heartbeat import Heartbeat
from serve_app.http.door import Door
from serve_app.http.refused_rows import RefusedRows
from serve_app.rollout.active_rollout import ActiveRollout
from serve_app.rollout.controller import Controller
from serve_app.rollout.verdict import judged
from serve_app.serving.answer import Counters
from serve_app.serving.router import Router
from serve_app.serving.version_counts import VersionCounts
from serve_app.serving.versions import Versions

# Label values (a tuple of texts, in the order of a metric's tags) → number.
Readings = Mapping[Any, float]

# As evidence that cannot be any stronger is shown.
MOST_EVIDENCE = 1_000.0


@dataclass(frozen=True)
class OnServer:
    """Where the numbers of a server are counted."""

    counters: Counters
    by_version: VersionCounts
    door: Door
    refused: RefusedRows
    router: Router
    versions: Versions
    rates: Rates
    rollout: ActiveRollout
    heartbeat: Heartbeat


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


def scores(here: OnServer) -> Readings:
    """The rows of each version, by the bin of their score."""
    return {
        (version, name): count
        for version, counts in here.by_version.scores.items()
        for name, count in counts.by_bin().items()
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
        try:
            made = datetime.fromisoformat(member.opened.manifest.created_at)
        except ValueError:
            # Whoever made the bundle wrote it: it serves all the same.
            continue
        made = made if made.tzinfo else made.replace(tzinfo=UTC)
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
    """Of each guardrail the evidence since the step or the run began, whichever is stronger."""
    ongoing = here.controller.ongoing
    if ongoing is None or ongoing.state.phase not in ongoing.record.phases:
        return {}
    found: dict[tuple[str, ...], float] = {}
    for one in judged(ongoing.record, ongoing.state.phase, ongoing.plan).findings:
        share = one.log_e / one.limit
        shown = MOST_EVIDENCE if math.isnan(share) else min(max(share, 0.0), MOST_EVIDENCE)
        found[(one.rail,)] = max(found.get((one.rail,), 0.0), shown)
    return found
