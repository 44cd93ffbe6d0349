"""Whole rollouts, simulated and looked at every second: how often the judge is wrong, and how soon
it is right.

Every simulation is seeded, so a count is the same each time. Where a rate is compared with alpha,
1,000 rollouts at most 0.7 alpha false would exceed alpha with a probability of 10 % (binomial);
what is found is at most 0.3 alpha.
"""

import numpy as np
import pytest

from benchmarks.judge import median_requests
from benchmarks.looks import ALPHA, Aborted, abort, log_sum, log_terms
from benchmarks.rollouts import STEPS, Events, Step, even_keys, zipf_keys
from serve_app.statistics.sequential_test import Evidence, Trials, bad_keys, judge, log_e

N = 1_000


def union(*found: Aborted) -> float:
    """The share of rollouts that any of these ended."""
    return float(np.any([aborted.step >= 0 for aborted in found], axis=0).mean())


def disagreements(rng: np.random.Generator, share: float) -> list[Step]:
    """A pair a second over shadow and four steps; told to `abort` with max_ratio 1: `share`
    tolerated is 0.1.
    """
    at_s = np.broadcast_to(np.arange(1.0, 301.0), (N, 300))
    steps = [Events(at_s, rng.random(at_s.shape) < share, 0.1) for _ in range(5)]
    return [Step(events, events) for events in steps]


def test_the_judge_in_arrays_is_the_judge() -> None:
    """What is simulated here and what serves are the same number, over several steps."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        seen = [
            bad_keys(int(rng.integers(0, 60)), int(rng.integers(0, 400)), weight, 1.5)
            for weight in (1.0, 5.0, 25.0)
        ]
        terms = sum(
            log_terms(np.array([c.hits]), np.array([c.hits + c.others]), c.odds) for c in seen
        )
        assert log_sum(np.asarray(terms))[0] == pytest.approx(log_e(seen), abs=1e-9)


def test_the_judge_fails_a_rollout_in_the_second_in_which_its_simulation_ends() -> None:
    """Simulated rollouts of a worse candidate, given to `judge` second by second: not earlier, not
    later.
    """
    steps = even_keys(np.random.default_rng(2), 12, 0.01, 3)
    found = abort(steps)
    assert (found.step >= 0).all()

    def failed(row: int, at_s: float) -> bool:
        history: list[Trials] = []
        for number, weight in enumerate(STEPS[: found.step[row] + 1]):
            events = steps[number].rollout
            seen = events.at_s[row] <= (at_s if number == found.step[row] else np.inf)
            seen &= np.isfinite(events.at_s[row])
            hits = int((seen & events.hits[row]).sum())
            history.append(bad_keys(hits, int(seen.sum()) - hits, weight, 1.5))
        evidence = Evidence("errors", (history[-1],), tuple(history))
        return judge([evidence], alpha=ALPHA, n_steps=5).failed is not None

    for row in range(12):
        assert [failed(row, second) for second in range(1, int(found.at_s[row]) + 1)].index(
            True
        ) + 1 == found.at_s[row]


def test_false_aborts_of_equal_candidates_stay_within_alpha_with_even_keys() -> None:
    """1,000 A/A rollouts with all three rails, disagreement just at what is tolerated."""
    rng = np.random.default_rng(3)
    errors, slow = abort(even_keys(rng, N, 0.01, 1)), abort(even_keys(rng, N, 0.02, 1), rail="slow")
    disagreement = abort(disagreements(rng, 0.1), 1, rail="disagreement")
    assert union(errors, slow, disagreement) <= ALPHA


def test_false_aborts_of_equal_candidates_stay_within_alpha_with_zipf_keys() -> None:
    """1,000 A/A rollouts over 500 keys of unequal traffic and unequal error rates, errors rare and
    not.
    """
    rng = np.random.default_rng(4)
    slow = abort(zipf_keys(rng, N, 0.05, 1), rail="slow")
    assert union(slow, abort(zipf_keys(rng, N, 0.002, 1))) <= ALPHA
    assert union(slow, abort(zipf_keys(rng, N, 0.02, 1))) <= ALPHA


@pytest.mark.parametrize("max_ratio", [1.0, 1.5])
def test_false_aborts_stay_within_alpha_where_the_candidate_is_just_tolerated(
    max_ratio: float,
) -> None:
    """No slack: the candidate is exactly as bad as max_ratio allows; with alpha 0.1 too, where some
    are seen.
    """
    rng = np.random.default_rng(5)
    for steps in (even_keys(rng, N, 0.01, max_ratio), zipf_keys(rng, N, 0.02, max_ratio)):
        assert abort(steps, max_ratio).share <= ALPHA
        assert 0 < abort(steps, max_ratio, alpha=0.1).share <= 0.1


def test_a_judge_of_requests_is_wrong_far_more_often_than_alpha() -> None:
    """Equal candidates too, but every bad request counted: false alarms in 30 of 1,000 or more,
    where alpha is 10.

    At a rate of alpha, 30 or more come with a probability of 2e-7. So the simulations above can
    fail.
    """
    assert abort(zipf_keys(np.random.default_rng(6), N, 0.002, 1, "requests")).share >= 3 * ALPHA


@pytest.mark.parametrize(("error", "ratio", "within"), [(0.001, 10, 1_100), (0.05, 2, 2_000)])
def test_a_worse_candidate_is_found_in_time_at_10_percent(
    error: float, ratio: float, within: int
) -> None:
    """The median of canary requests at 10 % in a plan with steps 1, 5, 10, 25, 50; a tenth is left
    for chance.
    """
    assert median_requests(np.random.default_rng(7), error, ratio, 10) <= 1.1 * within


def test_a_worse_candidate_does_not_get_through_the_shipped_plan() -> None:
    """0.1 % → 1 % and 5 % → 10 % at 100 requests/s: of 500 rollouts each, none passes."""
    rng = np.random.default_rng(8)
    assert abort(even_keys(rng, 500, 0.001, 10)).share == 1
    assert abort(even_keys(rng, 500, 0.05, 2)).share == 1


def test_disagreement_beyond_what_is_tolerated_is_found() -> None:
    """20 % where 10 % are tolerated: every rollout of 1,000 ends, most of them in shadow."""
    found = abort(disagreements(np.random.default_rng(9), 0.2), 1, rail="disagreement")
    assert found.share == 1
    assert np.median(found.step) == 0
