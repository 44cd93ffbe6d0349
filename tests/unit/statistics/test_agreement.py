"""How the scores of two versions go together, held against scipy and numpy on the same rows."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from serve_app.statistics.agreement import Agreement

EDGES = [n / 10 for n in range(1, 10)]
N_ROWS = 500


def random_scores(seed: int = 7) -> np.ndarray:
    """Return scores that lie unevenly in the bins, of which some are empty, (N_ROWS,)."""
    return np.random.default_rng(seed).beta(0.6, 3.0, N_ROWS)


def agreement(stable: np.ndarray, candidate: np.ndarray) -> Agreement:
    """Count these rows."""
    found = Agreement()
    found.count(stable, candidate, EDGES)
    return found


def in_bins(scores: np.ndarray) -> np.ndarray:
    """Return the bin of each score; a score on an edge belongs to the bin above it."""
    return np.searchsorted(EDGES, scores, side="right")


def permuted(scores: np.ndarray, seed: int = 1) -> np.ndarray:
    """Return the same scores, of other rows."""
    return np.random.default_rng(seed).permutation(scores)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3, 2.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_rank_correlation_is_spearmans_of_the_bins(noise: float, sign: int) -> None:
    """With ties in every bin: from the same order over hardly any to the opposite one."""
    stable = random_scores()
    candidate = sign * stable + np.random.default_rng(3).normal(0.0, noise, N_ROWS)
    # The scores of both use all of the bins.
    candidate = (candidate - candidate.min()) / np.ptp(candidate)
    expected = spearmanr(in_bins(stable), in_bins(candidate)).statistic
    assert agreement(stable, candidate).rank_correlation() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_a_permutation_of_the_scores_has_no_order_in_common_with_them(seed: int) -> None:
    """Its mean and histogram are stable's own, so that its order alone tells it from a copy."""
    stable = random_scores()
    candidate = permuted(stable, seed)
    found = agreement(stable, candidate)
    expected = spearmanr(in_bins(stable), in_bins(candidate)).statistic
    assert found.rank_correlation() == pytest.approx(expected, abs=1e-9)
    # Five of its standard deviations, which are 1 / sqrt(n - 1).
    assert abs(expected) < 5 / math.sqrt(N_ROWS - 1)
    assert found.mean_difference == pytest.approx(0.0, abs=1e-12)


def test_the_order_is_told_by_bins_and_not_by_scores() -> None:
    """Within a bin rows may change places: a difference so small is not another order."""
    stable = np.repeat([0.05, 0.15, 0.25], 10)
    within = stable + np.tile([0.04, 0.01], 15)
    assert agreement(stable, within).rank_correlation() == pytest.approx(1.0)


def test_a_constant_has_no_order_and_where_stable_is_one_nothing_is_said() -> None:
    """scipy has no number for either of them, and says so with a NaN."""
    stable = random_scores()
    constant = np.full(N_ROWS, 0.42)
    assert agreement(stable, constant).rank_correlation() == 0.0
    assert agreement(constant, stable).rank_correlation() is None
    assert Agreement().rank_correlation() is None


def test_what_servers_counted_one_by_one_is_what_one_would_have_counted() -> None:
    """Each report has some of the rows."""
    stable = random_scores()
    candidate = 0.5 * stable + 0.5 * permuted(stable)
    parts = Agreement()
    for place in np.array_split(np.arange(N_ROWS), 7):
        parts.add(agreement(stable[place], candidate[place]))
    whole = agreement(stable, candidate)
    assert parts.table == whole.table
    assert parts.rank_correlation() == whole.rank_correlation()
    assert parts.mean_difference == pytest.approx(whole.mean_difference)
    assert parts.noise == pytest.approx(whole.noise)
    assert parts.spread == pytest.approx(whole.spread)


def test_shift_noise_and_spread_are_mean_standard_error_and_standard_deviation() -> None:
    """Of the differences, and of stable's scores."""
    stable = random_scores()
    candidate = 0.9 * stable + 0.02
    found = agreement(stable, candidate)
    gap = candidate - stable
    assert found.mean_difference == pytest.approx(gap.mean())
    assert found.noise == pytest.approx(gap.std() / math.sqrt(N_ROWS))
    assert found.spread == pytest.approx(stable.std())


def test_of_fewer_than_two_rows_nobody_knows_the_noise() -> None:
    """So that no shift is ever beyond it."""
    one = agreement(np.array([0.2]), np.array([0.9]))
    assert (one.mean_difference, one.noise, one.spread) == (pytest.approx(0.7), math.inf, 0.0)
    assert (Agreement().mean_difference, Agreement().noise) == (0.0, math.inf)
