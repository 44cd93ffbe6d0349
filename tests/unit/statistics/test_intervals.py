"""How sure a share is, and how unlikely what was seen of it."""

import math

import pytest

from serve_app.statistics.intervals import sum_of_squares, surprise


@pytest.mark.parametrize(
    ("n_hits", "n_rows", "share"), [(7, 10, 0.2), (10, 10, 0.2), (5, 10, 0.2), (20, 60, 0.2)]
)
def test_surprise_is_no_more_than_the_tail_of_the_binomial_allows(
    n_hits: int, n_rows: int, share: float
) -> None:
    """A bound that is wrong more often than it says would put out equal candidates; it is close."""
    tail = sum(
        math.comb(n_rows, k) * share**k * (1 - share) ** (n_rows - k)
        for k in range(n_hits, n_rows + 1)
    )
    found = surprise(n_hits, n_rows, share)
    assert -math.log(tail) - 2 < found <= -math.log(tail) + 1e-9


def test_what_was_expected_surprises_nobody() -> None:
    """Nor does nothing; what cannot happen does without end."""
    assert surprise(2, 10, 0.2) == surprise(0, 0, 0.2) == surprise(10, 10, 1.0) == 0.0
    assert surprise(1, 10, 0.0) == math.inf


def test_squares_are_those_of_what_each_group_has_beyond_its_share() -> None:
    """From three sums alone, as nobody keeps the groups."""
    groups = [(3, 10), (0, 20), (9, 30)]
    sums = (
        sum(hits * hits for hits, _ in groups),
        sum(hits * n for hits, n in groups),
        sum(n * n for _, n in groups),
    )
    expected = sum((hits - 0.2 * n) ** 2 for hits, n in groups)
    assert sum_of_squares(*sums, share=0.2) == pytest.approx(expected)
