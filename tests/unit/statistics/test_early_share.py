"""Early labels: of the newest days fewer rows have one than of the days before."""

import numpy as np
import pytest

from serve_app.statistics.early_labels import DayCount, are_early


def days(*shares: float, n_rows: int = 100) -> dict[int, DayCount]:
    """Days from 0 on, of which these shares have labels."""
    return {day: DayCount(n_rows, round(share * n_rows)) for day, share in enumerate(shares)}


def test_the_newest_quarter_tells_and_today_alone_does_not() -> None:
    """Today has few labels everywhere; of 8 days two are looked at, of 4 one."""
    assert not are_early(days(*[1.0] * 8), 0, 7)
    assert are_early(days(*[1.0] * 6, 0.2, 0.2), 0, 7)
    assert not are_early(days(*[1.0] * 39, 0.2), 0, 39)
    assert are_early(days(*[1.0] * 3, 0.2), 0, 3)


def test_labels_that_come_a_day_late_to_all_alike_look_early_in_a_week() -> None:
    """Of yesterday a half has come: docs/labels.md says what to do. Whole days look sound."""
    assert are_early(days(*[1.0] * 40, 0.5, 0.0), 35, 41)
    assert not are_early(days(*[1.0] * 41, 0.0), 35, 41)


def test_days_before_the_window_are_compared_too() -> None:
    """A week of early labels alone is like itself, and not like the month before."""
    found = days(*[1.0] * 30, *[0.2] * 7)
    assert are_early(found, 30, 36)
    assert not are_early({day: found[day] for day in range(30, 37)}, 30, 36)


def test_in_the_first_weeks_nearly_all_days_are_early() -> None:
    """Two of 32 days are whole: the newest quarter is as the most of those before it."""
    assert are_early(days(*[1.0] * 2, *[0.2] * 30), 2, 31)


def test_days_without_any_label_have_none_that_is_early() -> None:
    """A file of labels that ends last week is whole up to there."""
    assert not are_early(days(*[0.8] * 20, *[0.0] * 10), 0, 29)
    assert not are_early(days(*[0.0] * 10), 0, 9)
    assert not are_early({}, 0, 9)


@pytest.mark.parametrize(("share", "expected"), [(0.92, False), (0.85, True)])
def test_a_little_less_is_no_sign(share: float, expected: bool) -> None:
    """Under nine tenths of the share before is one, however many rows there are."""
    assert are_early(days(*[0.5] * 30, *[0.5 * share] * 10, n_rows=100_000), 0, 39) == expected


def test_what_chance_explains_is_no_sign() -> None:
    """Of ten rows a day no share is sure; 300 quiet seasons, of which 30 have a low newest week."""
    rng = np.random.default_rng(20_261_129)
    found = [
        are_early({day: DayCount(10, rng.binomial(10, 0.5)) for day in range(120)}, 113, 119)
        for _ in range(300)
    ]
    assert sum(found) <= 60


def test_more_labels_than_rows_are_taken_for_as_many_rows() -> None:
    """A server that ended may have told its labels and not its rows."""
    found = {day: DayCount(0.0, 50.0) for day in range(8)}
    assert not are_early(found, 0, 7)
