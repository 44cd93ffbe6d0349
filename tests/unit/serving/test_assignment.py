"""A key is assigned to the same version everywhere and always, in the shares of the table."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.serving.assignment import assign, position_percent

KEYS = [f"customer-{number}" for number in range(20_000)]
percents = st.floats(0, 100, allow_nan=False)


@pytest.mark.parametrize(
    ("salt", "key", "position"),
    [
        ("churn/1.0.0", "customer-1", 8.129757968406997),
        ("churn/1.0.0", "customer-2", 82.90984290449583),
        ("churn/1.1.0", "customer-1", 47.181372641477),
        ("delivery_time/1.0.0", "customer-1", 4.583252412053866),
        ("churn/1.0.0", "Zürich", 92.58477231739268),
    ],
)
def test_a_key_stands_where_it_always_stood(salt: str, key: str, position: float) -> None:
    """Another hash would move every customer to another version on the day of an update."""
    assert position_percent(salt, key) == pytest.approx(position, abs=1e-9)


@given(salt=st.text(max_size=80), key=st.text(max_size=200))
def test_a_position_lies_between_0_and_100(salt: str, key: str) -> None:
    """Any key that a header can carry has a place, the same when asked again."""
    position = position_percent(salt, key)
    assert 0 <= position <= 100
    assert position == position_percent(salt, key)


def test_positions_are_uniform() -> None:
    """Each tenth holds its share of the keys, within four standard deviations (binomial)."""
    positions = np.array([position_percent("churn/1.0.0", key) for key in KEYS])
    counts, _ = np.histogram(positions, bins=10, range=(0, 100))
    spread = math.sqrt(len(KEYS) * 0.1 * 0.9)
    assert np.abs(counts - len(KEYS) / 10).max() < 4 * spread


@pytest.mark.parametrize("percent", [1, 5, 25, 50, 99])
def test_a_candidate_gets_its_share_of_the_keys(percent: float) -> None:
    """What the table says is what comes, within four standard deviations."""
    got = sum(assign("churn/1.0.0", key, "1.0.0", [("1.1.0", percent)]) == "1.1.0" for key in KEYS)
    share = percent / 100
    assert abs(got - len(KEYS) * share) < 4 * math.sqrt(len(KEYS) * share * (1 - share))


def test_three_arms_get_their_shares_and_stable_the_rest() -> None:
    """With two candidates next to stable nobody is counted twice, and nobody is lost."""
    weights = [("1.1.0", 20.0), ("1.2.0", 30.0)]
    got = [assign("churn/1.0.0", key, "1.0.0", weights) for key in KEYS]
    for version, share in {"1.0.0": 0.5, "1.1.0": 0.2, "1.2.0": 0.3}.items():
        spread = math.sqrt(len(KEYS) * share * (1 - share))
        assert abs(got.count(version) - len(KEYS) * share) < 4 * spread
    assert set(got) == {"1.0.0", "1.1.0", "1.2.0"}


@pytest.mark.parametrize(
    ("weights", "version"),
    [
        ([], "1.0.0"),
        ([("1.1.0", 0.0)], "1.0.0"),
        ([("1.1.0", 100.0)], "1.1.0"),
        ([("1.1.0", 0.0), ("1.2.0", 100.0)], "1.2.0"),
    ],
)
def test_weights_0_and_100_leave_nobody_out(weights: list[tuple[str, float]], version: str) -> None:
    """A blue-green switch moves everybody or nobody."""
    assert {assign("churn/1.0.0", key, "1.0.0", weights) for key in KEYS[:2_000]} == {version}


@given(key=st.text(), low=percents, high=percents)
def test_raising_a_weight_never_takes_a_key_back(key: str, low: float, high: float) -> None:
    """A customer who has seen the new version keeps it while the rollout advances."""
    low, high = sorted((low, high))
    before = assign("churn/1.0.0", key, "1.0.0", [("1.1.0", low)])
    after = assign("churn/1.0.0", key, "1.0.0", [("1.1.0", high)])
    assert (before, after) in {("1.0.0", "1.0.0"), ("1.0.0", "1.1.0"), ("1.1.0", "1.1.0")}


@pytest.mark.parametrize("salt", ["churn/1.1.0", "delivery_time/1.0.0", "churn/1.0.1"])
def test_another_salt_takes_other_people(salt: str) -> None:
    """The next rollout, and another model, must not try things out on the same customers."""
    here = np.array([position_percent("churn/1.0.0", key) for key in KEYS[:5_000]])
    there = np.array([position_percent(salt, key) for key in KEYS[:5_000]])
    assert abs(np.corrcoef(here, there)[0, 1]) < 4 / math.sqrt(5_000)


def test_keys_that_look_alike_are_spread() -> None:
    """Numbered customers do not come in a row: positions of neighbours are not correlated."""
    positions = np.array([position_percent("churn/1.0.0", key) for key in KEYS[:5_000]])
    assert abs(np.corrcoef(positions[:-1], positions[1:])[0, 1]) < 4 / math.sqrt(5_000)
