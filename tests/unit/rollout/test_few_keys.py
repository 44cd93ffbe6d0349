"""Where few keys were seen, a person is told what that means for the judge."""

import math
from collections.abc import Mapping

import pytest
from watching import RUN, counts_of

from serve_app.rollout.evidence import Record
from serve_app.rollout.few_keys import few_keys, fewest_bad_keys, fewest_pairs
from serve_app.rollout.verdict import verdict
from serve_app.settings import Guardrails, Rollout

PLAN = Rollout(
    stable="1.0.0", candidate="1.1.0", steps=("shadow", 10.0, 50.0, 100.0), min_requests=100
)


def in_shadow(n_keys: int, n_requests: int, n_disagree: int = 0) -> Record:
    """Return a record of a shadow in which these keys sent these requests."""
    found = Record(RUN)
    found.enter(1, "shadow")
    pairs: Mapping[str, bool] = {f"key-{n}": n < n_disagree for n in range(n_keys)}
    counts = counts_of(1, pairs=pairs)
    counts.shadowed.n_requests = n_requests
    found.add(counts, 1.0)
    return found


def test_shadow_with_few_keys_says_that_each_is_compared_once() -> None:
    """Three keys are three pairs, however long it goes on."""
    said = few_keys(in_shadow(3, 5_000), 1, PLAN)
    assert said.startswith("few keys: 5,000 requests of 3; each is compared once")
    assert "promotes" in said


@pytest.mark.parametrize(
    ("n_keys", "n_requests"),
    [
        # Every request has a key of its own.
        (500, 500),
        # Few requests are no sign of few keys.
        (3, 50),
        # Few keys, but as many as shadow needs.
        (200, 5_000),
    ],
)
def test_shadow_that_needs_no_more_keys_says_nothing(n_keys: int, n_requests: int) -> None:
    """A sentence that always stands there is read by nobody."""
    assert few_keys(in_shadow(n_keys, n_requests), 1, PLAN) == ""


def test_what_shadow_knew_of_keys_is_said_in_the_steps_after_it() -> None:
    """A candidate with few keys goes on without a bad one, and without evidence."""
    found = in_shadow(20, 5_000)
    found.enter(2, 10.0)
    found.add(counts_of(2, requests=(900, 100)), 2.0)
    needed = fewest_bad_keys(10.0, PLAN)
    said = few_keys(found, 2, PLAN)
    assert said.startswith("few keys: in shadow 5,000 requests of 20; ")
    assert f"needs {needed} bad ones" in said
    many = in_shadow(400, 400)
    many.enter(2, 10.0)
    assert few_keys(many, 2, PLAN) == ""


def test_many_bad_requests_of_few_keys_are_said() -> None:
    """They look like proof to a person, and are none: it may be one heavy client."""
    found = Record(RUN)
    found.enter(1, 10.0)
    found.add(counts_of(1, errors=(["a"], ["b", "c"]), bad=(10, 190), requests=(2_000, 500)), 1.0)
    assert few_keys(found, 1, PLAN).startswith("few keys: 200 bad requests of 3 keys; ")


def test_a_step_in_which_no_key_falls_to_the_candidate_says_so() -> None:
    """Twenty tenants at 1 %: it would wait for requests of the candidate for ever."""
    found = Record(RUN)
    found.enter(1, 1.0)
    found.add(counts_of(1, requests=(5_000, 0), scores=([2] * 10, [])), 1.0)
    said = few_keys(found, 1, PLAN)
    assert said.startswith("few keys: 5,000 requests of 20, none of which falls to the candidate")
    assert "at 1 %; `step` goes on" in said
    found.add(counts_of(1, requests=(0, 1)), 2.0)
    assert few_keys(found, 1, PLAN) == ""


def test_at_all_traffic_nothing_is_compared_so_that_keys_do_not_matter() -> None:
    """There the candidate is judged by what stable did before."""
    found = in_shadow(3, 5_000)
    found.enter(2, 100.0)
    assert few_keys(found, 2, PLAN) == ""


@pytest.mark.parametrize("percent", [1.0, 10.0, 50.0])
def test_the_fewest_bad_keys_are_those_with_which_the_judge_fails_a_candidate(
    percent: float,
) -> None:
    """One key less is not enough, even if all of them are the candidate's."""
    n_keys = fewest_bad_keys(percent, PLAN)
    for n, outcome in ((n_keys - 1, False), (n_keys, True)):
        found = Record(RUN)
        found.enter(1, percent)
        keys = [f"key-{i}" for i in range(n)]
        found.add(counts_of(1, errors=([], keys), requests=(0, 2 * n)), 1.0)
        assert (verdict(found, 1, PLAN, 1.0).outcome == "fail") is outcome


def test_the_fewest_pairs_are_those_with_which_shadow_passes() -> None:
    """Without one disagreement; if none is tolerated, no number is enough."""
    n_pairs = math.ceil(fewest_pairs(PLAN.guardrails))
    assert verdict(in_shadow(n_pairs, n_pairs), 1, PLAN, 1.0).outcome == "pass"
    assert verdict(in_shadow(n_pairs - 1, n_pairs - 1), 1, PLAN, 1.0).outcome == "wait"
    assert math.isinf(fewest_pairs(Guardrails(max_disagreement_percent=0)))
