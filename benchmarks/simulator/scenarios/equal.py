"""A candidate as good as stable, in every circumstance: aborted in at most 1 of 100 runs."""

from functools import partial

from benchmarks.simulator.fault import Moment
from benchmarks.simulator.faults import (
    BadWires,
    ClockJump,
    Command,
    FullQueues,
    Restart,
    Rush,
    SecondCluster,
    Stall,
    Store,
    outage,
)
from benchmarks.simulator.models import Behaviour
from benchmarks.simulator.network import Wire
from benchmarks.simulator.scenario import EQUAL, expecting, isolated
from benchmarks.simulator.store import StoreState
from benchmarks.simulator.traffic import Traffic

STORES: tuple[StoreState, ...] = ("away", "slow", "silent", "refusing", "full")
ONE_PERCENT = Behaviour(error_share=0.01)

# A scenario of a candidate that is as good as stable.
equal = partial(expecting, EQUAL)

WRITTEN = [
    equal("equal", "nothing happens, in server"),
    equal("equal-isolated", "nothing happens, isolated", placement="isolated"),
    equal(
        "shadow",
        "nothing happens, with a shadow before",
        rollout={"steps": ["shadow", 10, 50, 100]},
    ),
    equal(
        "full-queues",
        "isolated, the queues of both versions are full for 10 s, and of each for 5 s",
        "T1",
        placement="isolated",
        faults=(
            FullQueues("stable", Moment("50 %", 10), 10),
            FullQueues("candidate", Moment("50 %", 10), 10),
            FullQueues("stable", Moment("50 %", 30), 5),
            FullQueues("candidate", Moment("50 %", 40), 5),
        ),
    ),
    equal(
        "replicas-come-and-go",
        "isolated, a replica of each version dies every 40 s, another is there after 5 s",
        n_replicas=2,
        placement="isolated",
        faults=(
            Restart("stable", away_s=5, every_s=40),
            Restart("candidate", away_s=5, every_s=40),
        ),
    ),
    equal(
        "lost-report",
        "1,500 requests/s, both versions are out for 8 s, and one report is lost",
        "T4",
        n_servers=1,
        faults=(
            Rush(Moment("canary", 20), 8, rate_per_s=1_500),
            *outage(Moment("canary", 20), 8),
            BadWires(Wire(lost_share=1.0), at=Moment("canary", 20.5), lasts_s=1.2),
        ),
    ),
    equal(
        "outage", "what both versions need is away for 20 s", faults=outage(Moment("50 %", 20), 20)
    ),
    equal(
        "outage-isolated",
        "the same, isolated",
        placement="isolated",
        faults=outage(Moment("50 %", 20), 20),
    ),
    equal(
        "outage-baking",
        "at 100 % what both versions need is away for 20 s",
        rollout={"steps": [50, 100], "bake_seconds": 120},
        faults=outage(Moment("100 %", 30), 20),
        until="finished",
        longest_s=300,
    ),
    equal(
        "promoted-at-once",
        "errors of 2 % on both sides, and promoted before stable was seen for long",
        stable=Behaviour(error_share=0.02),
        candidate=Behaviour(error_share=0.02),
        rollout={"steps": [50, 100], "bake_seconds": 120},
        faults=(Command("promote", Moment("canary", 1)),),
        until="finished",
        longest_s=200,
    ),
    equal(
        "coordinator-cut-off",
        "no server reaches the coordinator for 4 min, errors of 1 % on both sides",
        stable=ONE_PERCENT,
        candidate=ONE_PERCENT,
        faults=(BadWires(Wire(is_cut=True), at=Moment("canary", 20), lasts_s=240),),
    ),
    equal(
        "coordinator-half-cut-off",
        "one of two servers does not reach the coordinator for 4 min",
        stable=ONE_PERCENT,
        candidate=ONE_PERCENT,
        faults=(BadWires(Wire(is_cut=True), share=0.5, at=Moment("canary", 20), lasts_s=240),),
    ),
    equal(
        "coordinator-hangs",
        "the coordinator stops for a minute",
        stable=ONE_PERCENT,
        candidate=ONE_PERCENT,
        faults=(Stall("coordinator", Moment("canary", 20), 60),),
    ),
    equal(
        "coordinator-restarts",
        "the coordinator dies every 30 s",
        stable=ONE_PERCENT,
        candidate=ONE_PERCENT,
        faults=(Restart("coordinator", every_s=30),),
    ),
    equal(
        "servers-restart",
        "a server dies every 40 s, another is there after 5 s",
        stable=ONE_PERCENT,
        candidate=ONE_PERCENT,
        faults=(Restart("servers", away_s=5, every_s=40),),
    ),
    equal(
        "bad-network",
        "of reports and replies a tenth each is lost, repeated, or 3 s late",
        stable=ONE_PERCENT,
        candidate=ONE_PERCENT,
        faults=(
            BadWires(
                Wire(
                    lost_share=0.1,
                    lost_reply_share=0.1,
                    repeated_share=0.1,
                    late_share=0.1,
                    late_s=3.0,
                )
            ),
        ),
    ),
    equal(
        "second-cluster",
        "all clients go to a second cluster, as at an upgrade, and stay there",
        "T3",
        "K2",
        stable=ONE_PERCENT,
        candidate=ONE_PERCENT,
        faults=(SecondCluster(Moment("canary", 10), clients_after_s=10),),
    ),
    equal(
        "second-cluster-and-back",
        "they come back after 20 s, while the other cluster has the log",
        "T3",
        "K2",
        stable=ONE_PERCENT,
        candidate=ONE_PERCENT,
        faults=(SecondCluster(Moment("canary", 10), clients_after_s=10, back_after_s=20),),
    ),
    equal(
        "clock-forward",
        "the coordinator's clock jumps an hour ahead",
        "T22",
        faults=(ClockJump(3_600, Moment("canary", 20)),),
    ),
    equal(
        "clock-back",
        "the coordinator's clock jumps an hour back",
        "T22",
        faults=(ClockJump(-3_600, Moment("canary", 20)),),
        longest_s=300,
    ),
    equal(
        "clock-back-restart",
        "the clock jumps an hour back while the coordinator restarts",
        "T22",
        faults=(
            Restart("coordinator", Moment("canary", 20)),
            ClockJump(-3_600, Moment("canary", 21)),
        ),
        longest_s=300,
    ),
    *(
        equal(
            f"store-{state}",
            f"the store of the logs is {state} for a minute",
            stable=ONE_PERCENT,
            candidate=ONE_PERCENT,
            faults=(Store(state, Moment("canary", 20), 60),),
        )
        for state in STORES
    ),
    equal(
        "shadow-redeploy",
        "isolated, the candidate's single replica is replaced in shadow",
        "T11",
        placement="isolated",
        rollout={"steps": ["shadow", 50, 100]},
        faults=(Restart("candidate", Moment("shadow", 10), away_s=4),),
    ),
    equal(
        "rare-errors",
        "stable has no error, the candidate one in 1,250 requests",
        "T18",
        candidate=Behaviour(error_share=0.0008),
        traffic=Traffic(rate_per_s=150),
        rollout={"steps": [10, 50, 100], "min_seconds": 150, "bake_seconds": 60},
        until="finished",
    ),
]

# What befalls both placements alike is looked at in both.
SCENARIOS = [
    *WRITTEN,
    *(
        isolated(one)
        for one in WRITTEN
        if one.name
        in (
            "lost-report",
            "outage-baking",
            "coordinator-cut-off",
            "clock-forward",
            "clock-back",
        )
    ),
]
