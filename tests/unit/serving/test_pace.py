"""How long rows would wait, by what calls cost in the proof and how slow the last ones were."""

import pytest

from serve_app.bundle.predictor import UNKNOWN_COST, Cost
from serve_app.serving.pace import N_CALLS, Pace

# A model whose rows are expensive, and one whose calls are, whatever is in them.
BY_ROW = Cost(call_ms=10.0, row_ms=10.0)
BY_CALL = Cost(call_ms=80.0, row_ms=0.0)


@pytest.mark.parametrize(
    ("cost", "n_rows", "n_at_once", "wait_s"),
    [
        (BY_ROW, 0, 1, 0.0),
        (BY_ROW, 10, 1, 0.1),
        (BY_ROW, 64, 1, 0.64),
        (BY_CALL, 63, 1, 0.0),
        (BY_CALL, 64, 1, 0.08),
        (BY_CALL, 200, 1, 0.24),
        (BY_CALL, 200, 4, 0.06),
    ],
)
def test_rows_wait_for_the_full_calls_before_theirs_and_for_the_rows_in_their_own(
    cost: Cost, n_rows: int, n_at_once: int, wait_s: float
) -> None:
    """What a call costs anyway is no wait: else a model of 150 ms a call could never coalesce."""
    assert Pace(cost).merged_s(n_rows, 64, n_at_once) == pytest.approx(wait_s)


def test_calls_that_are_not_merged_wait_for_each_other() -> None:
    """Three of ten rows each: 3 × (5 + 9 × 1) ms."""
    assert Pace(Cost(call_ms=5.0, row_ms=1.0)).one_by_one_s(3, 30) == pytest.approx(0.042)


def test_what_is_slower_than_in_the_proof_is_waited_for_longer() -> None:
    """Four servers that ask one replica, or a busy machine, show in how long calls take."""
    pace = Pace(BY_ROW)
    for _ in range(N_CALLS):
        pace.note(5, 0.2)
    assert pace.merged_s(10, 64) == pytest.approx(0.4)
    for _ in range(N_CALLS):
        pace.note(5, 0.05)
    assert pace.merged_s(10, 64) == pytest.approx(0.1)


def test_a_stall_of_fewer_than_half_of_the_calls_says_nothing_about_the_next() -> None:
    """Else everybody would be refused after it, though nothing waits any more."""
    pace = Pace(BY_ROW)
    for _ in range(N_CALLS):
        pace.note(1, 0.01)
    for _ in range(N_CALLS // 2):
        pace.note(1, 1.0)
    assert pace.merged_s(10, 64) == pytest.approx(0.1)


def test_the_way_of_a_call_makes_cheap_rows_no_expensive_ones() -> None:
    """A call of one cheap row takes 3 ms, nearly all of them on its way: 1,000 rows do not wait for
    a second.
    """
    pace = Pace(Cost(call_ms=0.05, row_ms=0.005), way_ms=5.0)
    for _ in range(N_CALLS):
        pace.note(1, 0.003)
    assert pace.merged_s(1_000, 2_000) < 0.005


def test_a_version_that_does_not_say_its_cost_is_refused_by_full_calls_alone() -> None:
    """A replica of the edition before says nothing of it; what its calls take is seen."""
    pace = Pace(UNKNOWN_COST, way_ms=5.0)
    for n_rows in range(1, N_CALLS + 1):
        pace.note(n_rows, 0.08)
    assert pace.merged_s(63, 64) == 0
    assert pace.merged_s(128, 64) == pytest.approx(0.16)
    silent = Pace(UNKNOWN_COST)
    silent.note(1, 1.0)
    assert silent.merged_s(1_000, 64) == 0
