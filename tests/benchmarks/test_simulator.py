"""The simulator itself: seeds, virtual time, and that each fault reaches the real code."""

import asyncio
import gc
import logging
import random
import time
import warnings
from dataclasses import replace
from statistics import median

import pytest
from typer.testing import CliRunner

with warnings.catch_warnings():
    # Ray's own models warn when they are imported.
    warnings.simplefilter("ignore")
    from benchmarks.simulator.cli import app
    from benchmarks.simulator.loop import Process, VirtualLoop, context_of
    from benchmarks.simulator.run import simulate

from benchmarks.errors import BenchmarkError
from benchmarks.simulator.fault import Fault, Moment
from benchmarks.simulator.faults import (
    BadWires,
    Changes,
    ClockJump,
    FullQueues,
    Restart,
    Rush,
    SecondCluster,
    Stall,
    Stalls,
    Store,
    TakeAway,
)
from benchmarks.simulator.models import SPEC, Behaviour
from benchmarks.simulator.network import Wire
from benchmarks.simulator.outcome import Outcome, summarize
from benchmarks.simulator.runs import chosen
from benchmarks.simulator.scenario import (
    BROKEN,
    EQUAL,
    LONGEST_EXPOSURE_S,
    Expectation,
    Scenario,
)
from benchmarks.simulator.scenarios import SCENARIOS
from benchmarks.simulator.traffic import Traffic
from benchmarks.simulator.witness import Witness
from serve_app.errors import NotReady
from serve_app.serving.answer import Answered, Assignment, Failure

FAILING = Behaviour(error_share=1.0)
SMALL = Scenario(
    "small",
    "a rollout of some hundred requests",
    EQUAL,
    rollout={"steps": [50, 100], "min_seconds": 20, "min_requests": 50, "bake_seconds": 10},
    traffic=Traffic(rate_per_s=10),
    longest_s=120,
)


def told(scenario: Scenario, *faults: Fault, seed: int = 1) -> Outcome:
    """The outcome of a scenario with these faults, with its story."""
    return simulate(replace(scenario, faults=faults), seed, is_told=True)


def story_of(scenario: Scenario, *faults: Fault) -> str:
    """The story of a scenario with these faults."""
    return "\n".join(told(scenario, *faults, seed=2).story)


def test_the_same_seed_gives_the_same_story_and_another_seed_another() -> None:
    """A failing seed can be looked at again, line by line, with its times and names."""
    scenario = replace(SMALL, stable=Behaviour(error_share=0.1), placement="isolated")
    faults = (
        Restart("coordinator", every_s=15),
        BadWires(Wire(lost_share=0.2, repeated_share=0.2, late_share=0.2, late_s=2.0)),
    )
    first = told(scenario, *faults)
    again = told(scenario, *faults)
    other = told(scenario, *faults, seed=2)
    assert first.story == again.story
    assert replace(first, cpu_s=0) == replace(again, cpu_s=0)
    assert first.story != other.story


def test_nothing_of_a_run_makes_an_event_loop_when_it_is_collected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody would close it, and whichever test collects garbage next would be blamed for it."""
    expensive = Behaviour(call_ms=5)
    told(replace(SMALL, stable=expensive, candidate=expensive))
    asked: list[str] = []

    def get_event_loop() -> VirtualLoop:
        asked.append("for a loop")
        return VirtualLoop()  # type: ignore[abstract]

    monkeypatch.setattr(asyncio.get_event_loop_policy(), "get_event_loop", get_event_loop)
    gc.collect()
    assert asked == []


def test_ten_minutes_of_a_rollout_wait_for_nothing() -> None:
    """So long passes between two events of the log, and the test is over in seconds."""
    rare = replace(
        SMALL,
        rollout={**SMALL.rollout, "min_seconds": 600, "min_requests": 10},
        traffic=Traffic(rate_per_s=0.02),
        longest_s=3_000,
    )
    outcome = simulate(rare, 1)
    assert outcome.ended == "passed"
    assert outcome.seconds > 600


def test_afterwards_clocks_and_logs_are_the_real_ones_again() -> None:
    """A simulation leaves no virtual clock behind, wherever serve_app keeps a reference to one."""
    from serve_app.rollout import fleet
    from serve_app.serving import router

    logger = logging.getLogger("serve_app")
    before = (time.time, router.monotonic, fleet.Fleet.__init__.__defaults__, logger.handlers)
    simulate(SMALL, 1)
    after = (time.time, router.monotonic, fleet.Fleet.__init__.__defaults__, logger.handlers)
    assert after == before
    assert time.monotonic in (fleet.Fleet.__init__.__defaults__ or ())


@pytest.mark.parametrize("placement", ["in_server", "isolated"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_candidate_as_good_as_stable_passes_when_nothing_happens(
    placement: str, seed: int
) -> None:
    """Both ends of the report, the log and the judge work together in either placement."""
    scenario = replace(
        SMALL, placement=placement, rollout={**SMALL.rollout, "steps": ["shadow", 50, 100]}
    )
    outcome = simulate(scenario, seed)
    assert outcome.ended == "passed"
    assert outcome.n_lost == 0
    assert not outcome.is_stuck


@pytest.mark.parametrize("seed", [1, 2])
def test_a_candidate_that_fails_everything_is_out_and_stable_answers(seed: int) -> None:
    """The judge finds it by its keys, and nobody gets an error."""
    outcome = simulate(replace(SMALL, candidate=FAILING), seed)
    assert outcome.ended == "aborted"
    assert outcome.reason.startswith("errors: ")
    assert 0 < outcome.exposed_s <= LONGEST_EXPOSURE_S
    assert outcome.n_lost == 0


def test_a_passing_candidate_can_be_followed_to_the_end_of_its_bake_time() -> None:
    """Scenarios about what happens at 100 % go on until the rollout is finished."""
    outcome = told(replace(SMALL, until="finished"))
    assert outcome.ended == "passed"
    assert any("finished" in line for line in outcome.story)


CANARY = Moment("canary", 5)
REACHES = {
    "cut": (BadWires(Wire(is_cut=True), at=CANARY), "the coordinator does not answer"),
    "lost reply": (BadWires(Wire(lost_reply_share=1.0), at=CANARY), "does not answer"),
    "coordinator hangs": (Stall("coordinator", CANARY, 10), "does not answer"),
    "store away": (Store("away", CANARY), "cannot be written (ConnectError)"),
    "store silent": (Store("silent", CANARY), "(TimeoutError)"),
    "store refusing": (Store("refusing", CANARY), "cannot be written (PermissionDeniedError)"),
    "store full": (Store("full", CANARY), "cannot be written (OSError)"),
    "person": (TakeAway(CANARY), "ada          I say so"),
    "model breaks": (
        Changes("candidate", FAILING, CANARY),
        "bad keys or stops were the candidate's",
    ),
}


@pytest.mark.parametrize("name", REACHES)
def test_a_fault_reaches_the_code(name: str) -> None:
    """The real code says, in its own log or in that of the rollout, what it met."""
    fault, line = REACHES[name]
    assert line in story_of(SMALL, fault)


def n_claims(outcome: Outcome) -> int:
    """How often a coordinator has claimed the log."""
    return sum(event.kind == "claimed" for event in outcome.events)


@pytest.mark.parametrize(
    ("fault", "n_expected"),
    [
        (Restart("coordinator", CANARY), 2),
        # It must not take the log from one that has clients.
        (SecondCluster(CANARY), 1),
        (SecondCluster(CANARY, clients_after_s=4), 2),
    ],
    ids=["restart", "without clients", "with clients"],
)
def test_a_coordinator_claims_the_log_that_is_its_own_to_hold(
    fault: Fault, n_expected: int
) -> None:
    """The log says so, in which each claim is a decision."""
    assert n_claims(told(SMALL, fault)) == n_expected


def test_the_first_calls_of_a_process_that_starts_may_be_late() -> None:
    """Those of its proof are no client's; the judge hears of the others as of any late answer."""
    cold = Behaviour(n_cold_calls=6, cold_ms=400)
    outcome = told(replace(SMALL, placement="isolated", candidate=cold))
    assert outcome.events[-1].numbers["candidate_late_requests"]


def test_a_rush_comes_to_the_real_router() -> None:
    """It answers so many more requests in the same time."""
    short = replace(SMALL, longest_s=20.0)
    calm = simulate(short, 1)
    rush = told(short, Rush(CANARY, 8, rate_per_s=60))
    assert rush.n_requests > calm.n_requests + 300


def test_after_the_only_server_has_died_another_one_reports_and_answers() -> None:
    """No step begins without a report that the candidate is loaded."""
    alone = replace(SMALL, n_servers=1)
    outcome = told(alone, Restart("servers", CANARY))
    died = next(i for i, line in enumerate(outcome.story) if "server-1 dies" in line)
    assert any("  entered   100.0" in line for line in outcome.story[died:])


def test_the_clock_of_a_machine_is_that_of_a_coordinator_that_starts_there() -> None:
    """A jump while there is none reaches the next one: what it writes has the time of its clock."""
    stage = replace(SMALL, longest_s=30.0)
    faults = (Restart("coordinator", CANARY), ClockJump(3_600, Moment("canary", 6)))
    ahead = told(stage, *faults)
    [_, claimed] = [event for event in ahead.events if event.kind == "claimed"]
    assert claimed.at_s - ahead.events[0].at_s > 3_600


@pytest.mark.parametrize(
    "fault",
    [
        Stall("candidate", CANARY, 3.0),
        FullQueues("candidate", CANARY, 3.0),
        Restart("candidate", CANARY),
    ],
    ids=["stall", "full queue", "death"],
)
def test_a_fault_of_an_isolated_candidate_is_charged_and_stable_answers(fault: Fault) -> None:
    """It is late, refuses or is gone: no client sees it, and the judge counts keys."""
    outcome = told(replace(SMALL, placement="isolated"), fault)
    story = "\n".join(outcome.story)
    assert outcome.n_lost == 0
    assert "(errors: 0 keys" not in outcome.reason, story


def test_a_jump_of_the_coordinators_clock_ends_no_step() -> None:
    """A step of an hour lasts an hour, also when the clock of the day has jumped one ahead."""
    slow = replace(SMALL, rollout={**SMALL.rollout, "min_seconds": 3_600})
    assert simulate(slow, 1).ended == "undecided"
    assert told(slow, ClockJump(3_600, Moment("canary", 20))).ended == "undecided"


# Of `make simulate`, each in one run: an equal candidate is not aborted, a broken one is out in
# time and never passes, a different one is held, and a person can take the share away.
# A processor makes some 9,000 a second, and all of these together must take less than 40 s: the
# largest has 20,000, most have some hundred or thousand.
MOST_REQUESTS = 22_000
SHORT = [
    "tails",
    "stalls-isolated",
    "stalls-long",
    "collections",
    "full-queues",
    "lost-report",
    "replicas-come-and-go",
    "shadow-redeploy",
    "40-tenants-shadow",
    "constant",
    "shifted",
    "inverted-slice",
    "late-often",
    "dies-again",
    "slow",
    "slow-30-dead-rail",
    "failing-slice",
    "broken-1-keys",
    "broken-10-keys",
    "broken-probes",
    "broken-late",
    "broken-after-many-bad-keys",
    "both-broken",
    "dies-while-baking",
    "dies-after-promote",
    "gone-while-baking",
    "dies-as-baking-ends",
    "late-when-made-stable",
    "breaks-when-finished",
    "breaks-when-made-stable",
    "probes",
    "cold-starts",
    "person-clock-back",
    "person-unwritten-restart",
    "person-coordinator-gone",
    "person-cut-off",
    "broken-store-silent-hold",
    "broken-cut-off",
    "broken-half-cut-off",
    "broken-restarts",
]


@pytest.mark.parametrize("name", SHORT)
def test_a_scenario_ends_as_it_must(name: str) -> None:
    """The real code, in virtual time; the whole table takes more than a day and is no test."""
    scenario = SCENARIOS[name]
    outcome = simulate(scenario, 1)
    assert not summarize([outcome], scenario.expected).missed
    assert outcome.n_requests <= MOST_REQUESTS, "it costs too much for the short form"


@pytest.mark.parametrize(
    "name", ["second-cluster-and-back", "broken-second", "broken-fenced", "person-fenced"]
)
def test_a_rollout_of_which_another_cluster_has_the_log_ends_as_it_must(name: str) -> None:
    """The second cluster claims it when clients come, and nobody is put out or stuck by that."""
    scenario = SCENARIOS[name]
    outcome = simulate(scenario, 1, is_told=True)
    assert not summarize([outcome], scenario.expected).missed
    assert n_claims(outcome) >= 2


@pytest.mark.parametrize(
    ("name", "most_requests"), [("errors-0.1-to-1", 1_100), ("errors-5-to-10", 2_500)]
)
def test_errors_are_found_within_the_requests_that_are_promised(
    name: str, most_requests: int
) -> None:
    """The median of three seeds, through the real router, reports and judge."""
    outcomes = [simulate(SCENARIOS[name], seed) for seed in (1, 2, 3)]
    assert [outcome.ended for outcome in outcomes] == ["aborted"] * 3
    assert median(outcome.n_candidate for outcome in outcomes) <= most_requests


BEFALLS = (
    Stalls("versions", 30, 0.3, 4),
    Stalls("servers", 30, 0.3, 4),
    FullQueues("candidate", CANARY, 3.0),
    Restart("candidate", CANARY),
    Restart("stable", CANARY),
    Restart("servers", CANARY),
    Restart("coordinator", CANARY),
    Stall("coordinator", CANARY, 10),
    BadWires(Wire(is_cut=True), at=CANARY, lasts_s=15),
    BadWires(Wire(lost_share=0.1, repeated_share=0.1, late_share=0.1, late_s=3.0)),
    Store("away", CANARY),
    Store("silent", CANARY),
    ClockJump(3_600, CANARY),
    Rush(CANARY, 10, rate_per_s=30),
)


@pytest.mark.parametrize("placement", ["in_server", "isolated"])
def test_of_many_small_rollouts_of_an_equal_candidate_none_is_aborted(placement: str) -> None:
    """Whatever two faults befall them; no answer is lost, and the share can be taken away."""
    one_percent = Behaviour(error_share=0.01)
    equal = replace(SMALL, placement=placement, stable=one_percent, candidate=one_percent)
    missed = []
    for seed in range(1, 51):
        faults = tuple(random.Random(seed).sample(BEFALLS, 2))
        outcome = simulate(replace(equal, faults=faults), seed)
        if outcome.ended == "aborted" or outcome.n_lost or outcome.is_stuck:
            missed.append((seed, faults, outcome))
    assert missed == []


@pytest.mark.parametrize("name", ["person-coordinator-away", "person-coordinator-gone"])
def test_a_person_has_the_candidate_out_everywhere_in_15_s_without_a_coordinator(name: str) -> None:
    """Five seconds pass until the coordinator is given up, and six between two looks at the log."""
    outcome = simulate(SCENARIOS[name], 2)
    assert not outcome.is_stuck
    assert outcome.out_s < 15


def test_an_answer_that_stable_was_not_asked_for_is_lost_whatever_stable_does() -> None:
    """Where stable itself fails now and then, an answer that a rollout loses must still be seen."""
    witness = Witness("1.1.0", lambda: 100.0, lambda: False)
    of_candidate = Assignment("1.1.0", "run-1", 1)
    row = SPEC.examples[0].row
    failed = tuple(Failure(version, NotReady("away")) for version in ("1.1.0", "1.0.0"))
    witness.excuse()
    witness.heard(Answered([row], "ada", of_candidate, failures=failed))
    assert witness.n_lost == 0, "stable was asked and could not"
    witness.heard(Answered([row], "ada", of_candidate, failures=failed[:1]))
    assert witness.n_lost == 1


def test_a_request_whose_server_dies_is_answered_by_another() -> None:
    """The load balancer sends it again, as in front of Ray: that is no answer lost."""
    outcome = told(
        replace(SMALL, placement="isolated", traffic=Traffic(rate_per_s=30)),
        Restart("servers", every_s=6, away_s=1),
    )
    assert outcome.n_lost == 0


def test_after_a_stall_an_answer_and_its_deadline_are_both_there() -> None:
    """As in asyncio's own loop, where the deadline wins: a stalled caller charges its callee."""
    loop = VirtualLoop()
    process = Process("caller")
    found: list[str] = []

    async def ask() -> None:
        answer = loop.create_future()
        loop.call_later(0.1, answer.set_result, "answer")
        try:
            async with asyncio.timeout(0.2):
                found.append(await answer)
        except TimeoutError:
            found.append("late")

    loop.create_task(ask(), context=context_of(process))
    loop.run_until(0.05)
    loop.stall(process, 1.0)
    loop.run_until(10.0)
    assert found == ["late"]


def test_a_busy_process_does_nothing_else_and_a_dead_one_nothing_at_all() -> None:
    """What one call computes delays what else the process has to do, by its own clock too."""
    loop = VirtualLoop()
    busy = Process("busy")
    dead = Process("dead")
    times_s: list[float] = []

    def compute() -> None:
        loop.spend(2.0)
        times_s.append(loop.time())

    for process in (busy, busy, dead):
        loop.call_later(1.0, compute, context=context_of(process))
    dead.is_dead = True
    loop.run_until(100.0)
    assert times_s == [3.0, 5.0]


def test_what_a_process_never_begins_is_no_fault_of_the_test_that_collects_it() -> None:
    """Its process was dead by then, or stood still when the run ended."""
    loop = VirtualLoop()
    dead = Process("dead")
    standing = Process("standing")
    begun: list[str] = []

    async def begin(name: str) -> None:
        begun.append(name)

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for process in (dead, standing):
            loop.create_task(begin(process.name), context=context_of(process))
        dead.is_dead = True
        loop.stall(standing, 100.0)
        loop.run_until(1.0)
        loop.close()
        gc.collect()
    assert begun == []
    assert [str(warning.message) for warning in found] == []


def test_a_stand_in_for_a_thread_takes_its_time_beside_the_loop() -> None:
    """`asyncio.to_thread` returns when the work would be done, and the loop goes on meanwhile."""
    loop = VirtualLoop()
    heard: list[tuple[str, float]] = []

    async def work() -> None:
        found = await asyncio.to_thread(write)
        heard.append((found, loop.time()))

    def write() -> str:
        loop.spend(8.0)
        return "written"

    loop.create_task(work(), context=context_of(Process("writer")))
    loop.call_later(3.0, lambda: heard.append(("meanwhile", loop.time())))
    loop.run_until(100.0)
    assert heard == [("meanwhile", 3.0), ("written", 8.0)]


def ended_as(ended: str, **how: object) -> Outcome:
    """An outcome of which only this is known."""
    known: dict[str, object] = {
        "seed": 7,
        "reason": "",
        "seconds": 60.0,
        "n_requests": 100,
        "n_candidate": 10,
        "n_lost": 0,
        "exposed_s": 0,
        "is_stuck": False,
        "cpu_s": 0.0,
    }
    return Outcome(ended=ended, **(known | how))  # type: ignore[arg-type]


def test_what_is_missed_is_said_with_a_seed_that_shows_it() -> None:
    """One false abort in a hundred is within the promise, two are not."""
    good = [ended_as("passed")] * 99
    assert not summarize([*good, ended_as("aborted")], EQUAL).missed
    [missed] = summarize([*good[1:], *[ended_as("aborted", seed=41)] * 2], EQUAL).missed
    assert missed == "aborted 2 % > 1 % (seed 41)"
    broken = summarize([ended_as("aborted", exposed_s=16, n_lost=2, is_stuck=True)], BROKEN)
    assert [line.split()[0] for line in broken.missed] == ["exposed", "answers", "cannot"]


def test_the_story_of_a_seed_that_shows_what_was_missed_is_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever sees a row that misses its bar reads at once what happened, second by second."""
    strict = replace(SMALL, expected=Expectation(most_passed=0.0))
    monkeypatch.setitem(SCENARIOS, "small", strict)
    found = CliRunner().invoke(app, ["--scenario", "small", "--runs", "2", "--processes", "1"])
    assert found.exit_code == 1, found.output
    assert "passed 100 % > 0 % (seed 1)" in found.output
    story = found.output.partition("small, seed 1: ")[2]
    assert "claimed" in story
    assert "entered   100.0" in story
    assert "seed 2" not in story


def test_every_scenario_has_a_table_that_a_server_would_take() -> None:
    """A plan with a typing error would only be found by running it."""
    from serve_app.settings import Table

    for scenario in SCENARIOS.values():
        assert Table.model_validate(scenario.table, strict=False).rollout is not None


def test_what_befalls_either_placement_is_looked_at_in_both() -> None:
    """An isolated version has processes, queues and replicas of its own, and may fail otherwise."""
    names = set(SCENARIOS)
    placed = {name: SCENARIOS[name].placement for name in names}
    twins = {name for name in names if f"{name}-isolated" in names}
    assert all(placed[f"{name}-isolated"] == "isolated" for name in twins)
    assert {"lost-report", "outage", "coordinator-cut-off", "clock-back", "zipf"} <= twins
    assert {f"broken-{n_keys}-keys" for n_keys in (1, 3, 10, 20, 40, 500, "no")} <= twins
    assert {"nightly-batch", "1-tenants", "40-tenants", "dies-while-baking"} <= twins


def test_scenarios_are_chosen_by_a_whole_name_or_by_a_part() -> None:
    """`--scenario equal` is one scenario, `--scenario stalls` are those with that word."""
    assert [scenario.name for scenario in chosen(["equal"])] == ["equal"]
    assert {"stalls-isolated", "stalls-in-server"} <= {one.name for one in chosen(["stalls"])}
    with pytest.raises(BenchmarkError, match="no scenario has 'nothing-such'"):
        chosen(["nothing-such"])


def test_clients_draw_the_keys_that_a_scenario_asks_for() -> None:
    """Own keys never come twice, tenants share the traffic, the first of Zipf's has the most."""
    from benchmarks.simulator.traffic import Clients

    def keys(traffic: Traffic) -> list[str]:
        clients = Clients(traffic, random.Random(5))
        return [clients.request()[0] for _ in range(2_000)]

    assert len(set(keys(Traffic("own")))) == 2_000
    assert len(set(keys(Traffic("even", 10)))) == 10
    zipf = keys(Traffic("zipf", 500))
    assert zipf.count(max(set(zipf), key=zipf.count)) > 2_000 / 500 * 10
    many = Clients(Traffic(most_rows=4), random.Random(5))
    assert {len(many.request()[1]) for _ in range(200)} == {1, 2, 3, 4}
    probed = keys(Traffic("even", 3, rate_per_s=3.0, probes_per_s=1.0))
    assert 3 < len(set(probed)) < 1_000
