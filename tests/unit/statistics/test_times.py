"""Answer times of two versions are compared by their 95th percentiles."""

import random

import pytest

from serve_app.statistics.times import EDGES_MS, N_BINS, Times, bar_ms, bin_of, is_beyond


def told(*seconds: float, times: Times | None = None) -> Times:
    """Return times after one more report with these."""
    counts = [0] * N_BINS
    for second in seconds:
        counts[bin_of(second)] += 1
    found = times or Times()
    found.add(counts)
    return found


def compared(stable: Times, candidate: Times, floor_ms: float = 50.0) -> bool:
    """Tell whether the candidate is held at the shipped ratio."""
    limit_ms = bar_ms(stable, 2.0, floor_ms)
    return limit_ms is not None and is_beyond(candidate, limit_ms)


def test_the_95th_percentile_is_told_by_the_upper_edge_of_its_bin() -> None:
    """A person reads milliseconds; an empty one has none, and one beyond all bins is the last."""
    assert Times().p95_ms is None
    assert told(*[0.003] * 96, *[0.5] * 4).p95_ms == pytest.approx(3.0, rel=0.2)
    assert told(*[0.003] * 90, *[0.5] * 10).p95_ms == pytest.approx(500, rel=0.2)
    assert told(60.0).p95_ms == EDGES_MS[-1]


def test_reports_and_phases_add_up() -> None:
    """What a person reads does not depend on how often servers report."""
    one = told(*[0.02] * 50, times=told(*[0.003] * 50))
    both = told(*[0.003] * 50) + told(*[0.02] * 50)
    assert (one.n_times, one.p95_ms) == (both.n_times, both.p95_ms)
    one.add([])
    assert one.n_times == 100, "a server without a request reports no bins"


def test_thirty_times_slower_is_beyond_after_some_thirty_answers() -> None:
    """The finding that began it: 3 and 102 ms passed without a word."""
    stable = Times()
    candidate = Times()
    for _ in range(30):
        told(*[0.003] * 9, times=stable)
        told(0.102, times=candidate)
    assert compared(stable, candidate)
    assert not compared(candidate, stable), "a faster candidate is nobody's harm"


def test_what_is_far_from_slow_is_not_beyond() -> None:
    """An isolated candidate takes milliseconds where one in the server takes a tenth of one."""
    assert not compared(told(*[0.0001] * 500), told(*[0.005] * 500))
    assert compared(told(*[0.0001] * 500), told(*[0.005] * 500), floor_ms=2.0)


def test_a_ratio_of_two_is_four_bins_and_no_more() -> None:
    """Edges are floating point: twice an edge must find its own edge, not the next."""
    for place, edge_ms in enumerate(EDGES_MS[:-4]):
        stable = told(*[0.99 * edge_ms / 1000] * 500)
        assert bar_ms(stable, 2.0, 0.0) == EDGES_MS[place + 4]


def test_nothing_is_said_without_times_of_both() -> None:
    """A few answers of stable could have any percentile."""
    assert not compared(Times(), told(*[0.2] * 500))
    assert not compared(told(*[0.003] * 5), told(*[0.2] * 500))
    assert not compared(told(*[0.003] * 500), Times())


def test_what_is_slow_together_counts_as_little_more_than_once() -> None:
    """A process that stalls makes all answers of a second slow; one by one they would be proof."""
    stable = Times()
    one_by_one = Times()
    together = Times()
    for second in range(60):
        told(*[0.003] * 50, times=stable)
        told(*[0.003] * 9, 0.2, times=one_by_one)
        told(*[0.2 if second < 6 else 0.003] * 10, times=together)
    assert together.n_times == one_by_one.n_times
    assert together.p95_ms == one_by_one.p95_ms
    assert compared(stable, one_by_one)
    assert not compared(stable, together)


def test_equal_versions_with_stalls_are_hardly_ever_apart() -> None:
    """Seconds in which a process stalls hit every answer of it, on both sides alike."""
    rng = random.Random(7)
    n_beyond = 0
    for _ in range(300):
        arms = (Times(), Times())
        for _second in range(60):
            for times, n_answers in zip(arms, (45, 5), strict=True):
                stalls = rng.random() < 0.04
                told(*[0.2 if stalls else 0.003] * n_answers, times=times)
        n_beyond += compared(*arms)
    assert n_beyond <= 1
