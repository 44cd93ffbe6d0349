"""What the servers counted is merged, each key once in its phase, and judged."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watching import RUN, counts_of

from serve_app.rollout.counts import Counts, Shadowed, Slice
from serve_app.rollout.decide import Verdict
from serve_app.rollout.evidence import Record, requests_of, worst_slices
from serve_app.settings import Rollout

PLAN = Rollout(
    stable="1.0.0", candidate="1.1.0", steps=("shadow", 10.0, 50.0, 100.0), min_requests=100
)
NAMES = st.lists(st.sampled_from("abcdefgh"), max_size=6)


def names(prefix: str, n: int) -> list[str]:
    """Return n different keys that begin alike."""
    return [f"{prefix}{i}" for i in range(n)]


def record(share: float | str = 10.0, phase: int = 1, **more: int) -> Record:
    """Return a record that has entered one phase."""
    found = Record(RUN, **more)
    found.enter(phase, share)  # type: ignore[arg-type]
    return found


def verdict(of: Record, phase: int = 1, **limits: float) -> Verdict:
    """Return the verdict under these guardrails."""
    guardrails = PLAN.guardrails.model_copy(update=limits)
    return of.verdict(phase, PLAN.model_copy(update={"guardrails": guardrails}))


def test_a_key_counts_once_however_many_servers_and_reports_tell_it() -> None:
    """Requests of all reports add up, keys do not."""
    found = record()
    for _ in range(3):
        found.add(counts_of(errors=(["s"], ["a", "b"]), slow=([], ["a"]), requests=(9, 2)))
    phase = found.phases[1]
    assert phase.bad["errors"] == {"stable": 1, "candidate": 2}
    assert phase.bad["slow"] == {"stable": 0, "candidate": 1}
    assert requests_of(phase) == (27, 6)


def test_a_key_counts_again_in_the_next_phase_but_once_in_the_run() -> None:
    """It is judged since the step began, and since the rollout began."""
    found = record()
    found.enter(2, 50.0)
    found.add(counts_of(1, errors=([], ["a"])))
    found.add(counts_of(2, errors=([], ["a", "b"])))
    assert [phase.bad["errors"]["candidate"] for phase in found.phases.values()] == [1, 2]
    assert [phase.first["errors"]["candidate"] for phase in found.phases.values()] == [1, 1]


def test_what_comes_late_counts_in_its_own_phase_and_what_is_of_another_run_nowhere() -> None:
    """A server learns of a new weight up to two seconds late."""
    found = record()
    found.enter(2, 50.0)
    found.add(counts_of(1, requests=(5, 5)))
    found.add(counts_of(2, run="another", requests=(7, 7)))
    found.add(counts_of(3, requests=(7, 7)))
    assert [requests_of(phase) for phase in found.phases.values()] == [(5, 5), (0, 0)]


@given(st.permutations(range(4)), st.lists(st.tuples(NAMES, NAMES), min_size=4, max_size=4))
@settings(max_examples=40, deadline=None)
def test_the_order_of_reports_changes_nothing(
    order: list[int], keys: list[tuple[list[str], list[str]]]
) -> None:
    """Servers report when they like. (Which version a key was assigned to, its name says.)"""
    errors = [([f"s{a}" for a in one], [f"c{b}" for b in two]) for one, two in keys]

    def reported(turns: Iterable[int]) -> Record:
        found = record()
        for i in turns:
            found.add(counts_of(errors=errors[i], requests=(1, 2), scores=([1, 2], [0, i])))
        return found

    mixed = reported(order)
    in_order = reported(range(4))
    assert mixed.phases[1].bad == in_order.phases[1].bad
    assert mixed.phases[1].scores == in_order.phases[1].scores
    assert mixed.verdict(1, PLAN) == in_order.verdict(1, PLAN)


def test_a_sound_candidate_passes_with_its_numbers() -> None:
    """A candidate that is as bad as stable is within the guardrails."""
    found = record()
    found.add(counts_of(requests=(900, 100), errors=(names("s", 18), names("c", 2))))
    said = verdict(found)
    assert said.outcome == "pass"
    assert said.numbers["errors_candidate_keys"] == 2
    assert said.numbers["errors_rollout_log_e"] < said.numbers["errors_rollout_limit"]


@pytest.mark.parametrize("rail", ["errors", "slow"])
def test_a_candidate_that_turns_keys_bad_fails_by_name(rail: str) -> None:
    """Eight bad keys of a tenth of the traffic, and none of stable's, are no chance."""
    found = record()
    found.add(counts_of(requests=(900, 100), **{rail: ([], names("c", 8))}))
    said = verdict(found)
    assert said.outcome == "fail"
    assert said.reason.startswith(f"{rail}: 8 of 8 keys")


def test_evidence_adds_up_over_steps() -> None:
    """Of four keys in each of two phases, neither four are enough, but all eight are."""
    found = record()
    found.enter(2, 10.0)
    found.add(counts_of(1, errors=([], names("a", 4))))
    assert verdict(found).outcome == "pass"
    found.add(counts_of(2, errors=([], names("b", 4))))
    assert verdict(found, 2).outcome == "fail"
    assert "since the rollout began" in verdict(found, 2).reason


def test_an_outage_of_both_is_no_evidence_against_one() -> None:
    """At a tenth of the traffic, the candidate has a tenth of the bad keys."""
    found = record()
    found.add(counts_of(errors=(names("s", 900), names("c", 100))))
    assert verdict(found).outcome == "pass"


def test_at_100_percent_there_is_nothing_to_compare_with() -> None:
    """Without keys of stable nothing is concluded, however many are bad."""
    found = record(100.0)
    found.add(counts_of(errors=([], names("c", 500)), requests=(0, 500)))
    assert verdict(found).outcome == "pass"


def test_a_restart_raises_the_limits() -> None:
    """What was counted before is gone, and the false alarms of all restarts share alpha."""
    limits = [verdict(record(restarts=n)).numbers["errors_rollout_limit"] for n in range(3)]
    assert limits[0] < limits[1] < limits[2]


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
    found.add(counts_of(pairs={f"k{n}": n < n_disagree for n in range(n_pairs)}))
    assert verdict(found).outcome == outcome
    assert requests_of(found.phases[1])[1] == n_pairs


def test_a_shadow_that_stays_undecided_is_for_a_person() -> None:
    """Beyond ten times min_requests more pairs would hardly tell."""
    found = record("shadow")
    found.add(counts_of(pairs={f"k{n}": n < 98 for n in range(1_000)}))
    said = verdict(found)
    assert (said.outcome, said.cause) == ("hold", "shadow")


@pytest.mark.parametrize(("most", "outcome"), [(0, "fail"), (100, "pass")])
def test_the_ends_of_the_tolerated_disagreement_work(most: float, outcome: str) -> None:
    """With 0 nothing is tolerated, and with 100 everything is."""
    found = record("shadow")
    found.add(counts_of(pairs={f"k{n}": n < 50 for n in range(100)}))
    assert verdict(found, max_disagreement_percent=most).outcome == outcome


def test_scores_that_lie_elsewhere_hold_the_rollout() -> None:
    """A better model may score differently, so a person decides; few scores say nothing."""
    found = record()
    found.add(counts_of(requests=(900, 100), scores=([90] * 10, [0] * 5 + [4] * 5)))
    assert verdict(found).outcome == "pass"
    found.add(counts_of(scores=([900] * 10, [0] * 5 + [200] * 5)))
    said = verdict(found)
    assert (said.outcome, said.cause) == ("hold", "psi")
    assert said.numbers["psi"] > 0.25


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
    found.add(Counts(RUN, 1, shadowed=shadowed))
    assert [(feature, rows) for feature, rows, _ in worst_slices(found.phases[1])] == [
        ("plan", "old"),
        ("age", "under 30"),
    ]
