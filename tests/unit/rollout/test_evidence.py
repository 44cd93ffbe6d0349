"""What the servers counted is merged, each key once in its phase, and judged."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import judged, names, record, tell
from watching import counts_of

from serve_app.rollout import evidence
from serve_app.rollout.counts import digest
from serve_app.rollout.evidence import Record, requests_of
from serve_app.rollout.facts import Verdict
from serve_app.statistics.moments import Moments

NAMES = st.lists(st.sampled_from("abcdefgh"), max_size=6)


def test_a_key_counts_once_however_many_servers_and_reports_tell_it() -> None:
    """Requests of all reports add up, keys do not."""
    found = record()
    for _ in range(3):
        tell(found, counts_of(errors=(["s"], ["a", "b"]), slow=([], ["a"]), requests=(9, 2)))
    phase = found.phases[1]
    assert phase.counted["errors"] == {"stable": 1, "candidate": 2}
    assert phase.counted["slow"] == {"stable": 0, "candidate": 1}
    assert requests_of(phase) == (27, 6)


def test_of_each_kind_of_bad_answer_the_newest_example_is_kept() -> None:
    """Older lines of a log may be gone already."""
    found = record()
    first = counts_of(requests=(0, 2))
    first.examples["candidate"] = {"late": "request-1", "raised": "request-2"}
    newer = counts_of(requests=(0, 1))
    newer.examples["candidate"] = {"late": "request-3"}
    tell(found, first)
    tell(found, newer)
    kept = found.phases[1].examples
    assert kept == {"stable": {}, "candidate": {"late": "request-3", "raised": "request-2"}}


def test_a_key_counts_again_in_the_next_phase_but_once_in_the_run() -> None:
    """It is judged since the step began, and since the rollout began."""
    found = record()
    found.enter(2, 50.0)
    tell(found, counts_of(1, errors=([], ["a"])))
    tell(found, counts_of(2, errors=([], ["a", "b"])))
    assert [phase.counted["errors"]["candidate"] for phase in found.phases.values()] == [1, 2]
    assert [phase.first["errors"]["candidate"] for phase in found.phases.values()] == [1, 1]


def test_what_comes_late_counts_in_its_own_phase_and_what_is_of_another_run_nowhere() -> None:
    """A server learns of a new weight up to two seconds late."""
    found = record()
    found.enter(2, 50.0)
    tell(found, counts_of(1, requests=(5, 5)))
    tell(found, counts_of(2, run="another", requests=(7, 7)))
    tell(found, counts_of(3, requests=(7, 7)))
    assert [requests_of(phase) for phase in found.phases.values()] == [(5, 5), (0, 0)]


@given(st.permutations(range(4)), st.lists(st.tuples(NAMES, NAMES), min_size=4, max_size=4))
@settings(max_examples=40, deadline=None)
def test_the_order_of_reports_changes_nothing(
    order: list[int], keys: list[tuple[list[str], list[str]]]
) -> None:
    """Servers report when they like. (Which version a key was assigned to, its name says.)

    It is so of what models do wrong; of incidents of processes the first one told counts.
    """
    errors = [([f"s{a}" for a in one], [f"c{b}" for b in two]) for one, two in keys]

    def reported(turns: Iterable[int]) -> Record:
        found = record()
        for i in turns:
            tell(found, counts_of(errors=errors[i], requests=(10, 10), scores=([1, 2], [0, i])))
        return found

    mixed = reported(order)
    in_order = reported(range(4))
    assert mixed.phases[1].counted == in_order.phases[1].counted
    assert mixed.phases[1].scores == in_order.phases[1].scores
    assert judged(mixed) == judged(in_order)


def test_a_sound_candidate_passes_with_its_numbers() -> None:
    """A candidate that is as bad as stable is within the guardrails."""
    found = record()
    tell(found, counts_of(requests=(900, 100), errors=(names("s", 18), names("c", 2))))
    said = judged(found)
    assert said.outcome == "pass"
    assert said.numbers["errors_candidate_keys"] == 2
    assert said.numbers["errors_rollout_log_e"] < said.numbers["errors_rollout_limit"]


def test_a_candidate_that_turns_keys_bad_fails_by_name() -> None:
    """Eight bad keys of a tenth of the traffic, and none of stable's, are no chance."""
    found = record()
    tell(found, counts_of(requests=(900, 100), errors=([], names("c", 8))))
    said = judged(found)
    assert said.outcome == "fail"
    assert said.reason.startswith("errors: 8 of 8 bad keys or stops")


def test_evidence_adds_up_over_steps() -> None:
    """Of four keys in each of two phases, neither four are enough, but all eight are."""
    found = record()
    found.enter(2, 10.0)
    tell(found, counts_of(1, errors=([], names("a", 4))))
    assert judged(found).outcome == "pass"
    tell(found, counts_of(2, errors=([], names("b", 4))))
    assert judged(found, 2).outcome == "fail"
    assert "since the rollout began" in judged(found, 2).reason


def test_an_outage_of_both_is_no_evidence_against_one() -> None:
    """At a tenth of the traffic, the candidate has a tenth of the bad keys."""
    found = record()
    tell(found, counts_of(errors=(names("s", 900), names("c", 100))))
    assert judged(found).outcome == "pass"


def at_100(
    n_bad_a_second: int, seconds: int, n_bad_before: int = 9, *, in_one_go: bool = False
) -> Verdict:
    """Return what is said when of 100 requests a second so many are bad, after a step of 50 %.

    Each of them counts, or all of a second are one incident.
    """
    found = record(50.0)
    tell(found, counts_of(requests=(900, 900), bad=(n_bad_before, 9)))
    found.enter(2, 100.0)
    for second in range(seconds):
        bad = {"bad": (0, n_bad_a_second), "errors": ([], names(f"{second}-", n_bad_a_second))}
        if in_one_go:
            bad = {"bad": (0, 0), "late": ([], [f"{second}"])}
        counts = counts_of(2, requests=(0, 100), **bad)
        if in_one_go:
            counts.bad["candidate"]["late"] = n_bad_a_second
        tell(found, counts, 100.0 + second)
    return judged(found, 2, 99.5 + seconds)


def test_at_100_percent_a_candidate_is_judged_by_what_stable_did_before() -> None:
    """1 % of stable's requests were bad: a tenth of them for half a minute is worse."""
    assert at_100(1, 40).outcome == "pass"
    assert at_100(10, 20).outcome == "wait", "not long enough"
    said = at_100(10, 40)
    assert said.outcome == "fail"
    assert said.reason.startswith("bad answers: 300 of 3000 requests of the candidate")
    assert at_100(10, 40, n_bad_before=90).outcome == "pass", "stable was as bad"


def test_at_100_percent_stops_of_a_process_roll_nobody_back() -> None:
    """A tenth of each second is late, in one go: stable's processes stop too, and nobody can say
    more. It does not finish meanwhile.
    """
    assert at_100(10, 40, in_one_go=True).outcome == "wait"


@pytest.mark.parametrize(("n_broken", "outcome"), [(100, "wait"), (0, "fail")])
def test_at_100_percent_an_outage_of_both_rolls_nobody_back(n_broken: int, outcome: str) -> None:
    """Stable, asked in the candidate's place, is broken too: to bring it back would help nobody.
    That it is full then excuses nothing: it has few replicas, and gets more when it is back.
    """
    found = record(50.0)
    tell(found, counts_of(requests=(900, 900), bad=(9, 9)))
    found.enter(2, 100.0)
    for second in range(60):
        broken = {"stood_in": 0, "broken_in_place": n_broken}
        errors = ([], names(f"{second}-", 100))
        tell(found, counts_of(2, requests=(0, 100), errors=errors, **broken), 100.0 + second)
    assert judged(found, 2, 159.5).outcome == outcome


@pytest.mark.parametrize("n_before", [0, 20])
def test_at_100_percent_nobody_is_out_for_what_stable_was_not_seen_to_do(n_before: int) -> None:
    """It was promoted at once: 2 % may be what stable fails too, so that a person decides. What
    fails most of its requests is out all the same.
    """

    def after(n_bad_a_second: int) -> Verdict:
        found = record(50.0)
        tell(found, counts_of(requests=(n_before, n_before)))
        found.enter(2, 100.0)
        for second in range(70):
            errors = ([], names(f"{second}-", n_bad_a_second))
            tell(found, counts_of(2, requests=(0, 100), errors=errors), 100.0 + second)
        return judged(found, 2, 169.5)

    said = after(2)
    assert said.outcome == "wait"
    assert f"since 0 of {n_before} that stable was asked were bad before" in said.reason
    assert after(0).outcome == "pass"
    assert after(60).cause == "failing"


def test_at_100_percent_a_candidate_that_dies_is_out_after_ten_seconds() -> None:
    """Half a minute would be too long."""
    assert at_100(100, 8).outcome == "wait"
    said = at_100(100, 12)
    assert (said.outcome, said.cause) == ("fail", "failing")


@pytest.mark.parametrize("percent", [50.0, 100.0])
@pytest.mark.parametrize("every_s", [7, 20, 50])
def test_where_few_requests_come_a_candidate_that_dies_is_out_within_ten_minutes(
    percent: float, every_s: int
) -> None:
    """One request in seven seconds is fewer than ten in a minute; a key or none makes no matter."""
    found = record(percent)
    tell(found, counts_of(requests=(500, 500)))
    found.enter(2, percent)
    is_out = False
    for second in range(0, 700, every_s):
        counts = counts_of(2, requests=(0, 1), bad=(0, 1), errors=([], ["c"]))
        tell(found, counts, 100.0 + second)
        said = judged(found, 2, 100.5 + second)
        is_out = is_out or (said.outcome, said.cause) == ("fail", "failing")
    assert is_out


def test_where_few_requests_come_ten_late_ones_put_nobody_out() -> None:
    """What a version loads at its first calls makes them late, in each server again."""
    found = record(50.0)
    tell(found, counts_of(requests=(500, 500)))
    found.enter(2, 50.0)
    for second in range(0, 200, 10):
        tell(found, counts_of(2, requests=(1, 1), late=([], ["c"])), 100.0 + second)
        assert judged(found, 2, 100.5 + second).outcome != "fail"


def failing(
    n_seconds: int, candidate: tuple[int, int], stable: tuple[int, int], **more: int
) -> Verdict:
    """Return what is said after so many seconds with (requests, bad ones) of both."""
    found = record()
    for second in range(n_seconds):
        counts = counts_of(
            requests=(stable[0], candidate[0]),
            bad=(stable[1], candidate[1]),
            errors=(["s"][: stable[1]], ["c"][: candidate[1]]),
            **more,
        )
        tell(found, counts, float(second))
    return judged(found, now_s=n_seconds - 0.5)


def test_one_key_is_enough_to_put_out_what_fails_everything() -> None:
    """Keys tell nothing where there is one; requests do, for ten seconds."""
    assert failing(8, (2, 2), (20, 0)).outcome == "hold", "the rates differ, for less than that"
    said = failing(12, (2, 2), (20, 0))
    assert (said.outcome, said.cause) == ("fail", "failing")
    assert "raised an error" in said.reason


def test_a_stall_of_five_seconds_puts_nobody_out() -> None:
    """Seven seconds of good answers around it are enough to see that it is over."""
    found = record()
    for second in range(12):
        is_stalled = 3 <= second < 8
        tell(found, counts_of(requests=(20, 20), bad=(0, 20 * is_stalled)), float(second))
        assert judged(found, now_s=second + 0.5).cause != "failing"


def test_what_several_servers_tell_of_one_stop_is_one_incident() -> None:
    """Each server is late for it at a moment of its own, while the process stops for seconds."""
    found = record()
    for i, now_s in enumerate((1.0, 1.5, 4.0, 8.5)):
        tell(found, counts_of(late=([], [f"a{i}", f"b{i}"])), now_s)
    assert found.phases[1].counted["processes"] == {"stable": 0, "candidate": 1}
    tell(found, counts_of(late=(["s"], ["c"])), 14.0)
    assert found.phases[1].counted["processes"] == {"stable": 1, "candidate": 2}
    assert found.phases[1].first["processes"] == {"stable": 1, "candidate": 2}


def test_what_a_process_did_to_a_key_uses_it_up_for_no_fault_of_the_model() -> None:
    """After a stop of stable's its keys are still evidence; else only the candidate's would be."""
    found = record()
    keys = names("s", 30)
    stop = counts_of(late=(keys[:1], []), requests=(30, 3))
    stop.errors.others["stable"] = {digest(key) for key in keys[1:]}
    tell(found, stop)
    tell(found, counts_of(errors=(keys, names("c", 3)), requests=(300, 30)), 20.0)
    assert found.phases[1].counted["errors"] == {"stable": 30, "candidate": 3}
    assert judged(found, now_s=21.0).outcome != "fail"


def test_an_incident_counts_by_any_key_that_is_new() -> None:
    """Of stable one client asks most: each of its stops begins with that client's key."""
    found = record(50.0)
    for stop in range(12):
        counts = counts_of(late=(["heavy"], [f"c{stop}"]), requests=(60, 10))
        counts.errors.others["stable"] = {digest(f"s{stop}")}
        tell(found, counts, 10.0 * stop)
    assert found.phases[1].counted["processes"] == {"stable": 12, "candidate": 12}


def test_a_client_that_is_late_each_time_is_one_incident() -> None:
    """Its requests are large, whichever version it falls to."""
    found = record(50.0)
    for second in range(600):
        tell(found, counts_of(late=([], ["heavy"]), requests=(60, 10)), float(second))
    assert found.phases[1].counted["processes"] == {"stable": 0, "candidate": 1}


def test_errors_that_are_tolerated_hide_no_other_guardrail() -> None:
    """Of 20,000 requests hardly one is bad, and answers are slow again and again."""
    found = record()
    tell(found, counts_of(requests=(180_000, 20_000), errors=([], names("c", 12))))
    for stop in range(30):
        tell(found, counts_of(slow=([], [f"slow {stop}"]), requests=(90, 10)), 10.0 * stop)
    assert judged(found, now_s=300.0).cause == "slow"


def stops(
    n_candidate: int, n_stable: int, fault: str, accepted: tuple[str, ...] = (), **more: bool
) -> Verdict:
    """Return what the judge says of so many incidents, 10 s apart, at 10 % of the keys."""
    found = record()
    for i in range(n_candidate):
        tell(found, counts_of(**{fault: ([], [f"c{i}"])}, requests=(90, 10), **more), 10.0 * i)
    for i in range(n_stable):
        tell(found, counts_of(**{fault: ([f"s{i}"], [])}, requests=(90, 10), **more), 10.0 * i)
    return judged(found, now_s=10.0 * n_candidate + 70, accepted=accepted)


def test_processes_stop_as_often_whatever_their_share_of_the_keys() -> None:
    """At 10 %, nine stops against one are chance where nine keys against one are none; forty are
    none either.
    """
    assert stops(9, 1, "errors").cause == "errors"
    assert stops(9, 1, "late").outcome != "fail"
    assert stops(40, 2, "late").cause == "errors"


@pytest.mark.parametrize("fault", ["late", "slow"])
def test_stops_of_versions_that_are_placed_otherwise_are_for_a_person(fault: str) -> None:
    """A stop of a server leaves no late answer, since what waits for it has not begun: of stable
    there none is seen, however often it stops. What the model does wrong is proof all the same.
    """
    said = stops(40, 0, fault, is_mixed=True)
    assert (said.outcome, said.cause) == ("hold", "stops")
    assert "one of the two is in the server" in said.reason
    assert stops(40, 0, fault, ("stops",), is_mixed=True).cause != "stops"
    assert stops(40, 0, fault).outcome == "fail"
    assert stops(9, 1, "errors", is_mixed=True).cause == "errors"


def test_slow_answers_are_weighed_as_the_stops_that_they_are_mostly_the_end_of() -> None:
    """At 10 %, each version stops as often: key by key, the candidate would be out."""
    assert stops(30, 30, "slow").outcome != "fail"
    assert stops(40, 2, "slow").cause == "slow"


def test_the_slow_answers_of_one_stop_are_one_incident_however_many_servers_tell_it() -> None:
    """What waited for it is answered all at once, in every server."""
    found = record()
    for server in range(10):
        tell(found, counts_of(slow=([], names(f"{server}-", 5))), 1.0 + server / 10)
    assert found.phases[1].counted["slow"] == {"stable": 0, "candidate": 1}


@pytest.mark.parametrize(("share", "n_stable"), [(10.0, 9), (50.0, 5)])
def test_a_tail_of_late_answers_on_both_sides_puts_nobody_out(share: float, n_stable: int) -> None:
    """Stable is late all the time, and the candidate, with fewer keys, now and then: each version's
    incidents are as many as their beginnings, and not fewer the more there are.
    """
    found = record(share)
    n_candidate = 10 - n_stable
    for second in range(600):
        n_now = n_candidate if second % 10 == 0 else 0
        late = (names(f"s{second}-", n_stable), names(f"c{second}-", n_now))
        tell(found, counts_of(late=late, requests=(450, 50)), float(second))
        assert judged(found, now_s=second + 0.5).outcome != "fail"


def test_stops_in_shadow_are_no_evidence() -> None:
    """Nobody is answered by the candidate there, so that only stable can be late."""
    found = record("shadow")
    for i in range(30):
        tell(found, counts_of(late=([f"s{i}"], []), requests=(90, 0)), 10.0 * i)
    assert judged(found, now_s=300.0).numbers["errors_rollout_log_e"] == 0


def stopping(n_bad_before: int) -> list[Verdict]:
    """Return what is said each second at 100 % of a process that is away for four seconds of ten;
    of stable so many of 1,000 were bad before.
    """
    said = []
    found = record(50.0)
    tell(found, counts_of(requests=(1_000, 1_000), bad=(n_bad_before, n_bad_before)))
    found.enter(2, 100.0)
    for second in range(70):
        is_away = second % 10 < 4
        late = ([], [f"{second}"] if second % 10 == 0 else [])
        counts = counts_of(2, requests=(0, 10), late=late)
        counts.bad["candidate"]["late"] = 10 * is_away
        tell(found, counts, 100.0 + second)
        said.append(judged(found, 2, 100.5 + second))
    return said


def test_at_100_percent_a_candidate_that_stops_again_and_again_is_out_within_a_minute() -> None:
    """No ten seconds of it are bad enough, and its stops are too few to count them."""
    outcomes = [one.outcome for one in stopping(10)]
    assert 50 <= outcomes.index("fail") < 60
    assert "a quarter or more in each ten seconds" in stopping(10)[-1].reason


def test_at_100_percent_who_fails_no_more_than_stable_did_is_not_out_for_a_quarter() -> None:
    """Of stable a third, or a fifth, was bad before: twice what it may be at most is the bar."""
    assert "fail" not in [one.outcome for one in (*stopping(330), *stopping(250))]


def test_what_is_tolerated_in_one_step_is_so_at_the_beginning_of_the_next() -> None:
    """Before its first request: nothing has happened since that would put it out."""
    found = record(10.0)
    tell(found, counts_of(requests=(101_250, 11_250), errors=([], names("c", 9))))
    assert judged(found).outcome == "pass"
    found.enter(2, 50.0)
    assert judged(found, 2).outcome != "fail"


def test_what_stable_answers_well_after_an_outage_is_no_evidence_against_the_candidate() -> None:
    """Nobody asks the candidate any more, and the outage of both was all that it saw."""
    found = record()
    for second in range(60):
        is_out = second < 12
        counts = counts_of(requests=(9, int(is_out)), bad=(9 * is_out, int(is_out)), stood_in=0)
        tell(found, counts, float(second))
        assert judged(found, now_s=second + 0.5).cause != "failing"


@pytest.mark.parametrize("n_answered", [74, 100])
def test_at_100_percent_what_is_dead_is_out_though_stable_is_late_in_its_place(
    n_answered: int,
) -> None:
    """Stable has few replicas then, and gets more when it is back."""
    found = record(50.0)
    tell(found, counts_of(requests=(900, 900)))
    found.enter(2, 100.0)
    for second in range(12):
        late = ([], names(f"{second}-", 100))
        tell(found, counts_of(2, late=late, stood_in=n_answered), 100.0 + second)
    assert judged(found, 2, 111.5).cause == "failing"


def test_at_100_percent_a_model_that_fails_one_tenant_each_time_is_rolled_back() -> None:
    """Keys are few, and each answer that the model failed is one."""
    found = record(50.0)
    tell(found, counts_of(requests=(900, 900)))
    found.enter(2, 100.0)
    for second in range(40):
        errors = {"errors": ([], ["tenant"]), "bad": (0, 40)}
        tell(found, counts_of(2, requests=(0, 100), **errors), 100.0 + second)
    assert judged(found, 2, 139.5).cause == "worse than before"


def test_at_100_percent_a_stop_that_each_server_tells_is_one() -> None:
    """Three in half a minute are no proof, by whichever server they are told."""
    found = record(50.0)
    tell(found, counts_of(requests=(900, 900), bad=(9, 9)))
    found.enter(2, 100.0)
    for second in range(40):
        for server in "abcd":
            late = ([], [f"{second}{server}"] if second % 10 == 5 else [])
            counts = counts_of(2, late=late, requests=(0, 2))
            found.add(counts, 100.0 + second, server)
    assert judged(found, 2, 139.5).outcome == "wait"


@pytest.mark.parametrize("n_seconds", [1, 6], ids=["a burst", "a stall of five seconds"])
def test_what_was_bad_all_at_once_puts_nobody_out_while_nobody_asks_again(n_seconds: int) -> None:
    """Nothing has failed for ten seconds then: it is one event, of which nothing is heard since."""
    found = record()
    for second in range(n_seconds):
        tell(found, counts_of(requests=(20, 20), bad=(0, 20)), float(second))
    for second in range(60):
        assert judged(found, now_s=n_seconds + second + 0.5).cause != "failing"


@pytest.mark.parametrize("every_s", [1, 5, 15])
def test_a_candidate_that_fails_every_burst_is_out_with_the_third(every_s: int) -> None:
    """Ten seconds are enough where requests come all the time, or every five seconds."""
    found = record()
    outcomes = {}
    for second in range(40):
        if second % every_s == 0:
            tell(found, counts_of(requests=(20, 20), bad=(0, 20)), float(second))
        outcomes[second] = judged(found, now_s=second + 0.2).cause == "failing"
    first = min(second for second, is_out in outcomes.items() if is_out)
    assert first <= max(10, 2 * every_s)


def test_where_stable_fails_too_nothing_is_said() -> None:
    """Not that the candidate is within the rails: it waits for the end of the outage."""
    said = failing(12, (10, 10), (10, 10), stood_in=0)
    assert said.outcome == "wait"
    assert "stable's may be as many" in said.reason


def test_what_nobody_can_tell_of_stable_is_no_fault_of_stables() -> None:
    """The candidate answers each request itself, late: nobody asks stable in its place, whose own
    keys it answers well.
    """
    said = failing(12, (10, 10), (10, 0), stood_in=0)
    assert said.cause == "failing"
    assert "0 of 100 that stable was asked" in said.reason
    found = record()
    tell(found, counts_of(requests=(900, 100), bad=(9, 9), stood_in=0, broken_in_place=3))
    total = found.phases[1].total
    assert (total.n_bad_of_stable, total.n_asked_stable) == (12, 903)


def half_bad(n_seconds: int, stable: tuple[int, int]) -> list[bool]:
    """Return of each second whether a candidate is out that fails one request in two seconds."""
    found = record()
    outcomes = []
    for second in range(n_seconds):
        is_bad = second % 2
        keys = (["s"][: stable[1]], ["c"][:is_bad])
        counts = counts_of(requests=(stable[0], 1), bad=(stable[1], is_bad), errors=keys)
        tell(found, counts, float(second))
        outcomes.append(judged(found, now_s=second + 0.5).cause == "failing")
    return outcomes


def test_half_of_ten_requests_puts_nobody_out_where_stable_fails_some_too() -> None:
    """Of ten requests five are bad by chance once in an hour, where a fifth of all are."""
    assert not any(half_bad(20, stable=(9, 2)))
    assert any(half_bad(20, stable=(9, 0)))
    assert failing(12, (1, 1), (9, 2)).cause == "failing", "all of ten against a fifth"


@pytest.mark.parametrize(("n_bad", "is_out"), [(7, False), (9, False), (12, True)])
def test_chance_that_is_looked_for_all_day_puts_nobody_out(n_bad: int, is_out: bool) -> None:
    """Of equal versions that fail a fifth, some twelve requests in a row have seven bad ones every
    few hours; twice a second it is looked for them. All of them bad are no chance.
    """
    found = record()
    for second in range(12):
        is_bad = int(second * n_bad // 12 != (second + 1) * n_bad // 12)
        keys = (names(f"s{second}-", 20), [f"c{second}"][:is_bad])
        tell(found, counts_of(requests=(99, 1), errors=keys), float(second))
    assert (judged(found, now_s=11.5).cause == "failing") == is_out


def test_with_one_key_half_of_the_requests_of_a_minute_are_proof() -> None:
    """Stable answered five in its place after ten seconds, which is too few to know it by."""
    outcomes = half_bad(70, stable=(0, 0))
    assert not any(outcomes[:15])
    assert outcomes[60]


def test_hardly_any_bad_request_is_no_harm_whatever_the_ratio() -> None:
    """Eight keys of 20,000 requests, and stable has none."""
    found = record()
    tell(found, counts_of(requests=(180_000, 20_000), errors=([], names("c", 8))))
    assert judged(found).outcome == "pass"


def test_rates_that_differ_where_keys_cannot_tell_are_for_a_person() -> None:
    """Both have had each of a few keys once; of the requests the candidate fails a tenth."""
    found = record(50.0)
    keys = (names("s", 4), names("c", 4))
    tell(found, counts_of(requests=(1_000, 1_000), bad=(10, 100), errors=keys))
    said = judged(found)
    assert (said.outcome, said.cause) == ("hold", "rates differ")
    assert "100 of 1000 requests of the candidate, 10 of 1100 that stable was asked" in said.reason


def test_a_process_that_stops_twice_makes_no_rate_that_differs() -> None:
    """All that came in its way is late at once; stable's did not stop in that quarter of an hour.
    As many late ones that come one by one are held."""

    def told(is_bad: Callable[[int], bool]) -> Verdict:
        found = record()
        for second in range(900):
            n_bad = 20 if is_bad(second) else 0
            tell(found, counts_of(requests=(180, 20), bad=(0, n_bad)), float(second))
        return judged(found, now_s=960.0)

    def is_stopped(second: int) -> bool:
        return 100 <= second < 104 or 500 <= second < 504

    assert told(is_stopped).cause != "rates differ"
    assert told(lambda second: second % 300 < 40).cause == "rates differ", "more than a tenth"
    assert told(lambda second: second % 20 == 0).cause == "rates differ"


def test_a_judge_that_could_not_see_all_keys_says_so() -> None:
    """A full set must not look like a candidate that is within the rails."""
    found = record()
    counts = counts_of(requests=(900, 100))
    counts.errors.n_left_out = 3
    tell(found, counts)
    assert judged(found).cause == "too many bad keys"


def test_a_set_of_keys_that_is_full_holds_and_blinds_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both versions have had their share of bad keys, and then the candidate breaks: what has no
    room is counted, and a candidate that fails everything is out by its requests.
    """
    monkeypatch.setattr(evidence, "MOST_KEPT_KEYS", 200)
    found = record(50.0)
    both = (names("s", 100), names("c", 100))
    tell(found, counts_of(requests=(9_000, 9_000), errors=both))
    assert judged(found).outcome == "pass"
    tell(found, counts_of(requests=(1, 1), errors=([], ["one more"])))
    assert found.phases[1].n_left_out == 1
    assert (judged(found).outcome, judged(found).cause) == ("hold", "too many bad keys")
    for second in range(12):
        broken = counts_of(requests=(50, 50), errors=([], names(f"new {second} ", 50)))
        tell(found, broken, 100.0 + second)
    said = judged(found, now_s=111.5)
    assert (said.outcome, said.cause) == ("fail", "failing")


def test_a_key_that_was_bad_in_shadow_is_still_evidence_later() -> None:
    """In shadow nothing is compared, so that it must not be used up there."""
    found = record("shadow")
    tell(found, counts_of(1, errors=(["a"], [])))
    found.enter(2, 10.0)
    tell(found, counts_of(2, errors=([], ["a"])))
    assert found.phases[2].first["errors"] == {"stable": 0, "candidate": 1}


def test_a_restart_raises_the_limits() -> None:
    """What was counted before is gone, and the false alarms of all restarts share alpha."""
    limits = [judged(record(restarts=n)).numbers["errors_rollout_limit"] for n in range(3)]
    assert limits[0] < limits[1] < limits[2]


def test_scores_that_lie_elsewhere_hold_the_rollout() -> None:
    """A better model may score differently, so a person decides; few scores say nothing."""
    found = record()
    tell(found, counts_of(requests=(900, 100), scores=([90] * 10, [0] * 5 + [4] * 5)))
    assert judged(found).outcome == "pass"
    tell(found, counts_of(scores=([900] * 10, [0] * 5 + [200] * 5)))
    said = judged(found)
    assert (said.outcome, said.cause) == ("hold", "psi")
    assert "of 1020 scores of the candidate and 9900 of stable" in said.reason
    assert said.numbers["psi"] > 0.25


def test_a_mean_score_that_lies_elsewhere_holds_the_rollout() -> None:
    """A quarter of the spread is no major shift by its PSI, and every answer is another one."""
    found = record()
    of_both = (Moments(20_000, 6_000.0, 2_600.0), Moments(2_000, 700.0, 325.0))
    tell(found, counts_of(requests=(20_000, 2_000), moments=of_both))
    said = judged(found)
    assert (said.outcome, said.cause) == ("hold", "mean score")
    assert "the mean score is 0.35 of 2000 of the candidate and 0.3 of 20000 of" in said.reason
    assert (said.numbers["stable_mean_score"], said.numbers["candidate_mean_score"]) == (0.3, 0.35)
    assert judged(found, accepted=("mean score",)).outcome == "pass"
