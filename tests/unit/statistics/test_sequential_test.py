"""The judge: what its evidence is, when it fails a candidate, and how alpha is shared out."""

import math
from itertools import pairwise, product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from serve_app.statistics.loss_test import labels_limit
from serve_app.statistics.sequential_test import (
    RAIL_SHARES,
    Evidence,
    Since,
    Trials,
    bad_keys,
    judge,
    limit,
    log_e,
    pairs,
)

WEIGHTS = (1.0, 5.0, 10.0, 25.0, 50.0, 90.0)
counts = st.builds(
    bad_keys,
    st.integers(0, 3_000),
    st.integers(0, 30_000),
    st.floats(0.1, 99),
    st.sampled_from([1.0, 1.5, 3.0]),
)
histories = st.lists(counts, max_size=4)


def one_more(seen: Trials, *, hit: bool) -> Trials:
    """The same counts and another key."""
    return Trials(seen.hits + hit, seen.others + (not hit), seen.odds)


@pytest.mark.parametrize(
    "nothing", [[], [bad_keys(0, 0, 10, 1.5)], [bad_keys(0, 0, 1, 1.5), pairs(0, 0, 10)]]
)
def test_no_data_is_no_evidence(nothing: list[Trials]) -> None:
    """Before the first bad key the e-value is 1: the prior is a whole one."""
    assert log_e(nothing) == pytest.approx(0, abs=1e-12)


@given(history=histories, seen=counts)
def test_evidence_grows_with_the_candidates_bad_keys_and_falls_with_stables(
    history: list[Trials], seen: Trials
) -> None:
    """Each key pulls its own way, whatever was seen before."""
    now = log_e([*history, seen])
    assert log_e([*history, one_more(seen, hit=True)]) > now
    assert log_e([*history, one_more(seen, hit=False)]) < now


@given(history=histories, seen=counts, better=st.floats(0.01, 1))
def test_the_next_key_is_expected_to_add_nothing_to_a_candidate_that_is_just_tolerated(
    history: list[Trials], seen: Trials, better: float
) -> None:
    """The martingale property: the expected next e-value is this one at the tolerated odds, and
    less below them.
    """
    now = log_e([*history, seen])
    hit = math.exp(log_e([*history, one_more(seen, hit=True)]) - now)
    other = math.exp(log_e([*history, one_more(seen, hit=False)]) - now)
    p = seen.odds / (1 + seen.odds)
    assert p * hit + (1 - p) * other == pytest.approx(1, abs=1e-6)
    assert better * p * hit + (1 - better * p) * other <= 1 + 1e-6


def test_the_mean_of_all_e_values_after_a_dozen_keys_is_one() -> None:
    """Added up over every outcome with its own probability, at every weight."""
    for weight in WEIGHTS:
        p = 1.5 * weight / (1.5 * weight + 100 - weight)
        chances = [
            (hits, math.comb(12, hits) * p**hits * (1 - p) ** (12 - hits)) for hits in range(13)
        ]
        mean = math.fsum(
            chance * math.exp(log_e([bad_keys(hits, 12 - hits, weight, 1.5)]))
            for hits, chance in chances
        )
        assert mean == pytest.approx(1, abs=1e-9)


@given(history=histories, low=st.floats(0.1, 99), high=st.floats(0.1, 99))
def test_a_bad_key_of_the_candidates_says_less_at_a_larger_weight(
    history: list[Trials], low: float, high: float
) -> None:
    """So a better candidate, whose keys turn bad later in the rollout or never, has less evidence
    against it.
    """
    low, high = sorted((low, high))
    assert (
        log_e([*history, bad_keys(1, 0, high, 1.5)])
        <= log_e([*history, bad_keys(1, 0, low, 1.5)]) + 1e-9
    )


def beta_binomial(hits: int, others: int, odds: float) -> float:
    """Log of the mixture over p from Beta(-2, 2) above the tolerated p0, by adaptive quadrature."""
    p0 = odds / (1 + odds)

    def log_likelihood(p: float) -> float:
        return hits * math.log(p / p0) + (
            others * (math.log1p(-p) - math.log1p(-p0)) if others else 0
        )

    mode = min(max(p0, hits / (hits + others)), 1 - 1e-9)
    spread = math.sqrt(mode * (1 - mode) / (hits + others))
    cuts = sorted(
        {min(1.0, max(p0, mode + k * spread)) for k in (-8, -4, -2, -1, 0, 1, 2, 4, 8)} | {p0, 1.0}
    )
    parts = [
        quad(
            lambda p: (
                2 * odds**2 * p**-3 * (1 - p) * math.exp(log_likelihood(p) - log_likelihood(mode))
            ),
            low,
            high,
        )
        for low, high in pairwise(cuts)
    ]
    return log_likelihood(mode) + math.log(math.fsum(part for part, _ in parts))


def test_evidence_is_the_beta_binomial_mixture() -> None:
    """The sum over fixed points agrees with the integral, from well below 0 to far beyond any
    limit.
    """
    compared = 0
    for weight, n, ratio in product(WEIGHTS, (1, 2, 5, 20, 100, 500), (0.3, 1, 1.5, 2, 3, 10, 100)):
        hits = round(n * ratio * weight / (ratio * weight + 100 - weight))
        seen = bad_keys(hits, n - hits, weight, 1.5)
        expected = beta_binomial(seen.hits, seen.others, seen.odds)
        if -5 < expected < 50:
            assert log_e([seen]) == pytest.approx(expected, abs=0.03)
            compared += 1
    assert compared > 200


@pytest.mark.parametrize("ratio", [0.01, 0.5, 1.0, 1.49, 1.6, 3.0, 100.0])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_a_million_keys_are_counted_without_loss(weight: float, ratio: float) -> None:
    """Finite, never above the best that any alternative could say, and close to it for a candidate
    that is worse.
    """
    hits = round(1e6 * ratio * weight / (ratio * weight + 100 - weight))
    seen = bad_keys(hits, 1_000_000 - hits, weight, 1.5)
    p, p0 = max(hits / 1e6, seen.odds / (1 + seen.odds)), seen.odds / (1 + seen.odds)
    best = seen.hits * math.log(p / p0) + seen.others * math.log((1 - p) / (1 - p0))
    found = log_e([seen])
    assert found <= best + 1e-6
    assert found >= 0.98 * best - 30 if ratio > 1.5 else found < 0


def test_the_shares_of_alpha_add_up_to_alpha() -> None:
    """All rails, both kinds of evidence, every step, labels, and any number of restarts together:
    alpha, never more.
    """
    for n_steps in (1, 5, 20):
        spent = 0.0
        for rail in RAIL_SHARES:
            for restarts in range(2_000):
                spent += math.exp(
                    -limit(rail, "rollout", alpha=0.01, n_steps=n_steps, restarts=restarts)
                )
                spent += n_steps * math.exp(
                    -limit(rail, "step", alpha=0.01, n_steps=n_steps, restarts=restarts)
                )
        spent += sum(math.exp(-labels_limit(0.01, restarts)) for restarts in range(2_000))
        assert 0.00999 < spent <= 0.01


def test_the_limits_of_the_shipped_plan_are_those_that_are_documented() -> None:
    """docs/rollouts.md has them, and the page of a rollout shows them next to the evidence."""
    found = {
        rail: tuple(
            round(limit(rail, since, alpha=0.01, n_steps=5), 1) for since in get_args(Since)
        )
        for rail in RAIL_SHARES
    }
    assert get_args(Since) == ("rollout", "step")
    assert found == {"errors": (5.9, 7.5), "slow": (7.4, 9.0), "disagreement": (7.8, 9.4)}
    assert round(labels_limit(0.01), 1) == 7.8
    begun_again = limit("errors", "rollout", alpha=0.01, n_steps=5, restarts=1)
    assert round(begun_again - limit("errors", "rollout", alpha=0.01, n_steps=5), 1) == 2.1


def test_a_restart_raises_every_limit() -> None:
    """Evidence that was begun again has to say more, a little more each time."""
    for rail, since in product(RAIL_SHARES, ("rollout", "step")):
        limits = [
            limit(rail, since, alpha=0.01, n_steps=5, restarts=restarts) for restarts in range(6)
        ]
        assert limits == sorted(set(limits))


def errors(step: Trials, *rollout: Trials) -> Evidence:
    """Evidence of the errors' rail."""
    return Evidence("errors", (step,), rollout)


def failed(*evidence: Evidence) -> tuple[str, Since] | None:
    """Rail and kind of evidence that fail the candidate under the shipped settings."""
    found = judge(evidence, alpha=0.01, n_steps=5).failed
    return (found.rail, found.since) if found else None


def test_an_equal_candidate_passes_and_a_broken_one_fails() -> None:
    """At 10 %: a tenth of the bad keys, and half of them."""
    assert failed(errors(bad_keys(20, 180, 10, 1.5), bad_keys(20, 180, 10, 1.5))) is None
    assert failed(errors(bad_keys(100, 100, 10, 1.5), bad_keys(100, 100, 10, 1.5))) == (
        "errors",
        "rollout",
    )


def test_what_each_step_leaves_open_adds_up_over_the_rollout() -> None:
    """Errors 2.2 times stable's: no step alone is beyond chance, together they are."""
    steps = [bad_keys(20, 900, 1, 1.5), bad_keys(60, 518, 5, 1.5), bad_keys(150, 205, 25, 1.5)]
    assert all(failed(errors(step, step)) is None for step in steps)
    assert failed(errors(steps[-1], *steps)) == ("errors", "rollout")


def test_a_candidate_that_breaks_late_is_found_by_the_step_alone() -> None:
    """Most keys have been bad before and do not count again since the rollout began; in this step
    they do.
    """
    before = bad_keys(20, 900, 5, 1.5)
    assert failed(errors(bad_keys(60, 15, 25, 1.5), before, bad_keys(4, 2, 25, 1.5))) == (
        "errors",
        "step",
    )


def test_the_rail_furthest_beyond_its_limit_is_named() -> None:
    """Of several that fail, the reason is the clearest one."""
    many = (bad_keys(80, 30, 10, 1.5),)
    slow = Evidence("slow", many, many)
    some = errors(bad_keys(30, 30, 10, 1.5), bad_keys(30, 30, 10, 1.5))
    assert failed(some) == ("errors", "rollout")
    assert failed(some, slow) == ("slow", "rollout")


def test_disagreement_beyond_what_is_tolerated_fails_in_shadow_too() -> None:
    """60 of 300 pairs where 10 % are tolerated, and 30 of 300."""
    many, few = (pairs(60, 300, 10),), (pairs(30, 300, 10),)
    assert failed(Evidence("disagreement", many, many)) == ("disagreement", "rollout")
    assert failed(Evidence("disagreement", few, few)) is None


@pytest.mark.parametrize("weight", [0.0, 100.0])
def test_with_nobody_to_compare_with_there_is_no_evidence(weight: float) -> None:
    """In shadow and at 100 % one arm has no keys: bad keys of the other say nothing of a ratio."""
    assert log_e([bad_keys(500, 0, weight, 1.5)]) == pytest.approx(0, abs=1e-12)


def test_a_display_shows_each_evidence_beside_its_limit_and_why() -> None:
    """Two findings for a rail, in words that name the counts."""
    step, early = bad_keys(12, 15, 10, 1.5), bad_keys(2, 80, 1, 1.5)
    judgement = judge([errors(step, early, step)], alpha=0.01, n_steps=5)
    rollout, alone = judgement.findings
    assert rollout.reason == (
        "errors: 14 of 109 bad keys or stops were the candidate's since the rollout began; "
        "tolerated: up to 5.1"
    )
    assert alone.reason.startswith(
        "errors: 12 of 27 bad keys or stops were the candidate's since the step began"
    )
    assert rollout.log_e == log_e([early, step]) and alone.log_e == log_e([step])
    assert (rollout.limit, alone.limit) == pytest.approx(
        (math.log(1 / 0.0028), math.log(1 / 0.00056))
    )
