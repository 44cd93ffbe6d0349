"""What a coordinator knows of a rollout, and how old versions are, as metrics tell it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from watching import manifest

from serve_app.cluster.readings import (
    MOST_EVIDENCE,
    drift_alarms,
    drift_psi,
    evidence,
    log_dropped,
    log_written,
    missing_ratios,
    model_ages_s,
    out_of_range_ratios,
    requests_of_step,
    rollout_status,
    unseen_ratios,
)
from serve_app.monitoring.drift_view import DriftView, FieldDrift, VersionDrift, WindowDrift
from serve_app.rollout.counts import Counts
from serve_app.rollout.evidence import Record
from serve_app.rollout.label_verdict import worse_on_labels
from serve_app.rollout.ongoing import Ongoing
from serve_app.rollout.state import State
from serve_app.settings import Rollout
from serve_app.statistics.loss_test import LossTest

PLAN = Rollout(stable="1.0.0", candidate="1.1.0", steps=("shadow", 50.0, 100.0))
STATE = State(rollout=PLAN.id, run=1, status="running", share=50.0, step=1, phase=3)


def coordinator(n_bad_of_candidate: int, state: State = STATE) -> Any:
    """One whose rollout stands at 50 %, after 200 requests of each version."""
    record = Record(state.id)
    record.enter(3, 50.0)
    counts = Counts(state.id, 3, requests={"stable": 200, "candidate": 200})
    for n in range(n_bad_of_candidate):
        counts.errors.put("candidate", f"key {n}", counts=True)
    record.add(counts, 0.0)
    log: Any = None
    return SimpleNamespace(controller=SimpleNamespace(ongoing=Ongoing(PLAN, log, state, record)))


def test_the_status_and_the_requests_of_the_step_are_told() -> None:
    """By version, so that several rollouts after one another are several lines."""
    here = coordinator(0)
    assert rollout_status(here) == {("1.1.0", "running"): 1.0}
    assert requests_of_step(here) == {("1.0.0",): 200, ("1.1.0",): 200}


def test_evidence_passes_one_as_soon_as_the_judge_would_put_the_candidate_out() -> None:
    """Every guardrail has its line; that against which nothing speaks is at 0."""
    sound = evidence(coordinator(0))
    assert max(sound.values()) < 1e-6
    assert {rail for (rail,) in sound} == {"errors", "slow", "disagreement"}
    bad = evidence(coordinator(60))
    assert 1 < bad[("errors",)] <= MOST_EVIDENCE
    assert bad[("slow",)] < 1e-6


def test_the_evidence_of_labels_passes_one_as_soon_as_they_would_put_the_candidate_out() -> None:
    """Before the first label there is no line, nor while they judge nothing."""
    here = coordinator(0)
    record = here.controller.ongoing.record
    assert ("labels",) not in evidence(here)
    labels = LossTest(1.1)
    for key in range(400):
        labels.add(3, "candidate" if key % 2 else "stable", key, float(key % 2))
    record.labels = labels.evidence
    assert worse_on_labels(record, PLAN)
    assert 1 <= evidence(here)[("labels",)] <= MOST_EVIDENCE
    record.labels = replace(labels.evidence, unjudged="they come after 30 days")
    assert ("labels",) not in evidence(here)


def test_before_the_first_step_there_is_a_status_and_no_evidence() -> None:
    """Nothing has been counted by then."""
    waiting = State(rollout=PLAN.id, run=1, status="waiting", phase=9)
    here = coordinator(0, waiting)
    assert rollout_status(here) == {("1.1.0", "waiting"): 1.0}
    assert evidence(here) == {}
    assert requests_of_step(here) == {}


def test_the_age_of_a_version_is_that_of_its_bundle_where_it_says_one() -> None:
    """Whoever made a bundle may have written anything there: it serves all the same."""

    def member(created_at: str) -> Any:
        return SimpleNamespace(opened=SimpleNamespace(manifest=manifest(created_at=created_at)))

    made = datetime.now(UTC) - timedelta(days=3)
    members = {
        "1.0.0": member(made.isoformat()),
        "1.1.0": member(made.replace(tzinfo=None).isoformat()),
        "1.2.0": member("in spring"),
        "1.3.0": SimpleNamespace(opened=None),
    }
    here: Any = SimpleNamespace(versions=SimpleNamespace(members=lambda: members))
    ages = model_ages_s(here)
    assert set(ages) == {("1.0.0",), ("1.1.0",)}
    assert all(round(age / 86_400) == 3 for age in ages.values())


def field(psi: float | None, **more: Any) -> FieldDrift:
    """A field whose PSI has the limit 0.2."""
    values = {
        "limit": 0.2,
        "missing_percent": 25.0,
        "missing_percent_in_training": 0.0,
        "out_of_range_percent": None,
        "unseen_percent": None,
        "sentence": "",
    }
    return FieldDrift(psi=psi, is_drifting=psi is not None and psi > 0.2, **{**values, **more})


def window(days: float = 0.5, **features: FieldDrift) -> WindowDrift:
    """A window with these features, so many days long, and a score that is as in training."""
    since = datetime.now(UTC) - timedelta(days=days)
    scores = {"probability": field(0.01)}
    return WindowDrift(
        since=since, n_rows=9, n_drifting=0, worst=[], features=features, scores=scores
    )


def server(view: DriftView | None, stable: str = "1.0.0") -> Any:
    """One that saw this drift last."""
    return SimpleNamespace(
        drift=SimpleNamespace(latest=view),
        versions=SimpleNamespace(table=SimpleNamespace(stable=stable)),
    )


def seen(week_days: float) -> DriftView:
    """The drift of 1.0.0, which answers for so many days."""
    windows = {
        "1h": window(
            spend=field(0.3, out_of_range_percent=50.0), plan=field(None, unseen_percent=10)
        ),
        "24h": window(spend=field(0.1, missing_percent=1.0)),
        # Who keeps metrics has it.
        "24h_before": window(spend=field(0.9)),
        "7d": window(week_days, spend=field(0.4)),
    }
    return DriftView(
        model="churn", detail="", versions={"1.0.0": VersionDrift(detail="", windows=windows)}
    )


def test_the_drift_of_stable_is_told_by_field_and_window() -> None:
    """What cannot be compared has no line, and the ratios are those of the newest window."""
    here = server(seen(week_days=7.0))
    assert drift_psi(here) == {
        ("probability", "1h"): 0.01,
        ("spend", "1h"): 0.3,
        ("probability", "24h"): 0.01,
        ("spend", "24h"): 0.1,
        ("probability", "7d"): 0.01,
        ("spend", "7d"): 0.4,
    }
    is_on = {key for key, alarm in drift_alarms(here).items() if alarm}
    assert is_on == {("spend", "1h"), ("spend", "7d")}
    assert drift_alarms(here).keys() == drift_psi(here).keys()
    assert missing_ratios(here) == {("spend",): 0.25, ("plan",): 0.25}
    assert out_of_range_ratios(here) == {("spend",): 0.5}
    assert unseen_ratios(here) == {("plan",): 0.1}


def test_a_part_of_a_week_is_not_told_as_one() -> None:
    """It lacks weekdays: the alert would be raised in the first days of each version."""
    for days, is_told in ((1.0, False), (5.9, False), (6.1, True)):
        windows = {name for _, name in drift_alarms(server(seen(days)))}
        assert ("7d" in windows) == is_told


def test_where_nobody_knows_of_drift_nothing_is_told() -> None:
    """Neither before the first look, nor of a version that has no rows."""
    for here in (server(None), server(seen(7.0), stable="2.0.0")):
        for read in (drift_psi, drift_alarms, missing_ratios, out_of_range_ratios, unseen_ratios):
            assert read(here) == {}


def test_the_log_tells_what_it_wrote_and_dropped_and_nothing_where_there_is_none() -> None:
    """A log that is off must not look like one that loses nothing."""
    log = SimpleNamespace(n_written=7, n_dropped=2)
    here: Any = SimpleNamespace(log=log)
    assert (log_written(here), log_dropped(here)) == ({(): 7}, {(): 2})
    none: Any = SimpleNamespace(log=None)
    assert (log_written(none), log_dropped(none)) == ({}, {})
