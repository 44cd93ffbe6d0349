"""A shift of the mean is told where it matters and is no chance."""

import numpy as np
import pytest

from serve_app.statistics.moments import MIN_NUMBERS, Moments, is_mean_shifted


def moments_of(numbers: np.ndarray) -> Moments:
    """Count these, in two places."""
    found = [Moments(), Moments()]
    for place, number in enumerate(numbers.tolist()):
        found[place % 2].add(number)
    return found[0] + found[1]


def test_mean_and_spread_are_those_of_all_numbers() -> None:
    """Whatever part of them was counted where: reports of servers are added up."""
    numbers = np.random.default_rng(3).lognormal(2.0, 1.0, 999)
    found = moments_of(numbers)
    assert found.n == 999
    assert found.mean == pytest.approx(numbers.mean())
    assert found.spread == pytest.approx(numbers.std())


def test_nothing_has_no_spread() -> None:
    """And a single number has none, so that nothing is told of either."""
    assert (Moments().mean, Moments().spread) == (0.0, 0.0)
    assert moments_of(np.array([4.0])).spread == 0.0


@pytest.mark.parametrize(
    ("shift", "n_candidate", "is_told"),
    [
        # Of standard deviations: +0.05 on scores that spread by 0.2.
        (0.25, 5_000, True),
        # It matters to nobody.
        (0.05, 100_000, False),
        # It may be chance.
        (0.15, 250, False),
        (1.0, 250, True),
        (3.0, MIN_NUMBERS - 1, False),
    ],
)
def test_a_shift_is_told_where_it_matters_and_is_no_chance(
    shift: float, n_candidate: int, is_told: bool
) -> None:
    """More than a tenth of stable's spread, and five standard errors."""
    rng = np.random.default_rng(4)
    stable = moments_of(rng.normal(0.5, 0.2, 20_000))
    candidate = moments_of(rng.normal(0.5 + 0.2 * shift, 0.2, n_candidate))
    assert is_mean_shifted(stable, candidate) is is_told


def test_a_stable_version_that_is_constant_has_no_spread_to_compare_with() -> None:
    """Then each other mean lies elsewhere, and an equal one does not."""
    constant = moments_of(np.full(1_000, 0.5))
    assert not is_mean_shifted(constant, constant)
    assert is_mean_shifted(constant, moments_of(np.full(1_000, 0.6)))


def test_no_equal_candidate_is_told_by_chance() -> None:
    """2,000 candidates of a skewed distribution, with as few scores as may count."""
    rng = np.random.default_rng(5)
    stable = moments_of(rng.lognormal(3.0, 0.8, 20_000))
    drawn = rng.lognormal(3.0, 0.8, (2_000, MIN_NUMBERS))
    assert not any(is_mean_shifted(stable, moments_of(numbers)) for numbers in drawn)
