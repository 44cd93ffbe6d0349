"""What comes in clumps says less than as many independent trials."""

import random

import pytest

from serve_app.statistics.clumps import BLOCK_S, Clumps, is_more


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
    """But for a chance correlation near 0."""
    found = by_chance(1_000, 10, share)
    assert found.correlation < 0.01
    assert found.worth(found.correlation) > 0.5


def test_each_stop_of_a_process_is_worth_about_one() -> None:
    """Ten stops of four seconds in 1,000 s: 400 bad ones of 10,000 are ten. Some of a block is
    good, so that its trials are not wholly alike.
    """
    found = stopping(1_000, 10, every_s=100, for_s=4)
    assert 8 <= found.worth(found.correlation) * found.n_hits <= 13


@pytest.mark.parametrize(("n_seconds", "more"), [(8, False), (25, False), (1_000, True)])
def test_a_stop_in_a_time_too_short_to_compare_is_no_proof(n_seconds: int, more: bool) -> None:
    """In one block there is no variance: ten late answers of a second looked like ten events."""
    candidate = stopping(n_seconds, 10, every_s=50, for_s=1)
    stable = Clumps()
    for second in range(n_seconds):
        stable.add(float(second), 0, 90)
    assert is_more(candidate, stable, ratio=1.5, least_share=0.001) == more


def test_independent_hits_are_more_by_their_numbers() -> None:
    """One in a hundred against one in a thousand, of a ninth of the trials; not the other way
    round, and not where it is hardly any.
    """
    one = by_chance(1_000, 1, 0.01)
    other = by_chance(1_000, 9, 0.001)
    assert is_more(one, other, ratio=2.0, least_share=0.001)
    assert not is_more(other, one, ratio=2.0, least_share=0.001)
    assert not is_more(one, other, ratio=2.0, least_share=0.05)


@pytest.mark.parametrize(("n_stops", "more"), [(2, False), (12, True)])
def test_stops_are_compared_as_stops_whatever_the_share_of_the_trials(
    n_stops: int, more: bool
) -> None:
    """Two against none are chance, though stable had nine times the requests in that time; a dozen
    are none.
    """
    candidate = stopping(2_400, 10, every_s=2_400 // n_stops, for_s=4)
    stable = Clumps()
    for second in range(2_400):
        stable.add(float(second), 0, 90)
    assert is_more(candidate, stable, ratio=2.0, least_share=0.001) == more
    assert not is_more(candidate, candidate, ratio=2.0, least_share=0.001)


@pytest.mark.parametrize("n_hits", [0, 100])
def test_all_or_none_correlates_with_nothing(n_hits: int) -> None:
    """There is no variance to tell it by; and nothing asked means nothing known."""
    found = Clumps()
    for block in range(10):
        found.add(block * BLOCK_S, n_hits, 100)
    assert found.correlation == 0.0
    assert Clumps().correlation == 0.0
    assert is_more(found, Clumps(), ratio=2.0, least_share=0.001) is False
    assert is_more(Clumps(), found, ratio=2.0, least_share=0.001) is False


def test_blocks_begin_anew_after_ten_seconds() -> None:
    """One block has no company beyond it: 100 trials of a second each, then one after a pause."""
    found = Clumps()
    for second in range(10):
        found.add(float(second), 0, 10)
    found.add(25.0, 0, 1)
    assert found.mean_block == pytest.approx((100 * 100 + 1) / 101)
