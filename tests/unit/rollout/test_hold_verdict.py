"""A candidate that is slow, or fails a slice, waits for a person, with the numbers of both."""

from watching import RUN, counts_of, table

from serve_app.rollout.counts import ARMS, Counts, Sliced, digest
from serve_app.rollout.evidence import Record
from serve_app.rollout.facts import Verdict
from serve_app.rollout.verdict import verdict
from serve_app.statistics.bins import Name
from serve_app.statistics.times import N_BINS, bin_of

MONTHS: Name = ("contract_length_months", "24 and more")
OTHERS: Name = ("contract_length_months", "under 6")


def record(*shares: float) -> Record:
    """Return the evidence of a run that has come through these shares."""
    found = Record(RUN)
    for number, share in enumerate(shares, 1):
        found.enter(number, share)
    return found


def judged(of: Record, *accepted: str, now_s: float = 100.0, **plan: object) -> Verdict:
    """Return what is said of the newest phase."""
    rollout = table(**plan).rollout
    assert rollout is not None
    return verdict(of, max(of.phases), rollout, now_s, accepted)


def with_times(phase: int, stable_s: float, candidate_s: float, n_times: int = 400) -> Counts:
    """Return a report in which all answers of a version took the same time."""
    counts = counts_of(phase, requests=(n_times, n_times))
    for arm, seconds in (("stable", stable_s), ("candidate", candidate_s)):
        counts.times[arm] = [0] * N_BINS  # type: ignore[index]
        counts.times[arm][bin_of(seconds)] = n_times  # type: ignore[index]
    return counts


def with_slice(phase: int, bad: tuple[int, int], requests: tuple[int, int]) -> Counts:
    """Return a report of one slice, (stable, candidate); each bad request has a key of its own."""
    counts = counts_of(phase, requests=(3_000, 3_000))
    part = Sliced()
    for arm, n_bad, n_requests in zip(("stable", "candidate"), bad, requests, strict=True):
        part.requests[arm] = n_requests  # type: ignore[index]
        part.bad[arm] = n_bad  # type: ignore[index]
        part.errors.first[arm] = {  # type: ignore[index]
            digest(f"{phase} {arm} {n}") for n in range(n_bad)
        }
    counts.slices = {MONTHS: part, OTHERS: Sliced()}
    return counts


def test_a_candidate_thirty_times_slower_is_held_with_both_percentiles() -> None:
    """It is not put out: a better model may take longer, and a person can want that."""
    found = record(10.0)
    found.add(with_times(1, 0.003, 0.102), 1.0)
    said = judged(found)
    assert (said.outcome, said.cause) == ("hold", "latency")
    assert "p95 108 ms of the candidate, 3.36 ms of stable; tolerated: up to 53.8 ms" in said.reason
    assert said.numbers["stable_p95_ms"] == 3.4
    assert said.numbers["candidate_p95_ms"] == 107.6


def test_latency_is_held_by_the_ratio_of_the_plan_and_above_half_of_slow() -> None:
    """A person says what is too slow; what is below half of it holds nobody."""
    found = record(10.0)
    found.add(with_times(1, 0.02, 0.09), 1.0)
    assert judged(found).outcome == "hold"
    assert judged(found, guardrails={"max_p95_ratio": 8}).outcome == "pass"
    assert judged(found, guardrails={"slow_ms": 200}).outcome == "pass"


def test_a_candidate_that_is_slow_nine_times_as_often_is_held() -> None:
    """Its 95th percentile says nothing of one answer in twenty-two."""
    found = record(10.0)
    for second in range(200):
        counts = counts_of(1, requests=(450, 50))
        counts.times = {"stable": [0] * N_BINS, "candidate": [0] * N_BINS}
        for arm, n_slow, n_times in (("stable", 2, 450), ("candidate", 2 + second % 2, 50)):
            counts.times[arm][bin_of(0.003)] = n_times - n_slow  # type: ignore[index]
            counts.times[arm][bin_of(0.15)] = n_slow  # type: ignore[index]
        found.add(counts, float(second))
    said = judged(found, now_s=200.0)
    assert (said.outcome, said.cause) == ("hold", "slow answers")
    assert "500 of 10000 of the candidate's and 400 of 90000 of stable's" in said.reason
    assert judged(found, "slow answers", now_s=200.0).outcome == "pass"
    assert judged(found, now_s=200.0, guardrails={"max_slow_ratio": 20}).outcome == "pass"


def test_what_a_person_accepted_holds_no_more_and_hides_nothing_else() -> None:
    """The next cause is looked at when the first is accepted."""
    found = record(10.0)
    found.add(with_times(1, 0.003, 0.102), 1.0)
    found.add(counts_of(scores=([900] * 10, [0] * 5 + [200] * 5)), 1.0)
    said = judged(found)
    assert said.cause == "latency"
    assert "p95" in said.reason
    assert "PSI" in said.reason
    assert judged(found, "latency").cause == "psi"
    assert judged(found, "latency", "psi").outcome == "pass"


def test_a_slice_that_the_candidate_fails_is_named_with_the_numbers_of_both() -> None:
    """Overall it is better than stable, and a person must see whom it fails."""
    found = record(10.0, 50.0)
    found.add(with_slice(1, (5, 6), (270, 30)), 1.0)
    found.add(with_slice(2, (3, 30), (150, 150)), 1.0)
    said = judged(found)
    assert (said.outcome, said.cause) == ("hold", "slice contract_length_months: 24 and more")
    assert said.reason == (
        "bad answers where contract_length_months is 24 and more: 36 of 180 requests (36 keys or "
        "stops) of the candidate and 8 of 420 requests (8 keys or stops) of stable; a person "
        "decides"
    )
    assert judged(found, said.cause).outcome == "pass"


def test_a_slice_that_both_fail_holds_nobody() -> None:
    """It is a bad slice, and not a bad candidate."""
    found = record(50.0)
    found.add(with_slice(1, (60, 66), (150, 150)), 1.0)
    assert judged(found).outcome == "pass"


def test_a_key_counts_in_a_slice_once_in_the_run() -> None:
    """A heavy client is one voice, in whatever step and report it is told again."""
    found = record(10.0)
    for second in range(20):
        found.add(with_slice(1, (0, 3), (270, 30)), float(second))
    part = found.phases[1].slices[MONTHS]
    assert (part.requests["candidate"], part.bad["candidate"]) == (600, 60)
    assert part.n_keys["candidate"] == 3
    assert judged(found).cause != "slice contract_length_months: 24 and more"


def test_keys_that_an_incident_used_up_count_in_no_slice() -> None:
    """A process that stalls for five seconds is one event in a slice too."""
    found = record(50.0)
    counts = with_slice(1, (0, 1), (150, 150))
    part = counts.slices[MONTHS]
    part.bad["candidate"] = 40
    part.errors.others["candidate"] = {digest(f"used up {n}") for n in range(39)}
    found.add(counts, 1.0)
    assert judged(found).outcome == "pass"
    later = with_slice(1, (0, 0), (150, 150))
    errors = later.slices[MONTHS].errors
    errors.first["candidate"] = {digest(f"used up {n}") for n in range(39)}
    errors.of_process["candidate"] = errors.first["candidate"]
    found.add(later, 20.0)
    assert found.phases[1].slices[MONTHS].n_bad_keys("candidate") == 1


def test_stops_of_a_process_count_in_a_slice_at_even_odds_and_once() -> None:
    """Each version's processes stop as often, and every server tells each stop."""
    found = record(10.0)
    for stop in range(20):
        for server in range(3):
            counts = with_slice(1, (1, 1), (90, 10))
            errors = counts.slices[MONTHS].errors
            for arm in ARMS:
                errors.first[arm] = {digest(f"{arm} {stop} {server}")}
                errors.of_process[arm] = errors.first[arm]
            found.add(counts, 30.0 * stop + server)
    assert found.phases[1].slices[MONTHS].n_incidents == {"stable": 20, "candidate": 20}
    assert judged(found, now_s=700.0).outcome == "pass"


def test_at_100_percent_the_bar_is_what_stable_did_before() -> None:
    """There is nobody left to compare with; what a person accepted is accepted there too."""
    found = record(50.0, 100.0)
    found.add(with_times(1, 0.003, 0.003), 1.0)
    found.add(with_slice(1, (1, 1), (500, 500)), 1.0)
    assert judged(found).outcome == "pass"
    found.add(with_times(2, 0.003, 0.102), 2.0)
    assert judged(found).cause == "latency"
    found.add(with_slice(2, (0, 60), (0, 500)), 3.0)
    said = judged(found)
    assert (said.outcome, said.cause) == ("hold", "slice contract_length_months: 24 and more")
    assert "60 of 500 requests (60 keys or stops) of the candidate and 1 of 500" in said.reason
    assert judged(found, "latency", said.cause).outcome == "pass"
