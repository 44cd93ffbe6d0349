"""Drift is hardly ever raised for nothing, and half a deviation is found: by simulation, seeded."""

import pytest

from benchmarks.drift import (
    DISTRIBUTIONS,
    MOST_FALSE_PERCENT,
    N_LIVE_OF_SHIFT,
    SHIFT_SD,
    Numbers,
    raised_percent,
)

# Sizes at which chance comes nearest to the limit.
CELLS = [(200, 200), (200, 1_000), (200, 100_000), (2_000, 100), (20_000, 50)]
NUMBERS = [name for name, found in DISTRIBUTIONS.items() if isinstance(found, Numbers)]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_hardly_any_window_of_equal_rows_has_drifted(name: str) -> None:
    """At most 0.5 % of them, also with few training rows and of texts that are mostly new."""
    found = [
        raised_percent(name, n_training, n_live, n_trainings=5, n_windows=80)
        for n_training, n_live in CELLS
    ]
    assert sum(found) / len(found) <= MOST_FALSE_PERCENT


@pytest.mark.parametrize("name", NUMBERS)
def test_half_a_standard_deviation_is_found_in_500_rows(name: str) -> None:
    """Also where twenty distributions are watched together."""
    found = raised_percent(
        name,
        2_000,
        N_LIVE_OF_SHIFT,
        shift_sd=SHIFT_SD,
        n_compared=20,
        n_trainings=4,
        n_windows=50,
    )
    assert found >= 80
