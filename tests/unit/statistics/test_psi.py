"""Whether scores lie elsewhere: the index, its noise, and when it may hold a rollout."""

import math

import numpy as np
import pytest
from scipy.stats import chi2

from serve_app.statistics.psi import (
    DRIFT_PSI,
    chi_square_quantile,
    drift_limit,
    is_shifted,
    psi,
    psi_noise,
)

SHARES = np.array([0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.03, 0.02, 0.01])


def test_the_index_is_the_sum_of_its_formula() -> None:
    """Two bins by hand, half a count added to each: (p - q) · ln(p / q)."""
    p, q = 60.5 / 101, 30.5 / 101
    expected = (p - q) * math.log(p / q) + (q - p) * math.log((1 - p) / (1 - q))
    assert psi([60, 40], [30, 70]) == pytest.approx(expected)


def test_equal_histograms_have_an_index_of_0_and_sides_do_not_matter() -> None:
    """No shift, and the same shift both ways."""
    assert psi([5, 0, 95], [5, 0, 95]) == 0
    assert psi([5, 0, 95], [40, 0, 60]) == pytest.approx(psi([40, 0, 60], [5, 0, 95]))


def test_empty_bins_and_empty_sides_are_finite_and_bins_must_agree() -> None:
    """No count of zero may divide anything by zero."""
    assert 0 < psi([1000, 0], [0, 1000]) < 100
    assert psi([0, 0, 0], [0, 0, 0]) == 0
    with pytest.raises(ValueError):
        psi([1, 2], [1, 2, 3])


@pytest.mark.parametrize(
    ("n_stable", "n_candidate"), [(20_000, 2_000), (2_000, 2_000), (100_000, 1_000)]
)
def test_the_noise_is_what_sampling_gives(n_stable: int, n_candidate: int) -> None:
    """The mean of 1,000 indices where nothing differs, within a tenth (its standard error is under
    2 %).
    """
    rng = np.random.default_rng(25)
    stable, candidate = (
        rng.multinomial(n_stable, SHARES, 1_000),
        rng.multinomial(n_candidate, SHARES, 1_000),
    )
    mean = np.mean(
        [
            psi(ours, theirs)
            for ours, theirs in zip(stable.tolist(), candidate.tolist(), strict=True)
        ]
    )
    assert mean == pytest.approx(psi_noise(len(SHARES), n_stable, n_candidate), rel=0.1)


def test_a_shift_holds_only_when_there_are_scores_enough_to_tell() -> None:
    """The same two histograms, with six scores of the candidate's and with 60."""
    stable = (SHARES * 20_000).astype(int).tolist()
    shifted = SHARES[::-1]
    assert is_shifted(stable, (shifted * 60).astype(int).tolist())
    assert not is_shifted(stable, (shifted * 6.5).astype(int).tolist())
    assert not is_shifted(stable, [0] * len(stable))


def test_a_constant_is_seen_with_three_hundred_keys() -> None:
    """Half of the keys each, ten bins: all scores of the candidate lie in one of them."""
    assert is_shifted([15] * 10, [0, 0, 0, 0, 150, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(("n_stable", "n_candidate"), [(20_000, 200), (150, 150), (2_700, 30)])
def test_no_rollout_is_held_by_chance(n_stable: int, n_candidate: int) -> None:
    """1,000 candidates that are like stable. Five times the noise is, with ten bins, a chi-square
    of 45 with nine degrees of freedom: one in a million.
    """
    rng = np.random.default_rng(26)
    stable = rng.multinomial(n_stable, SHARES, 1_000)
    candidate = rng.multinomial(n_candidate, SHARES, 1_000)
    assert not any(
        is_shifted(a, b) for a, b in zip(stable.tolist(), candidate.tolist(), strict=True)
    )


@pytest.mark.parametrize("p", [0.999, 0.999_9, 0.999_99])
def test_the_quantile_of_chi_square_is_near_and_never_too_small(p: float) -> None:
    """Too large a limit finds less, and raises nothing."""
    for n_degrees in range(1, 60):
        ratio = chi_square_quantile(p, n_degrees) / chi2.ppf(p, n_degrees)
        assert 1 <= ratio <= (1.04 if p == 0.999 else 1.15)
    assert chi_square_quantile(p, 0) == 0


def test_the_limit_of_drift_is_habit_or_noise_whichever_is_larger() -> None:
    """Noise shrinks with the rows on both sides, and grows with what is watched."""
    assert drift_limit(12, 100_000, 100_000) == DRIFT_PSI
    expected = chi2.ppf(0.999, 11) * (1 / 50 + 1 / 2_000)
    assert drift_limit(12, 2_000, 50) == pytest.approx(expected, rel=0.02)
    watched = chi2.ppf(1 - 0.001 / 20, 11) * (1 / 50 + 1 / 2_000)
    assert drift_limit(12, 2_000, 50, n_compared=20) == pytest.approx(watched, rel=0.02)
    assert drift_limit(12, 0, 50) == drift_limit(12, 50, 0) == math.inf
