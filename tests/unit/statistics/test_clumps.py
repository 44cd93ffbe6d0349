"""What comes in clumps says less than as many independent trials."""

import random

import pytest

from serve_app.statistics.clumps import BLOCK_S, Clumps
from serve_app.statistics.intervals import wilson


def by_chance(n_seconds: int, per_s: int, share: float) -> Clumps:
    """Return independent trials, a second each time."""
    rng = random.Random(7)
    found = Clumps()
    for second in range(n_seconds):
        n_hits = sum(rng.random() < share for _ in range(per_s))
        found.add(float(second), n_hits, per_s)
    return found


def stopping(n_seconds: int, per_s: int, every_s: int, for_s: int) -> Clumps:
    """Return trials of a process that stops for some seconds, again and again."""
    found = Clumps()
    for second in range(n_seconds):
        found.add(float(second), per_s * (second % every_s < for_s), per_s)
    return found


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5])
def test_independent_trials_are_worth_what_they_count(share: float) -> None:
    """The bounds are those of the plain interval, but for a chance correlation near 0."""
    found = by_chance(1_000, 10, share)
    assert found.correlation < 0.01
    assert found.bounds(0.0) == wilson(found.n_hits, found.n)


def test_each_stop_of_a_process_is_worth_about_one() -> None:
    """Ten stops of four seconds in 1,000 s: 400 bad ones of 10,000, all but as sure as 10 of 250.
    A quarter of the block is good, so that its trials are not wholly alike."""
    found = stopping(1_000, 10, every_s=100, for_s=4)
    low, high = found.bounds(found.correlation)
    assert (low, high) == pytest.approx(wilson(10, 250), rel=0.1)


def test_the_correlation_of_one_tells_what_stops_of_the_other_would_be_worth() -> None:
    """None of 9 times as many trials is no surer than the same time: a stop would hit them all."""
    candidate = stopping(1_000, 10, every_s=1_000, for_s=8)
    stable = Clumps()
    for second in range(1_000):
        stable.add(float(second), 0, 90)
    _, high = stable.bounds(candidate.correlation)
    low, _ = candidate.bounds(candidate.correlation)
    assert low < high
    assert stable.bounds(0.0)[1] < low, "as independent trials they would differ"


@pytest.mark.parametrize("n_hits", [0, 100])
def test_all_or_none_correlates_with_nothing(n_hits: int) -> None:
    """There is no variance to tell it by; and nothing asked means nothing known."""
    found = Clumps()
    for block in range(10):
        found.add(block * BLOCK_S, n_hits, 100)
    assert found.correlation == 0.0
    assert Clumps().bounds(0.5) == (0.0, 1.0)
    assert Clumps().correlation == 0.0


def test_blocks_begin_anew_after_ten_seconds() -> None:
    """One block has no company beyond it: 100 trials of a second each, then one after a pause."""
    found = Clumps()
    for second in range(10):
        found.add(float(second), 0, 10)
    found.add(25.0, 0, 1)
    assert found.mean_block == pytest.approx((100 * 100 + 1) / 101)
