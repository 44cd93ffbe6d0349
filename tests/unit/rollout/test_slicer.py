"""A server counts its requests by the slices that the plan asks for, and no others."""

from typing import Any

from watching import CANDIDATE, SPEC, STABLE, phase_counter, table

from serve_app.contract import Features
from serve_app.rollout.counts import MOST_REPORTED_KEYS, digest
from serve_app.rollout.phase_counter import PhaseCounter

DAYS = "monthly_active_days"


def row(days: int) -> Features:
    """Return a row that differs in its active days."""
    return SPEC.examples[0].row.model_copy(update={DAYS: days})


def counter(*names: str, **more: Any) -> PhaseCounter:
    """Return the counter of a plan with these slices."""
    return phase_counter(of=table(slice_by=list(names)), **more)


def test_a_request_counts_in_the_bin_of_its_first_row() -> None:
    """Good ones too: they say how often a slice is asked for."""
    found = counter(DAYS)
    found.note("a", STABLE, 0.01, None, 0.4, row(3))
    found.note("b", CANDIDATE, 0.01, None, 0.4, row(10))
    found.note("c", CANDIDATE, 0.01, "raised", None, row(25))
    counts = found.take()
    assert {name: part.requests for name, part in counts.slices.items()} == {
        (DAYS, "under 10"): {"stable": 1, "candidate": 0},
        (DAYS, "10 to 20"): {"stable": 0, "candidate": 1},
        (DAYS, "20 and more"): {"stable": 0, "candidate": 1},
    }
    part = counts.slices[DAYS, "20 and more"]
    assert part.bad == {"stable": 0, "candidate": 1}
    assert part.errors.first["candidate"] == {digest("c")}
    assert not found.take().slices, "what was taken is not counted again"


def test_two_features_are_two_slices_of_each_request() -> None:
    """One at a time: an average over the other may hide a few."""
    found = counter(DAYS, "nps_score")
    found.note("a", STABLE, 0.01, None, 0.4, row(3))
    assert {feature for feature, _ in found.take().slices} == {DAYS, "nps_score"}


def test_without_slices_in_the_plan_nothing_is_counted() -> None:
    """A plan that does not ask for them pays nothing."""
    found = counter()
    found.note("a", STABLE, 0.01, "raised", None, row(3))
    assert not found.take().slices


def test_a_stall_is_one_incident_in_a_slice_too() -> None:
    """The other keys in it are used up, as of the rail of errors."""
    now_s = 100.0
    found = counter(DAYS, clock=lambda: now_s)
    for n in range(5):
        found.note(f"stalled {n}", CANDIDATE, 0.1, "late", None, row(3))
    errors = found.take().slices[DAYS, "under 10"].errors
    assert errors.first["candidate"] == {digest("stalled 0")}
    assert len(errors.others["candidate"]) == 4


def test_a_report_stays_small_whatever_fails() -> None:
    """The coordinator may be away for minutes while everything fails."""
    found = counter(DAYS, "nps_score", "contract_length_months")
    for n in range(4 * MOST_REPORTED_KEYS):
        found.note(f"k{n}", CANDIDATE, 0.01, "raised", None, row(n % 28))
    counts = found.take()
    n_keys = sum(part.errors.n_keys for part in counts.slices.values())
    assert n_keys <= 3 * MOST_REPORTED_KEYS
    assert sum(part.errors.n_left_out for part in counts.slices.values())
    assert sum(part.bad["candidate"] for part in counts.slices.values()) > n_keys


def test_the_first_good_answer_of_a_key_says_how_long_its_version_takes() -> None:
    """A heavy client must not decide; the bins of a report are as many, whatever is asked."""
    found = counter()
    for _ in range(5):
        found.note("heavy", CANDIDATE, 0.09, None, 0.4, row(3))
    found.note("light", CANDIDATE, 0.002, None, 0.4, row(3))
    found.note("bad", CANDIDATE, 0.2, "late", None, row(3))
    times = found.take().times
    assert sum(times["candidate"]) == 2
    assert not times["stable"]
