"""A rollout as one server follows it: assignment, and what is counted of each answer."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from watching import CANDIDATE, STABLE, course, manifest, table

from serve_app.contract.block import Layout
from serve_app.models import get_spec
from serve_app.rollout.active_rollout import MOST_SCORED_KEYS, ActiveRollout, score_edges
from serve_app.rollout.counts import MOST_KEYS, digest

SPEC = get_spec("churn")
KEYS = [f"customer-{n}" for n in range(3_000)]


def block(**column: list[float]) -> Any:
    """Rows that differ in one column."""
    ((name, values),) = column.items()
    row = SPEC.examples[0].row.model_dump()
    return Layout(SPEC.contract).block([row | {name: value} for value in values])


def test_raising_the_share_moves_no_key_back() -> None:
    """Whoever had the candidate at 5 % has it at 50 %, and the shares are met."""
    few, many = (
        {key for key in KEYS if course(percent).assign(key) == CANDIDATE} for percent in (5, 50)
    )
    assert few < many
    assert abs(len(few) - 150) < 60
    assert abs(len(many) - 1_500) < 130


def test_another_run_picks_other_keys() -> None:
    """The candidate of the next rollout does not meet the same people first."""
    first, second = (
        {k for k in KEYS if course(10, run=run).assign(k) == CANDIDATE}
        for run in ("a-run1", "a-run2")
    )
    assert abs(len(first & second) - 30) < 30


def test_in_shadow_everybody_is_answered_by_stable() -> None:
    """Shadow is scored beside."""
    assert {course(0, shadow=True).assign(key) for key in KEYS} == {STABLE}


def test_an_answer_counts_for_the_version_that_the_request_was_assigned_to() -> None:
    """Requests by arm; an invalid answer is an error of its key; a late one is slow, and may be both."""
    one = course()
    one.note("a", STABLE, 0.01, 0.4)
    one.note("b", CANDIDATE, 0.01, 0.6)
    one.note("c", CANDIDATE, 0.01, None)
    one.note("d", CANDIDATE, 0.3, None)
    one.note("e", STABLE, 0.3, 0.4)
    found = one.take()
    assert found.requests == {"stable": 2, "candidate": 3}
    assert found.errors == {"stable": set(), "candidate": {digest("c"), digest("d")}}
    assert found.slow == {"stable": {digest("e")}, "candidate": {digest("d")}}
    assert one.take().requests == {"stable": 0, "candidate": 0}, "what was taken is not told again"


def test_the_histogram_takes_a_keys_first_score_alone_in_its_bin() -> None:
    """A heavy key's scores are no sample of the others'."""
    one = course()
    for score in (0.05, 0.95, 0.95):
        one.note("heavy", CANDIDATE, 0.0, score)
    one.note("other", CANDIDATE, 0.0, 0.999)
    edges = score_edges(manifest())
    assert len(edges) == 9
    found = one.take().scores
    assert found["stable"] == []
    assert found["candidate"] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_what_is_kept_between_two_reports_is_bounded() -> None:
    """A flood of bad keys costs no memory without end, and the requests are counted all the same."""
    one = course()
    for n in range(MOST_KEYS + 10):
        one.note(str(n), STABLE, 1.0, None)
    found = one.take()
    assert len(found.errors["stable"]) == len(found.slow["stable"]) == MOST_KEYS
    assert found.requests["stable"] == MOST_KEYS + 10
    for n in range(MOST_SCORED_KEYS + 10):
        one.note(str(n), STABLE, 0.0, 0.5)
    assert sum(one.take().scores["stable"]) == MOST_SCORED_KEYS


def test_a_pair_is_a_key_with_its_first_row() -> None:
    """A batch is one request: ten rows that flip are one pair, judged by the first; all rows go into the slices."""
    one = course(0, shadow=True)
    rows = block(monthly_active_days=[1, 1, 15, 25])
    one.compare(
        ["a", "b"], [3, 4], rows, np.array([0.4, 0.4, 0.4, 0.4]), np.array([0.4, 0.6, 0.6, 0.6])
    )
    found = one.take().shadowed
    assert found.pairs == {digest("a"): False, digest("b"): True}
    assert (found.whole.n_rows, found.whole.n_disagree, found.n_compared) == (4, 3, 4)
    assert found.difference == pytest.approx(0.6)
    days = {
        label: (part.n_rows, part.n_disagree)
        for (f, label), part in found.slices.items()
        if f == "monthly_active_days"
    }
    assert days == {"under 10": (2, 1), "10 to 20": (1, 1), "20 and more": (1, 1)}


def test_a_model_that_cuts_at_30_percent_is_judged_there() -> None:
    """The threshold is the model's: 0.2 and 0.4 are two labels of it, 0.4 and 0.6 are one."""
    of = table()
    orders = course(0, shadow=True, of=of).orders
    one = ActiveRollout(replace(SPEC, threshold=0.3), of, orders, manifest())
    rows = block(monthly_active_days=[1, 1])
    one.compare(["a", "b"], [1, 2], rows, np.array([0.2, 0.4]), np.array([0.4, 0.6]))
    assert one.take().shadowed.pairs == {digest("a"): True, digest("b"): False}


def test_a_course_goes_on_while_nothing_changed_and_begins_anew_when_something_did() -> None:
    """Counts belong to one phase: newer orders are another course."""
    of = table()
    one = course(of=of)
    assert one.follow(of, one.orders, one._stable) is one
    assert one.follow(of, course(40, of=of).orders, one._stable) is not one
