"""Whether another training is asked for: the rules, and that a data fault comes before them."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from drifting import rows_of_orders
from drifting import seen as drift_of
from every_kind import VALUE
from fakes import FakeBackend
from monitored import NOW, drift, drifted, field, measure, quality, seen, window

from serve_app.models import get_spec
from serve_app.monitoring.drift_view import (
    DriftView,
    FieldDrift,
    HistogramView,
    VersionDrift,
)
from serve_app.monitoring.quality.view import QualityView
from serve_app.monitoring.retraining_limits import RetrainingLimits
from serve_app.monitoring.retraining_verdict import Outcome, Seen, judge, seen_of
from serve_app.serving.status import VersionFacts

# Worse than chance explains, by labels of a week.
WORSE = quality({"auc": measure(0.75, 0.02)})


def test_a_quiet_day_is_fine_and_nothing_is_said() -> None:
    """There are neither faults nor reasons nor notes."""
    found = judge(seen(), NOW)
    assert found.outcome is Outcome.FINE
    assert (found.faults, found.reasons, found.notes) == ((), (), ())


def in_bins(*live: int) -> FieldDrift:
    """A field that has 1, 2 and 3 equally often in training, and so often within a window."""
    bins = [str(i + 1) for i in range(len(live))]
    shown = HistogramView(bins=bins, training=[1_000] * len(live), live=list(live))
    return drifted(histograms=[shown])


REASONS: dict[str, tuple[dict[str, Any], str]] = {
    "labels": ({"quality": WORSE}, "auc is 0.75 by labels of the last 7 days (1,000), 0.85"),
    "estimate": (
        {"quality": quality(estimated={"accuracy": measure(0.7, 0.01)})},
        "accuracy is 0.7 as the scores of the last 7 days let expect",
    ),
    "score": (
        {"drift": drift(day=window(score=drifted()), week=window(167, score=drifted()))},
        "score has drifted for days: all of it moved",
    ),
    "features": (
        {
            "drift": drift(
                day=window(spend=drifted(), seats=drifted()),
                week=window(167, spend=drifted(), seats=drifted()),
            )
        },
        "2 of 4 features have drifted for days: spend, seats",
    ),
    "age": ({"created_at": NOW - timedelta(days=91)}, "it was trained 91 days ago, more than 90"),
}


@pytest.mark.parametrize(("changes", "sentence"), REASONS.values(), ids=REASONS)
def test_each_reason_asks_for_retraining_in_a_sentence(
    changes: dict[str, Any], sentence: str
) -> None:
    """Each of them is enough when it is alone."""
    found = judge(seen(**changes), NOW)
    assert found.outcome is Outcome.RETRAIN
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith(sentence)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "missing": (
        {"drift": drift(day=window(spend=drifted(missing_percent=20.0)))},
        "spend: 20 % missing, 0 % in training within the last 24 hours",
    ),
    "gone": (
        {"drift": drift(hour=window(0.9, 400, plan=drifted(missing_percent=100.0)))},
        "plan: is gone within the last hour",
    ),
    "range": (
        {"drift": drift(day=window(seats=drifted(out_of_range_percent=60.0)))},
        "seats: 60 % outside of training's range within the last 24 hours",
    ),
    "unseen": (
        {"drift": drift(day=window(plan=drifted(unseen_percent=40.0)))},
        "plan: 40 % never seen in training within the last 24 hours",
    ),
    "failed": (
        {"drift": drift(day=window(score=drifted(missing_percent=30.0)))},
        "score: 30 % of the rows failed within the last 24 hours",
    ),
    "constant": (
        {
            "drift": drift(
                day=window(tickets=drifted(fullest="3", fullest_percent=100.0)),
                before=window(47, tickets=drifted(fullest="3", fullest_percent=99.9)),
                week=window(167, tickets=in_bins(700, 690, 5_710)),
            )
        },
        "tickets: is constant: 3, 10 % in training, and so it was on the day before",
    ),
    "refused": (
        {"refused": {"1h": 200, "24h": 210}},
        "50 % of all rows were refused within the last hour",
    ),
    "silent": (
        {
            "drift": VersionDrift(detail="no rows were answered within a week", windows={}),
            "answered": {"7d": 90_000},
        },
        "no row was answered within the last 24 hours",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), FAULTS.values(), ids=FAULTS)
def test_a_data_fault_never_asks_for_retraining(changes: dict[str, Any], sentence: str) -> None:
    """Whatever else is seen: the reasons are told, and the outcome is the fault."""
    bad = seen(**changes)
    everything = {"quality": WORSE, "created_at": NOW - timedelta(days=400)}
    for one in (bad, seen(**(everything | changes))):
        found = judge(one, NOW)
        assert found.outcome is Outcome.DATA_FAULT
        assert found.faults == (sentence,)
    assert any("trained 400 days ago" in reason for reason in found.reasons)


def test_a_share_that_chance_explains_is_no_fault() -> None:
    """Three of ten rows are many, and say little; of a thousand they say a lot."""
    few = drift(hour=window(0.5, 10, spend=field(missing_percent=30.0)))
    many = drift(hour=window(0.5, 1_000, spend=field(missing_percent=30.0)))
    assert judge(seen(drift=few), NOW).outcome is Outcome.FINE
    assert judge(seen(drift=many), NOW).outcome is Outcome.DATA_FAULT
    often_missing = field(missing_percent=30.0, missing_percent_in_training=28.0)
    as_in_training = drift(hour=window(0.5, 1_000, spend=often_missing))
    assert judge(seen(drift=as_in_training), NOW).outcome is Outcome.FINE


@pytest.mark.parametrize(
    "week",
    [in_bins(0, 0, 7_000), in_bins(0, 5_000, 2_000)],
    ids=["all month", "since its second day"],
)
def test_a_month_is_constant_for_weeks_and_no_fault(week: FieldDrift) -> None:
    """It was never spread as in training: it went from one value to the next."""
    stuck = drifted(fullest="3", fullest_percent=100.0)
    found = drift(
        day=window(tickets=stuck), before=window(47, tickets=stuck), week=window(167, tickets=week)
    )
    verdict = judge(seen(drift=found), NOW)
    assert verdict.outcome is Outcome.FINE
    [note] = verdict.notes
    assert note.startswith("tickets: is constant: 3, 10 % in training, and this week it was never")


NO_ROWS = VersionDrift(detail="no rows were answered within a week", windows={})
OLD_FORMAT = VersionDrift(detail="no reference: its bundle is of format 2", windows={})


def test_silence_is_a_fault_only_where_rows_were_counted_for_a_day() -> None:
    """A minute after a first start, or where the counts were lost, it is a note."""
    for ago, is_fault in ((timedelta(minutes=1), False), (timedelta(hours=25), True)):
        for drift_ in (NO_ROWS, OLD_FORMAT):
            found = judge(seen(drift=drift_, answered={}, counted_since=NOW - ago), NOW)
            assert bool(found.faults) is is_fault
            said = "no row was answered yet; a fault if it stays so for 24 hours"
            assert (said in found.notes) is not is_fault


def test_a_version_that_was_just_made_stable_is_not_silent() -> None:
    """The one before it was asked until then."""
    found = judge(seen(drift=NO_ROWS), NOW)
    assert found.faults == ()
    assert "1.0.0 itself has answered no row within the last 24 hours" in found.notes


def test_refused_rows_are_a_share_of_all_that_were_answered_by_whatever_version() -> None:
    """Also by one without bins, or by one that has left the table meanwhile."""
    for drift_ in (OLD_FORMAT, NO_ROWS):
        few = seen(drift=drift_, answered={"24h": 5_000}, refused={"24h": 150})
        assert judge(few, NOW).faults == ()
        many = seen(drift=drift_, answered={"24h": 5_000}, refused={"24h": 5_000})
        assert judge(many, NOW).faults == (
            "50 % of all rows were refused within the last 24 hours",
        )


def test_a_weekday_is_constant_on_its_day_and_no_fault() -> None:
    """It is another one on the day before; on a first day that is told as a suspicion."""
    today = drifted(fullest='"Sat"', fullest_percent=100.0)
    yesterday = drifted(fullest='"Fri"', fullest_percent=100.0)
    found = judge(seen(drift=drift(day=window(plan=today), before=window(plan=yesterday))), NOW)
    assert found.outcome is Outcome.FINE
    first = VersionDrift(detail="", windows={"24h": window(5.0, plan=today)})
    found = judge(seen(drift=first), NOW)
    assert found.outcome is Outcome.FINE
    assert found.notes[0] == 'plan: is constant: "Sat", 10 % in training; a fault if it stays so'


def test_a_part_of_a_week_asks_for_nothing_but_by_age() -> None:
    """A Saturday is no sample of a week: its rows, its scores and its errors always differ."""
    moved = {"spend": drifted(), "seats": drifted(), "score": drifted()}
    young = drift(day=window(**moved), week=window(24 * 5.9, **moved))
    found = judge(seen(drift=young, quality=WORSE), NOW)
    assert found.outcome is Outcome.FINE
    assert "rows of less than 6 days" in found.notes[0]
    older = drift(day=window(**moved), week=window(24 * 6.1, **moved))
    assert len(judge(seen(drift=older, quality=WORSE), NOW).reasons) == 3
    old = NOW - timedelta(days=100)
    assert judge(seen(drift=young, created_at=old), NOW).outcome is Outcome.RETRAIN
    limits = RetrainingLimits(least_days=0)
    assert len(judge(seen(drift=young, quality=WORSE), NOW, limits).reasons) == 3


def test_where_no_rows_are_compared_the_version_itself_has_to_be_as_old() -> None:
    """A bundle of an older format has labels too."""
    old = VersionDrift(detail="no reference: its bundle is of format 2", windows={})
    found = seen(drift=old, quality=WORSE)
    assert judge(found, NOW).outcome is Outcome.RETRAIN
    young = seen(drift=old, quality=WORSE, created_at=NOW - timedelta(days=5))
    assert judge(young, NOW).outcome is Outcome.FINE


def test_drift_has_to_last_over_the_week_and_go_on_today() -> None:
    """A day drifts by its weekday, and a week by what is over; nor are two events one."""
    two = {"spend": drifted(), "seats": drifted(), "score": drifted()}
    others = {"plan": drifted(), "tickets": drifted()}
    a_day = drift(day=window(**two))
    over = drift(week=window(167, **two))
    events = drift(day=window(**two), week=window(167, **others))
    one_of_four = drift(day=window(**two), week=window(167, spend=drifted()))
    for found in (a_day, over, events, one_of_four):
        assert judge(seen(drift=found), NOW).outcome is Outcome.FINE


def test_few_labels_and_an_old_bundle_are_noted() -> None:
    """What could not be judged is told, so that silence is not taken for health."""
    old = VersionDrift(detail="no reference: its bundle is of format 2", windows={})
    few = quality({"auc": measure(0.5, 0.1)}, n_labels=199)
    found = judge(seen(drift=old, quality=few), NOW)
    assert found.outcome is Outcome.FINE
    assert found.notes == (
        "no reference: its bundle is of format 2",
        "labels ask for nothing: there are fewer than 200",
    )
    assert judge(seen(quality=None), NOW).outcome is Outcome.FINE


def test_the_window_that_asks_is_that_of_the_labels_or_a_week() -> None:
    """Rows to train on have to be of it; age is no window."""
    both = {"spend": drifted(), "seats": drifted()}
    moved = drift(day=window(**both), week=window(167, **both))
    month = quality({"auc": measure(0.75, 0.02)}, days=30)
    assert judge(seen(), NOW).asking_days is None
    assert judge(seen(created_at=NOW - timedelta(days=100)), NOW).asking_days is None
    assert judge(seen(quality=month), NOW).asking_days == 30
    assert judge(seen(quality=month, drift=moved), NOW).asking_days == 30
    assert judge(seen(drift=moved), NOW).asking_days == 7
    assert judge(seen(drift=moved, quality=None), NOW).asking_days == 7


def test_limits_can_be_set() -> None:
    """As the options of `sluice monitor` do it."""
    limits = RetrainingLimits(most_age_days=5)
    assert judge(seen(), NOW, limits).reasons == ("it was trained 10 days ago, more than 5",)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"weight_kg": None}, "weight_kg: is gone within the last hour"),
        ({"n_items": 90}, "n_items: 100 % outside of training's range within the last hour"),
        ({"city": "Genève"}, "city: 100 % never seen in training within the last hour"),
        ({"birthday": date(2100, 1, 1)}, None),
        ({"ordered_at": datetime(2026, 11, 28, 9)}, None),
    ],
)
def test_faults_are_found_in_what_a_server_counts(
    changes: dict[str, object], fault: str | None
) -> None:
    """By the real bins and view; dates are always later than those of training."""
    rows = [row | changes for row in rows_of_orders(500, 7)]
    found = drift_of(VALUE, rows)
    dates = frozenset({"birthday", "ordered_at"})
    verdict = judge(
        Seen(
            "1.0.0",
            drift=VersionDrift(detail="", windows={**found.windows, "24h": window(23)}),
            dates=dates,
        ),
        NOW,
    )
    assert verdict.faults == ((fault,) if fault else ())


def test_the_version_that_answers_most_is_judged() -> None:
    """After a rollout to 100 % that is the candidate, before the file says so."""
    model = FakeBackend(get_spec("churn")).description()
    name = "1.0.0"
    facts = VersionFacts(
        state="ready",
        detail="",
        placement="in_server",
        weight_percent=0.0,
        runtime="onnx",
        coalesces=False,
        manifest_sha256="a" * 64,
        created_at="2026-11-01T00:00:00+00:00",
    )
    newer = facts.model_copy(update={"weight_percent": 100.0})
    away = facts.model_copy(update={"manifest_sha256": None, "weight_percent": 100.0})
    found = model.model_copy(update={"versions": {name: facts, "7.0.0": newer, "8.0.0": away}})
    views = DriftView(
        model="churn",
        detail="",
        versions={name: drift(), "7.0.0": drift()},
        since=NOW,
        answered={"24h": 70_000},
        refused={"1h": 3},
    )
    told = QualityView(
        model="churn", versions=[], n_labels=0, n_duplicates=0, n_too_old=0, trouble=""
    )
    seen_now = seen_of(found, views, told)
    assert seen_now is not None
    assert seen_now.version == "7.0.0"
    assert seen_now.answered == {"24h": 70_000}
    assert seen_now.counted_since == NOW
    assert seen_now.refused == {"1h": 3}
    assert seen_now.quality is None
    none = model.model_copy(update={"versions": {"8.0.0": away}})
    assert seen_of(none, views, told) is None
