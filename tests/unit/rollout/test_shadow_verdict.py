"""In shadow both versions score the same rows, and their scores are compared."""

import numpy as np
import pytest
from judging import PLAN, judged, record, tell
from watching import RUN, counts_of, table

from serve_app.rollout.counts import Counts, Shadowed, Slice
from serve_app.rollout.evidence import Phase, Record, requests_of
from serve_app.rollout.facts import Verdict
from serve_app.rollout.hold_verdict import Failing
from serve_app.rollout.seen_slices import SeenSlice
from serve_app.rollout.shadow_verdict import of_shadow, worst_slices


@pytest.mark.parametrize(
    ("n_disagree", "n_pairs", "outcome"),
    [
        (0, 0, "wait"),
        (0, 20, "wait"),
        (0, 100, "pass"),
        (5, 200, "pass"),
        (9, 100, "wait"),
        (60, 200, "fail"),
    ],
)
def test_shadow_passes_by_the_upper_bound_of_what_disagrees(
    n_disagree: int, n_pairs: int, outcome: str
) -> None:
    """10 % are tolerated: few pairs prove nothing, and many that disagree abort the rollout."""
    found = record("shadow")
    tell(found, counts_of(pairs={f"k{n}": n < n_disagree for n in range(n_pairs)}))
    assert judged(found).outcome == outcome
    assert requests_of(found.phases[1])[1] == n_pairs


def passes_shadow(n_disagree: int, n_pairs: int) -> bool:
    """Tell whether the shipped plan goes on after a shadow of these pairs."""
    plan = table().rollout
    assert plan is not None
    phase = Phase("shadow")
    counted = {"candidate": n_disagree, "stable": n_pairs - n_disagree}
    phase.counted["disagreement"].update(counted)  # type: ignore[arg-type]
    phase.shadowed.n_requests = n_pairs
    return of_shadow(phase, plan, {}).outcome == "pass"


@pytest.mark.parametrize(("disagreeing", "most"), [(0.11, 0.04), (0.12, 0.01)])
def test_hardly_any_candidate_slips_through_shadow_by_being_looked_at_often(
    disagreeing: float, most: float
) -> None:
    """The bound is that of one look, and there are 2,701 of them: from 300 pairs to 3,000, one a
    second. docs/rollouts.md has the numbers.
    """
    rng = np.random.default_rng(7)
    disagree = np.cumsum(rng.random((2_000, 3_000)) < disagreeing, axis=1, dtype=np.int32)
    passes = np.zeros(2_000, bool)
    allowed = 0
    for n_pairs in range(300, 3_001):
        while passes_shadow(allowed + 1, n_pairs):
            allowed += 1
        passes |= disagree[:, n_pairs - 1] <= allowed
    assert 0 < passes.mean() <= most


def in_shadow(
    shifted_by: float = 0.0,
    constant: float | None = None,
    permuted_share: float = 0.0,
    accepted: tuple[str, ...] = (),
    **more: int,
) -> Verdict:
    """Return what is said of a shadow of 400 rows whose labels all agree.

    Of a `permuted_share` of them the candidate's scores are dealt out among themselves.
    """
    counts = counts_of(pairs={f"k{n}": False for n in range(400)})
    stable = np.linspace(0.01, 0.49, 400)
    candidate = stable + shifted_by
    if constant is not None:
        candidate = np.full(400, constant)
    rng = np.random.default_rng(7)
    rows = rng.choice(400, round(400 * permuted_share), replace=False)
    candidate[rows] = rng.permutation(candidate[rows])
    edges = [0.05 * n for n in range(1, 10)]
    counts.shadowed.agreement.count(stable, candidate, edges)
    for name, value in more.items():
        setattr(counts.shadowed, name, value)
    found = record("shadow")
    tell(found, counts)
    return judged(found, accepted=accepted)


def test_shadow_looks_at_the_scores_too() -> None:
    """A constant keeps most labels, and so does a shift: a person must see them."""
    assert in_shadow().outcome == "pass"
    assert in_shadow(shifted_by=0.002).outcome == "pass"
    assert (in_shadow(constant=0.3).outcome, in_shadow(constant=0.3).cause) == ("hold", "order")
    said = in_shadow(shifted_by=0.05)
    assert (said.outcome, said.cause) == ("hold", "shift")
    assert "+0.05" in said.reason


@pytest.mark.parametrize(
    ("permuted_share", "outcome"), [(0.1, "pass"), (0.3, "pass"), (0.7, "hold"), (1.0, "hold")]
)
def test_a_candidate_whose_ranking_is_random_is_named(permuted_share: float, outcome: str) -> None:
    """Labels, mean and histogram of a permutation are stable's: nothing else would show it.

    The rank correlation is about the share of rows that keep their score, and 0.5 is needed.
    """
    said = in_shadow(permuted_share=permuted_share)
    assert said.outcome == outcome
    assert said.numbers["rank_correlation"] == pytest.approx(1 - permuted_share, abs=0.15)
    if outcome == "hold":
        assert said.cause == "order"
        assert said.reason.startswith("the order of the rows is another one: rank correlation")


def disagreeing_in_a_slice() -> Record:
    """Return a shadow of 400 rows that go together, but for the 30 of one slice."""
    found = record("shadow")
    counts = counts_of(pairs={f"k{n}": n < 12 for n in range(400)})
    counts.shadowed.whole = Slice(400, 12)
    counts.shadowed.slices = {("plan", "old"): Slice(30, 12), ("plan", "new"): Slice(370, 0)}
    edges = [0.05 * n for n in range(1, 10)]
    scores = np.linspace(0.01, 0.49, 400)
    counts.shadowed.agreement.count(scores, scores, edges)
    tell(found, counts)
    return found


def test_a_slice_in_which_most_rows_disagree_is_named() -> None:
    """A candidate that wins overall and fails one slice is held."""
    found = disagreeing_in_a_slice()
    said = judged(found)
    assert (said.outcome, said.cause) == ("hold", "disagreement in plan: old")
    assert judged(found, accepted=(said.cause,)).outcome == "pass"


def test_who_accepts_that_the_versions_disagree_in_a_slice_does_not_accept_failing_there() -> None:
    """A candidate may well say something else where it was made better; whether it fails there is
    known only in a later step.
    """
    failing = Failing(("plan", "old"), SeenSlice())
    assert judged(disagreeing_in_a_slice()).cause != failing.cause


def test_a_candidate_that_is_late_in_shadow_is_held() -> None:
    """It has no disagreement, since it has hardly an answer."""
    assert in_shadow(n_requests=400, n_missed=20).outcome == "pass"
    assert in_shadow(n_requests=400, n_missed=200).cause == "late"


def test_a_candidate_that_answers_nothing_in_shadow_is_held_and_not_waited_for() -> None:
    """No row is ever scored by both: without a word a person would wait for ever."""
    found = record("shadow")
    counts = counts_of()
    counts.shadowed.n_missed = 150
    tell(found, counts)
    assert requests_of(found.phases[1]) == (0, 150)
    said = judged(found)
    assert (said.outcome, said.cause) == ("hold", "late")
    assert said.numbers["shadow_missed_requests"] == 150
    assert judged(found, accepted=("late",)).outcome == "wait"
    counts.shadowed.n_missed = 10 * PLAN.min_requests
    tell(found, counts)
    assert judged(found, accepted=("late",)).cause == "shadow"
    assert judged(found, accepted=("late", "shadow")).outcome == "pass"


def test_what_a_person_accepts_in_shadow_does_not_hide_the_next_cause() -> None:
    """A constant that is late too is still named a constant after its lateness was accepted."""
    late = {"n_requests": 400, "n_missed": 200}
    first = in_shadow(constant=0.3, **late)
    assert first.cause == "late"
    assert "rank correlation" in first.reason
    assert in_shadow(constant=0.3, accepted=("late",), **late).cause == "order"
    assert in_shadow(accepted=("late",), **late).outcome == "pass"


def test_a_shadow_that_stays_undecided_is_for_a_person() -> None:
    """Beyond ten times min_requests more pairs would hardly tell."""
    found = record("shadow")
    tell(found, counts_of(pairs={f"k{n}": n < 98 for n in range(1_000)}))
    said = judged(found)
    assert (said.outcome, said.cause) == ("hold", "shadow")
    assert said.reason.endswith("a person decides")


def test_what_a_person_has_accepted_is_not_for_a_person_to_decide() -> None:
    """The reason goes into the log with the next step, where nobody waits for anybody."""
    found = record("shadow")
    tell(found, counts_of(pairs={f"k{n}": n < 98 for n in range(1_000)}))
    said = judged(found, accepted=("shadow",))
    assert said.outcome == "pass"
    assert said.reason.endswith("after 1000 requests; a person has accepted it")


@pytest.mark.parametrize(("most", "outcome"), [(0, "fail"), (100, "pass")])
def test_the_ends_of_the_tolerated_disagreement_work(most: float, outcome: str) -> None:
    """With 0 nothing is tolerated, and with 100 everything is."""
    found = record("shadow")
    tell(found, counts_of(pairs={f"k{n}": n < 50 for n in range(100)}))
    assert judged(found, max_disagreement_percent=most).outcome == outcome


def test_the_worst_slices_come_first_and_small_ones_not_at_all() -> None:
    """They are ranked by the lower bound of their share, if it is above that of all rows."""
    found = record("shadow")
    slices = {
        ("plan", "old"): Slice(200, 100),
        ("plan", "new"): Slice(800, 20),
        ("age", "under 30"): Slice(300, 60),
        ("age", "tiny"): Slice(20, 20),
    }
    shadowed = Shadowed(whole=Slice(1_000, 120), slices=slices)
    tell(found, Counts(RUN, 1, shadowed=shadowed))
    assert [(feature, rows) for feature, rows, _ in worst_slices(found.phases[1])] == [
        ("plan", "old"),
        ("age", "under 30"),
    ]
