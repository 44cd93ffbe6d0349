"""The test of labels: equal candidates are left alone at all looks, worse and better ones found."""

import json
import math

import numpy as np
import pytest

from serve_app.statistics import loss_test
from serve_app.statistics.loss_test import (
    STAKES,
    Arm,
    LossTest,
    labels_limit,
    mean_bounds,
)

LIMIT = labels_limit(0.01)


def run(
    seed: int,
    stable: float,
    candidate: float,
    *,
    n: int = 3_000,
    share: float = 0.2,
    max_ratio: float = 1.0,
    drift: float = 0.0,
) -> tuple[float, float, int]:
    """The largest evidence (worse, better) at any look, and the labels when worse was found.

    Losses are 0 or 1; `drift` is added to both rates from the first label to the last.
    """
    rng = np.random.default_rng(seed)
    test = LossTest(max_ratio)
    worse = better = -math.inf
    found = 0
    is_candidate = rng.random(n) < share
    rates = np.where(is_candidate, candidate, stable) + drift * np.arange(n) / n
    for i, (chosen, loss) in enumerate(zip(is_candidate, rng.random(n) < rates, strict=True)):
        test.add(0, "candidate" if chosen else "stable", i, float(loss))
        if i % 20 == 0:
            seen = test.evidence
            worse, better = max(worse, seen.worse_log_e), max(better, seen.better_log_e)
            if not found and worse >= LIMIT:
                found = i
    return worse, better, found


def test_equal_candidates_are_put_out_less_often_than_alpha_says() -> None:
    """400 runs, also of rates that rise to three times what they were: 0.04 % each is expected."""
    n_worse = n_better = 0
    for seed in range(400):
        worse, better, _ = run(seed, 0.15, 0.15, n=600, drift=0.3 * (seed % 2))
        n_worse += worse >= LIMIT
        n_better += better >= LIMIT
    # Four of 400 have a probability below one in a million.
    assert n_worse <= 3
    assert n_better <= 3


def test_evidence_is_expected_to_add_nothing_to_an_equal_candidate() -> None:
    """The mean of the e-values over all outcomes of two blocks is 1, by their probabilities."""
    p = 0.3
    mean = 0.0
    for outcome in np.ndindex(2, 2, 2, 2):
        test = LossTest(1.0)
        for i, loss in enumerate(outcome):
            test.add(0, ("stable", "candidate")[i % 2], i, float(loss))  # type: ignore[arg-type]
        chance = math.prod(p if loss else 1 - p for loss in outcome)
        mean += chance * math.exp(test.evidence.worse_log_e)
    assert mean == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("stable", "candidate"), [(0.1, 0.2), (0.2, 0.35)])
def test_a_worse_candidate_is_found_and_a_better_one_says_so(
    stable: float, candidate: float
) -> None:
    """Within 3,000 labels of which a fifth are the candidate's; nine of ten runs at least."""
    n_worse = sum(run(seed, stable, candidate)[0] >= LIMIT for seed in range(20))
    n_better = sum(run(seed, candidate, stable)[1] >= LIMIT for seed in range(20))
    assert n_worse >= 15
    assert n_better >= 15


def test_what_is_tolerated_is_tolerated() -> None:
    """A tenth more loss with a ratio of 1.1, which would be found with none."""
    assert all(run(seed, 0.30, 0.32, max_ratio=1.1)[0] < LIMIT for seed in range(10))


def test_labels_of_another_time_are_not_compared() -> None:
    """A step in which all labels are worse is no candidate's fault: each phase has its own blocks.

    At 5 % of a good week stable has most labels, and at 95 % of a bad one the candidate has.
    """
    rng = np.random.default_rng(3)
    test = LossTest(1.0)
    key = 0
    for phase, share, rate in ((1, 0.05, 0.1), (2, 0.95, 0.5)):
        for _ in range(2_000):
            arm = "candidate" if rng.random() < share else "stable"
            test.add(phase, arm, key, float(rng.random() < rate))  # type: ignore[arg-type]
            key += 1
    found = test.evidence
    assert found.candidate_loss is not None
    assert found.stable_loss is not None
    assert found.candidate_loss > found.stable_loss + 0.3, "which is the trap"
    assert found.worse_log_e < LIMIT


def test_a_key_counts_once_in_a_phase_and_what_is_no_loss_not_at_all() -> None:
    """A client with a thousand rows is one event."""
    test = LossTest(1.0)
    for _ in range(1_000):
        test.add(0, "candidate", 7, 1.0)
    for loss in (-0.1, 1.1, math.nan):
        test.add(0, "stable", 8, loss)
        test.add(1, "candidate", 7, 1.0)
    assert test.n == {"stable": 0, "candidate": 1}
    assert test.evidence.worse_log_e == pytest.approx(0)
    for _ in range(3):
        test.add(1, "stable", 9, 0.0)
        test.add(2, "stable", 9, 0.0)
    assert test.n["stable"] == 2


def walk(seed: int, n_keys: int, shares: tuple[float, ...], shift: float) -> float:
    """The largest evidence of worse at any look, of few keys that have labels in each phase.

    A key has a loss of its own, and labels near it; it belongs to the candidate of a phase whose
    share reaches it, as a rollout gives them. `shift` is what the candidate adds.
    """
    rng = np.random.default_rng(seed)
    test = LossTest(1.0)
    places = rng.random(n_keys)
    own = rng.beta(0.5, 1.5, n_keys)
    worst = -math.inf
    for phase, share in enumerate(shares):
        for key in rng.permutation(np.repeat(np.arange(n_keys), 3)).tolist():
            arm: Arm = "candidate" if places[key] < share else "stable"
            chance = min(own[key] + (shift if arm == "candidate" else 0.0), 1.0)
            test.add(phase, arm, key, float(rng.random() < chance))
        worst = max(worst, test.evidence.worse_log_e)
    return worst


def test_labels_of_a_shadow_step_and_of_a_small_one_leave_keys_for_the_next() -> None:
    """In shadow stable answers everybody: its labels are of all keys, and are compared with none.

    400 customers who are labelled in each step: of a much worse candidate 1 % is too few to find
    it, and 50 % are enough.
    """
    found = [walk(seed, 400, (0.0, 0.01, 0.5), 0.4) for seed in range(10)]
    assert min(found) >= LIMIT


def test_few_keys_with_many_labels_are_no_evidence_against_an_equal_candidate() -> None:
    """Which keys the candidate has is luck once, and must not count in each step again."""
    found = [walk(seed, 60, (0.0, 0.05, 0.2, 0.5, 0.5, 0.5), 0.0) for seed in range(300)]
    # At 1 % of 300 runs more than 14 have a probability below one in a million.
    assert sum(worst >= -math.log(0.01) for worst in found) <= 14


def test_more_keys_than_can_be_kept_make_room_for_those_of_the_next_phase(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within one phase nothing is added then, and nothing to a phase that was left."""
    monkeypatch.setattr(loss_test, "MOST_KEYS", 100)
    test = LossTest(1.0)
    for key in range(150):
        test.add(1, "stable", key, 0.5)
    assert test.n == {"stable": 100, "candidate": 0}
    test.add(2, "stable", 1, 0.5)
    test.add(2, "candidate", 2, 0.5)
    assert test.n == {"stable": 101, "candidate": 1}
    assert test.blocks[0] == 1
    test.add(1, "stable", 500, 0.5)
    assert test.n["stable"] == 101


def test_it_goes_on_from_a_file_as_if_nothing_had_been() -> None:
    """Also in the middle of a block; of anything else it says what is wrong."""
    rng = np.random.default_rng(1)
    whole = LossTest(1.2)
    parts = LossTest(1.2)
    for i in range(300):
        arm = "candidate" if rng.random() < 0.1 else "stable"
        loss = float(rng.random())
        for test in (whole, parts):
            test.add(i // 100, arm, i, loss)  # type: ignore[arg-type]
        parts = LossTest.from_json(json.loads(json.dumps(parts.to_json())))
    assert parts == whole
    broken = whole.to_json() | {"worse": [0.0]}
    with pytest.raises(ValueError, match=f"found 1 bettors, expected {len(STAKES)}"):
        LossTest.from_json(broken)


def test_bounds_of_a_mean_hold_at_all_times_together() -> None:
    """200 walks of 2,000 steps, looked at each tenth one from the 50th: 5 % are expected."""
    rng = np.random.default_rng(2)
    n_left = 0
    for _ in range(200):
        steps = rng.normal(0.1, 0.5, 2_000)
        totals, squares = np.cumsum(steps), np.cumsum(steps**2)
        for n in range(50, 2_000, 10):
            low, high = mean_bounds(n, totals[n - 1], squares[n - 1])
            assert low is not None
            assert high is not None
            if not low <= 0.1 <= high:
                n_left += 1
                break
    # More have a probability below one in a million.
    assert n_left <= 27
    assert mean_bounds(1, 1.0, 1.0) == (None, None)


def test_a_candidate_with_twice_the_loss_at_10_percent_is_found_as_soon_as_documented() -> None:
    """docs/labels.md: half of the labels wrong against a quarter, some 130 of the candidate's."""
    found = []
    for seed in range(21):
        rng = np.random.default_rng(seed)
        test = LossTest(1.1)
        for i in range(10_000):
            is_candidate = rng.random() < 0.1
            loss = float(rng.random() < (0.5 if is_candidate else 0.25))
            test.add(0, "candidate" if is_candidate else "stable", i, loss)
            if is_candidate and test.evidence.worse_log_e >= LIMIT:
                break
        found.append(test.n["candidate"])
    assert 80 <= np.median(found) <= 220
