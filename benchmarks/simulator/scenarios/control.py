"""A candidate that must go while the coordinator, the log or the network is not as it should be."""

from functools import partial

from benchmarks.simulator.fault import Moment
from benchmarks.simulator.faults import (
    BadWires,
    Changes,
    ClockJump,
    Command,
    Restart,
    SecondCluster,
    Stall,
    Store,
    TakeAway,
)
from benchmarks.simulator.models import Behaviour
from benchmarks.simulator.network import Wire
from benchmarks.simulator.scenario import BROKEN, Expectation, expecting
from benchmarks.simulator.store import StoreState
from benchmarks.simulator.traffic import Traffic

FAILING = Behaviour(error_share=1.0)
BREAKS = Changes("candidate", FAILING, Moment("canary", 20))
# The other cluster has the log, and no clients, from 18 s on.
THERE_AND_BACK = SecondCluster(Moment("canary", 3), clients_after_s=4, back_after_s=11)
BAD_STORES: tuple[tuple[StoreState, tuple[str, ...]], ...] = (
    ("away", ()),
    ("slow", ()),
    ("silent", ("T10",)),
    ("full", ()),
)
NOTHING_TO_JUDGE = Expectation()

_control = partial(
    expecting,
    BROKEN,
    rollout={"steps": [50, 100], "min_seconds": 120},
    traffic=Traffic(rate_per_s=20),
    longest_s=260,
)

SCENARIOS = [
    _control(
        "broken-second-idle",
        "a second cluster starts, and no client goes there; then the candidate breaks",
        "T3",
        "K2",
        faults=(SecondCluster(Moment("canary", 10)), BREAKS),
    ),
    _control(
        "broken-second",
        "all clients have gone to a second cluster, which has the log, when the candidate breaks",
        "T3",
        "K2",
        faults=(SecondCluster(Moment("canary", 3), clients_after_s=4), BREAKS),
    ),
    _control(
        "broken-fenced",
        "they have gone there and come back: another cluster has the log when it breaks",
        "T3",
        "K2",
        faults=(THERE_AND_BACK, BREAKS),
    ),
    _control(
        "person-fenced",
        "the same, and a person wants the candidate out",
        "T3",
        "K2",
        expected=NOTHING_TO_JUDGE,
        faults=(THERE_AND_BACK, TakeAway(Moment("canary", 30))),
    ),
    *(
        _control(
            f"broken-store-{state}",
            f"the store of the logs is {state} when the candidate breaks",
            *finds,
            faults=(Store(state, Moment("canary", 15), 120), BREAKS),
        )
        for state, finds in BAD_STORES
    ),
    _control(
        "broken-unwritten-restart",
        "the abort cannot be written, and the coordinator restarts",
        "T12",
        "L2",
        faults=(
            Store("full", Moment("canary", 15), 200),
            BREAKS,
            Restart("coordinator", Moment("canary", 50)),
        ),
    ),
    _control(
        "person-unwritten-restart",
        "a person's abort is in force and not written, and the coordinator restarts",
        "T12",
        "L2",
        expected=Expectation(most_passed=0.0),
        faults=(
            Store("full", Moment("canary", 15), 60),
            Command("abort", Moment("canary", 25)),
            Restart("coordinator", Moment("canary", 40)),
        ),
    ),
    _control(
        "broken-store-silent-hold",
        "the store is silent while a decision is written, then the candidate breaks",
        "T10",
        rollout={"steps": [25, 50, 100], "min_seconds": 30, "min_requests": 100},
        faults=(
            Store("silent", Moment("canary", 25), 60),
            Changes("candidate", FAILING, Moment("canary", 32)),
        ),
    ),
    _control(
        "broken-restarts",
        "the coordinator dies every 9 s; the candidate fails 2 % of its requests",
        "L18",
        expected=Expectation(most_passed=0.0),
        candidate=Behaviour(error_share=0.02),
        faults=(Restart("coordinator", Moment("canary"), every_s=9),),
    ),
    _control(
        "broken-cut-off",
        "no server reaches the coordinator for 3 min when the candidate breaks",
        "T13",
        faults=(BadWires(Wire(is_cut=True), at=Moment("canary", 15), lasts_s=180), BREAKS),
    ),
    _control(
        "broken-half-cut-off",
        "one of two servers does not reach the coordinator for 3 min when the candidate breaks",
        "T13",
        faults=(
            BadWires(Wire(is_cut=True), share=0.5, at=Moment("canary", 15), lasts_s=180),
            BREAKS,
        ),
    ),
    _control(
        "broken-coordinator-hangs",
        "the coordinator stops for 2 min when the candidate breaks",
        "T13",
        faults=(Stall("coordinator", Moment("canary", 15), 120), BREAKS),
    ),
    _control(
        "broken-clock-back",
        "the coordinator's clock jumps an hour back, then the candidate breaks",
        "T22",
        faults=(ClockJump(-3_600, Moment("canary", 10)), BREAKS),
    ),
    _control(
        "person-coordinator-away",
        "a person wants the candidate out while the coordinator is gone for a minute",
        expected=NOTHING_TO_JUDGE,
        faults=(
            Restart("coordinator", Moment("canary", 20), away_s=60),
            TakeAway(Moment("canary", 25)),
        ),
    ),
    _control(
        "person-coordinator-gone",
        "a person wants the candidate out, and no coordinator comes back",
        expected=NOTHING_TO_JUDGE,
        faults=(
            Restart("coordinator", Moment("canary", 20), away_s=1e6),
            TakeAway(Moment("canary", 25)),
        ),
    ),
    _control(
        "person-cut-off",
        "a person says so to a server that does not reach the coordinator; the other one does",
        expected=NOTHING_TO_JUDGE,
        faults=(
            BadWires(Wire(is_cut=True), share=0.5, at=Moment("canary", 20)),
            TakeAway(Moment("canary", 25)),
        ),
    ),
    *(
        _control(
            f"person-store-{state}",
            f"a person wants the candidate out while the store of the logs is {state}",
            expected=NOTHING_TO_JUDGE,
            faults=(Store(state, Moment("canary", 15), 200), TakeAway(Moment("canary", 25))),
        )
        for state, _ in BAD_STORES
        if state != "slow"
    ),
    _control(
        "person-clock-back",
        "the clock has jumped an hour back when a coordinator starts; a person wants it out",
        "T22",
        expected=NOTHING_TO_JUDGE,
        faults=(
            Restart("coordinator", Moment("canary", 20), away_s=2),
            ClockJump(-3_600, Moment("canary", 21)),
            TakeAway(Moment("canary", 40)),
        ),
    ),
]
