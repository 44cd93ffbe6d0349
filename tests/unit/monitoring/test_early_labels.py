"""Labels that come early are no sample: they ask for nothing, and whole ones find what is worse."""

import numpy as np
import pytest
from seasons import TODAY, holdout, season, seen_of

from serve_app.monitoring.lost_quality import labelled_window, lost_by_labels, unjudged_labels
from serve_app.monitoring.quality.unjudged import S_PER_DAY, last_whole_day
from serve_app.monitoring.retraining_limits import LIMITS

DELAYS = (7, 10, 14, 30)
RATES = (20, 50, 100, 300)
SEEDS = range(3)


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("a_day", RATES)
def test_where_nobody_said_when_labels_come_a_healthy_model_is_left_alone(
    delay: int, a_day: int
) -> None:
    """Churn's positives come at once; what is passed over says which setting helps."""
    for seed in SEEDS:
        rng = np.random.default_rng([seed, delay, a_day])
        metrics = holdout(rng)
        found = seen_of(season(rng, delay, a_day), None)
        assert lost_by_labels(metrics, found, LIMITS) == []
        assert "`label_delay_days` in args says after how many days" in unjudged_labels(
            found, LIMITS
        )


@pytest.mark.parametrize("n_days", [20, 31, 33, 36, 45])
def test_a_service_that_is_hardly_older_than_its_labels_is_left_alone(n_days: int) -> None:
    """Of nearly all days positives alone have come, so that none of them looks otherwise."""
    for a_day in RATES:
        rng = np.random.default_rng([n_days, a_day])
        metrics = holdout(rng)
        found = seen_of(season(rng, 30, a_day, n_days=n_days), None)
        assert lost_by_labels(metrics, found, LIMITS) == []


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("a_day", RATES)
def test_where_it_is_said_whole_windows_are_judged_and_a_worse_model_is_found(
    delay: int, a_day: int
) -> None:
    """The same seasons: 7 whole days, or 30 where few rows come, and none of them is early."""
    for seed in SEEDS:
        rng = np.random.default_rng([seed, delay, a_day])
        metrics = holdout(rng)
        found = seen_of(season(rng, delay, a_day), delay)
        window = labelled_window(found, LIMITS)
        assert window is not None
        assert window.days == (7 if a_day > 30 else 30)
        assert window.ends_days_ago == delay + 1
        assert window.n_labels == window.n_predictions
        assert lost_by_labels(metrics, found, LIMITS) == []
        assert unjudged_labels(found, LIMITS) == ""
        worse = seen_of(season(rng, delay, a_day, noise=2.5), delay)
        [first, *_] = lost_by_labels(metrics, worse, LIMITS)
        assert f"by labels of {window.days} days, which ended {delay + 1} days ago" in first


def test_labels_that_come_at_once_are_judged_to_this_day() -> None:
    """Whether that is said or not: nothing looks early."""
    for delay in (None, 0.0):
        rng = np.random.default_rng(7)
        metrics = holdout(rng)
        worse = seen_of(season(rng, 0, 100, noise=2.5), delay)
        assert worse.judged[0].ends_days_ago == 0
        [first, *_] = lost_by_labels(metrics, worse, LIMITS)
        assert "by labels of the last 7 days" in first


def test_a_day_is_whole_when_its_last_prediction_is_as_old_as_labels_take() -> None:
    """At noon the day that ended 30 days ago, or 12 hours before that."""
    noon = (TODAY + 0.5) * S_PER_DAY
    assert last_whole_day(noon, None) == last_whole_day(noon, 0.0) == TODAY
    assert last_whole_day(noon, 30) == TODAY - 31
    assert last_whole_day(noon, 0.5) == TODAY - 1
    assert last_whole_day(noon, 0.6) == TODAY - 2


def test_labels_of_one_class_judge_nothing_wherever_they_stand() -> None:
    """Before the first "no" has come, accuracy is a recall; or positives are seldom."""
    rng = np.random.default_rng(3)
    found = seen_of(season(rng, 30, 100, n_days=10), None)
    assert labelled_window(found, LIMITS) is None
    assert "all of them are of one class, as early ones are" in unjudged_labels(found, LIMITS)
    assert unjudged_labels(None, LIMITS) == "labels ask for nothing: there are fewer than 200"
