"""A server counts the answers of one phase."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from every_kind import ANOMALY, CLASSIFIER, EXAMPLE, OUTPUTS, VALUE, order_manifest
from set_clock import SetClock
from watching import CANDIDATE, STABLE, manifest, phase_counter, table

from serve_app.contract import ModelSpec
from serve_app.contract.block import Layout
from serve_app.models import get_spec
from serve_app.rollout.counts import ARMS, MOST_REPORTED_KEYS, digest
from serve_app.rollout.phase_counter import MOST_SCORED_KEYS, PhaseCounter
from serve_app.statistics.score_bins import score_edges

SPEC = get_spec("churn")


def block(**column: list[float]) -> Any:
    """Return rows that differ in one column."""
    ((name, values),) = column.items()
    row = SPEC.examples[0].row.model_dump()
    return Layout(SPEC.contract).block([row | {name: value} for value in values])


def test_an_answer_counts_for_the_version_that_the_request_was_assigned_to() -> None:
    """A bad one by its fault; a good one that took long is slow. One thing has one name."""
    counter = phase_counter()
    counter.note("a", STABLE, 0.01, None, 0.4)
    counter.note("b", CANDIDATE, 0.01, None, 0.6)
    counter.note("c", CANDIDATE, 0.3, "late")
    counter.note("e", STABLE, 0.3, None, 0.4)
    found = counter.take()
    assert found.requests == {"stable": 2, "candidate": 2}
    assert found.bad == {"stable": {}, "candidate": {"late": 1}}
    assert found.errors.first == {"stable": set(), "candidate": {digest("c")}}
    assert found.slow.first == {"stable": {digest("e")}, "candidate": set()}
    assert counter.take().requests == {"stable": 0, "candidate": 0}, (
        "what was taken is not counted again"
    )


def test_bad_answers_that_no_good_one_interrupts_are_one_incident() -> None:
    """A process that stalls is one event; keys that it hit are used up."""
    clock = SetClock()
    counter = phase_counter(clock=clock)
    for n in range(5):
        clock.now_s += 1
        counter.note(f"stalled {n}", CANDIDATE, 0.1, "late")
    counter.note("fine", STABLE, 0.1, None, 0.4)
    counter.note("still stalled", CANDIDATE, 0.1, "late")
    clock.now_s += 1
    counter.note("good again", CANDIDATE, 0.1, None, 0.4)
    clock.now_s += 1
    counter.note("raised", CANDIDATE, 0.1, "raised")
    counter.note("raised again", CANDIDATE, 0.1, "raised")
    found = counter.take()
    first = {digest(key) for key in ("stalled 0", "raised", "raised again")}
    assert found.errors.first["candidate"] == first, "the model's own faults count each time"
    assert len(found.errors.others["candidate"]) == 5
    assert found.bad["candidate"] == {"late": 6, "raised": 2}


def test_a_good_answer_of_another_replica_ends_no_stop() -> None:
    """It began while the bad one was waited for; and what began before the end belongs to it. (The
    rails take what the coordinator hears within some seconds as one.)
    """
    clock = SetClock()
    counter = phase_counter(clock=clock)
    counter.note("stalled", CANDIDATE, 0.15, "late")
    clock.now_s += 0.05
    counter.note("next to it", CANDIDATE, 0.1, None, 0.4)
    counter.note("stalled too", CANDIDATE, 0.15, "late")
    clock.now_s += 0.05
    counter.note("after it", CANDIDATE, 0.01, None, 0.4)
    counter.note("began before", CANDIDATE, 0.15, "late")
    assert counter.take().n_stops == 1
    clock.now_s += 1
    counter.note("raised", CANDIDATE, 0.01, "raised")
    counter.note("stable's", STABLE, 0.3, "late")
    counter.note("good again", CANDIDATE, 0.01, None, 0.4)
    assert counter.take().n_stops == 0, "no stop of a process of it"


def test_the_histogram_takes_a_keys_first_score_alone_in_its_bin() -> None:
    """The scores of one heavy key are no sample of the others'."""
    counter = phase_counter()
    for score in (0.05, 0.95, 0.95):
        counter.note("heavy", CANDIDATE, 0.0, None, score)
    counter.note("other", CANDIDATE, 0.0, None, 0.999)
    edges = score_edges(manifest())
    assert len(edges) == 9
    found = counter.take()
    assert found.scores["stable"] == []
    assert found.scores["candidate"] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert found.moments["candidate"].mean == pytest.approx((0.05 + 0.999) / 2)


def test_what_is_kept_between_two_reports_is_bounded() -> None:
    """A flood of bad keys fills no memory, and the requests are counted all the same."""
    counter = phase_counter()
    for n in range(MOST_REPORTED_KEYS + 10):
        counter.note(str(n), STABLE if n % 4 else CANDIDATE, 1.0, "raised")
    found = counter.take()
    assert (found.errors.n_keys, found.errors.n_left_out) == (MOST_REPORTED_KEYS, 10)
    n_stable, n_candidate = (
        len(found.errors.first[arm] | found.errors.others[arm]) for arm in ARMS
    )
    assert n_stable == 3 * n_candidate, "one bound for both, so that the ratio is the true one"
    assert sum(found.requests.values()) == MOST_REPORTED_KEYS + 10
    for n in range(MOST_SCORED_KEYS + 10):
        counter.note(str(n), STABLE, 0.0, None, 0.5)
    assert sum(counter.take().scores["stable"]) == MOST_SCORED_KEYS


def test_a_pair_is_a_key_with_its_first_row() -> None:
    """A batch is one request and one pair, judged by its first row; slices count all rows."""
    counter = phase_counter()
    rows = block(monthly_active_days=[1, 1, 15, 25])
    stable = np.array([0.4, 0.4, 0.4, 0.4])
    candidate = np.array([0.4, 0.6, 0.6, 0.6])
    counter.compare(["a", "b"], [3, 4], rows, stable, candidate)
    found = counter.take().shadowed
    assert found.pairs == {digest("a"): False, digest("b"): True}
    assert (found.whole.n_rows, found.whole.n_disagree, found.agreement.n_rows) == (4, 3, 4)
    assert found.agreement.difference == pytest.approx(0.6)
    days = {
        label: (part.n_rows, part.n_disagree)
        for (feature, label), part in found.slices.items()
        if feature == "monthly_active_days"
    }
    assert days == {"under 10": (2, 1), "10 to 20": (1, 1), "20 and more": (1, 1)}


def test_a_model_that_cuts_at_30_percent_is_judged_there() -> None:
    """The threshold is the model's: 0.2 and 0.4 are two of its labels, 0.4 and 0.6 are one."""
    counter = phase_counter(spec=replace(SPEC, threshold=0.3))
    rows = block(monthly_active_days=[1, 1])
    counter.compare(["a", "b"], [1, 2], rows, np.array([0.2, 0.4]), np.array([0.4, 0.6]))
    assert counter.take().shadowed.pairs == {digest("a"): True, digest("b"): False}


@pytest.mark.parametrize(
    ("spec", "golden", "parameters"),
    [
        (VALUE, [float(n) for n in range(101)], {}),
        # Of the second output stable has an interval, and its scores have no spread.
        (OUTPUTS, [[float(n), 7.0] for n in range(101)], {"half_width_cost_usd": 50.0}),
        (OUTPUTS, [[float(n), 7.0] for n in range(101)], {}),
    ],
)
def test_a_value_without_an_interval_is_compared_by_the_spread_of_stables_scores(
    spec: ModelSpec, golden: list[Any], parameters: dict[str, float]
) -> None:
    """Half of the spread, which is 34 of 0 to 100: a version that was fitted again agrees, and one
    that says the mean for everybody does not.
    """
    plan = table().rollout
    assert plan is not None
    stable = order_manifest(spec, golden, parameters=parameters)
    counter = PhaseCounter(spec, plan, ("run", 1), stable)
    values = np.array([10.0, 50.0, 90.0, 90.0])
    candidate = np.array([12.0, 50.0, 74.0, 50.0])
    if spec is OUTPUTS:
        values, candidate = (
            np.stack([one, np.full(4, 7.0)], axis=1) for one in (values, candidate)
        )
    rows = orders(city=["Bern"] * 4)
    counter.compare(["a", "b", "c", "d"], [1, 2, 3, 4], rows, values, candidate)
    assert list(counter.take().shadowed.pairs.values()) == [False, False, False, True]


def test_a_constant_without_an_interval_has_no_limit() -> None:
    """Its scores have no spread: any other number would be a disagreement."""
    plan = table().rollout
    assert plan is not None
    counter = PhaseCounter(VALUE, plan, ("run", 1), order_manifest(VALUE, [7.0] * 50))
    values = np.array([7.0])
    counter.compare(["a"], [1], orders(city=["Bern"]), values, values + 0.001)
    assert list(counter.take().shadowed.pairs.values()) == [False]


def test_a_candidate_with_a_threshold_of_its_own_is_judged_by_its_own_labels() -> None:
    """Stable cuts at 0.2 and the candidate at 0.6, as their bundles say."""
    counter = phase_counter(parameters={"threshold": 0.2})
    counter.know_candidate({"threshold": 0.6})
    rows = block(monthly_active_days=[1, 1])
    counter.compare(["a", "b"], [1, 2], rows, np.array([0.3, 0.3]), np.array([0.3, 0.7]))
    assert counter.take().shadowed.pairs == {digest("a"): True, digest("b"): False}


def counter_of(spec: ModelSpec, scores: list[Any]) -> PhaseCounter:
    """Return a counter for a model of orders whose stable bundle has these golden scores."""
    plan = table().rollout
    assert plan is not None
    return PhaseCounter(spec, plan, ("run", 1), order_manifest(spec, scores))


def orders(**columns: list[Any]) -> Any:
    """Return orders that differ in these columns."""
    row = EXAMPLE.row.model_dump()
    n_rows = len(next(iter(columns.values())))
    return Layout(CLASSIFIER.contract).block(
        [row | {name: values[i] for name, values in columns.items()} for i in range(n_rows)]
    )


def test_a_classifiers_histogram_counts_its_labels() -> None:
    """PSI of a classifier is that of its labels: a bin a class, of ties the first."""
    counter = counter_of(CLASSIFIER, [[0.2, 0.5, 0.3]])
    for key, scores in {"a": [0.5, 0.3, 0.2], "b": [0.4, 0.2, 0.4], "c": [0.1, 0.1, 0.8]}.items():
        counter.note(key, CANDIDATE, 0.0, None, scores)
    found = counter.take()
    assert found.scores["candidate"] == [2, 0, 1]
    assert found.moments["candidate"].n == 0, "a class has no mean"


def test_of_several_outputs_the_first_one_has_the_histogram() -> None:
    """It is binned by tenths of the golden ones; an error row of the bundle has none."""
    counter = counter_of(OUTPUTS, [None, *([float(n), -1.0] for n in range(100))])
    counter.note("a", STABLE, 0.0, None, [3.0, 1e9])
    counter.note("b", STABLE, 0.0, None, [97.0, 1e9])
    found = counter.take().scores["stable"]
    assert len(found) == 10
    assert (found[0], found[-1]) == (1, 1)


def test_a_bundle_whose_golden_rows_are_all_refused_has_one_bin() -> None:
    """Nothing to compare with is no reason to fail."""
    counter = counter_of(ANOMALY, [None])
    counter.note("a", STABLE, 0.0, None, -0.3)
    assert counter.take().scores["stable"] == [1]


def test_shadow_of_classes_counts_flips_and_the_largest_shift() -> None:
    """A row that lacks one class's probability is an answer of neither version."""
    counter = counter_of(CLASSIFIER, [[0.2, 0.5, 0.3]])
    nan = float("nan")
    rows = orders(city=["Bern", "Bern", "Ulm"], is_gift=[True, False, True])
    stable = np.array([[0.6, 0.2, 0.2], [0.6, 0.2, 0.2], [0.6, 0.2, 0.2]])
    candidate = np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2], [0.6, nan, 0.2]])
    counter.compare(["a", "b", "c"], [1, 2, 3], rows, stable, candidate)
    found = counter.take().shadowed
    assert found.pairs == {digest("a"): True, digest("b"): False, digest("c"): True}
    assert (found.agreement.n_rows, found.whole.n_rows) == (2, 3)
    assert found.agreement.largest == pytest.approx(0.5)
    assert found.agreement.difference == pytest.approx(-0.5)
    parts = {name: (part.n_rows, part.n_disagree) for name, part in found.slices.items()}
    assert parts["city", "Bern"] == (2, 1)
    assert parts["city", "any other"] == (1, 1)
    assert parts["is_gift", "true"] == (2, 2)
