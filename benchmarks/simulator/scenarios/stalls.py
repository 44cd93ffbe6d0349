"""An equal candidate whose processes stop for a while, or answer late, as those of stable do."""

from benchmarks.simulator.fault import Moment
from benchmarks.simulator.faults import Restart, Stall, Stalls
from benchmarks.simulator.models import Behaviour
from benchmarks.simulator.scenario import CANDIDATE, STABLE, in_both
from benchmarks.simulator.scenarios.equal import equal
from benchmarks.simulator.traffic import Traffic
from serve_app.settings import Rollout

# One call in fifty takes longer than a candidate may, and less than stable may.
TAILS = Behaviour(tail_share=0.02, tail_ms=160.0)
# Far longer: stable answers all the same, long after the candidate has been given up.
LONG_TAILS = Behaviour(tail_share=0.03, tail_ms=1_500.0)
# Good answers, and so many of them slow that stable's overlap all the time.
SLOW_TAILS = Behaviour(tail_share=0.2, tail_ms=120.0)
# What a process loads on its first calls.
COLD = Behaviour(n_cold_calls=5, cold_ms=200.0)
# All keys as they are shipped: five steps before 100 %, and an hour of baking.
SHIPPED = Rollout(stable=STABLE, candidate=CANDIDATE).model_dump(
    include={"steps", "min_seconds", "min_requests", "bake_seconds"}
)
FEW_REQUESTS = Traffic(rate_per_s=10)
# Ten requests of a version take minutes.
SELDOM = {"steps": [50, 100], "min_seconds": 600, "min_requests": 20, "bake_seconds": 1_200}

SCENARIOS = [
    equal(
        "tails",
        "isolated, 2 % of the calls of both take 160 ms",
        "T1",
        placement="isolated",
        stable=TAILS,
        candidate=TAILS,
    ),
    equal(
        "tails-often",
        "the same, twice as much traffic for longer",
        "T1",
        placement="isolated",
        stable=TAILS,
        candidate=TAILS,
        traffic=Traffic(rate_per_s=100),
        rollout={"steps": [10, 50, 100], "min_seconds": 150},
    ),
    equal(
        "tails-long",
        "isolated, 3 % of the calls of both take 1.5 s, at 160 requests a second, one server",
        placement="isolated",
        n_servers=1,
        n_replicas=16,
        # Now and then one waits for another.
        limits={"deadline_ms": 5_000},
        stable=LONG_TAILS,
        candidate=LONG_TAILS,
        traffic=Traffic(rate_per_s=160),
        rollout={"steps": [10, 100], "min_seconds": 330},
    ),
    equal(
        "tails-slow",
        "isolated, a fifth of the calls of both take 120 ms, at 400 requests a second, one server",
        placement="isolated",
        n_servers=1,
        n_replicas=20,
        stable=SLOW_TAILS,
        candidate=SLOW_TAILS,
        traffic=Traffic(rate_per_s=400),
        rollout={"steps": [10, 100], "min_seconds": 90},
    ),
    equal(
        "pauses-often",
        "each process of both versions pauses for 0.11-0.2 s every 10 s, at 200 requests a second",
        "T2",
        placement="isolated",
        traffic=Traffic(rate_per_s=200),
        rollout={"steps": [10, 50, 100], "min_seconds": 100},
        faults=(Stalls("versions", 10, 0.11, 0.2),),
    ),
    equal(
        "stalls-isolated",
        "each process of both versions stops for 0.3-5 s every minute",
        "T2",
        "L7",
        placement="isolated",
        faults=(Stalls("versions", 60, 0.3, 5),),
    ),
    equal(
        "stalls-baking",
        "the same, until it has baked for 20 minutes",
        "T2",
        placement="isolated",
        traffic=Traffic(rate_per_s=10),
        rollout={"steps": [50, 100], "min_requests": 100, "bake_seconds": 1_200},
        faults=(Stalls("versions", 60, 0.3, 5),),
        until="finished",
        longest_s=2_000,
    ),
    equal(
        "stalls-two-replicas",
        "each process stops so, two replicas of each version",
        placement="isolated",
        n_replicas=2,
        faults=(Stalls("versions", 60, 0.3, 5),),
    ),
    equal(
        "stalls-in-server",
        "each server stops for 0.3-5 s every minute",
        faults=(Stalls("servers", 60, 0.3, 5),),
    ),
    # A stop of a server leaves no late answer: what waits has not begun.
    equal(
        "stalls-mixed",
        "the candidate, isolated, stops for 0.5-1 s every 12 s; stable is in the servers, as often",
        candidate_placement="isolated",
        traffic=Traffic(rate_per_s=20),
        rollout={"steps": [10, 100], "min_seconds": 600},
        faults=(Stalls("candidate", 12, 0.5, 1), Stalls("servers", 12, 0.5, 1)),
    ),
    # A job that scores some rows each half minute: what is bad then is not bad for ten seconds.
    equal(
        "stalls-bursts",
        "30 requests come together each half minute; each process stops for 0.3-5 s every minute",
        "T2",
        placement="isolated",
        traffic=Traffic(rate_per_s=1.0, burst=30),
        rollout={"steps": [50, 100]},
        faults=(Stalls("versions", 60, 0.3, 5),),
    ),
    *in_both(
        equal(
            "seldom",
            "a request in ten seconds, of 5 keys; what answers stops for 0.3-5 s every minute",
            traffic=Traffic("even", 5, 0.1),
            stable=COLD,
            candidate=COLD,
            rollout=SELDOM,
            faults=(Stalls("servers", 60, 0.3, 5), Stalls("versions", 60, 0.3, 5)),
            until="finished",
            longest_s=4_000,
        )
    ),
    equal(
        "collections",
        "isolated, pauses of 0.1-0.4 s every 20 s (garbage collection)",
        "T2",
        placement="isolated",
        faults=(Stalls("versions", 20, 0.1, 0.4),),
    ),
    equal(
        "collections-in-server",
        "servers pause for 0.1-0.4 s every 20 s (garbage collection)",
        "T2",
        faults=(Stalls("servers", 20, 0.1, 0.4),),
    ),
    equal(
        "cold-starts",
        "the first 5 calls in a process take 200 ms; replicas die every 40 s, two of each version",
        n_replicas=2,
        placement="isolated",
        stable=COLD,
        candidate=COLD,
        faults=(
            Restart("stable", away_s=5, every_s=40),
            Restart("candidate", away_s=5, every_s=40),
        ),
    ),
    equal(
        "cold-starts-in-server",
        "the same in servers, of which one dies every 40 s",
        stable=COLD,
        candidate=COLD,
        faults=(Restart("servers", away_s=5, every_s=40),),
    ),
    # Ten seconds without an answer are what puts out a candidate that fails: see docs/rollouts.md.
    equal(
        "stalls-long",
        "isolated, the only process of each version stops twice for 7 s",
        "T2",
        placement="isolated",
        faults=(
            Stall("candidate", Moment("canary", 10), 7.0),
            Stall("stable", Moment("canary", 30), 7.0),
            Stall("candidate", Moment("50 %", 10), 7.0),
            Stall("stable", Moment("50 %", 30), 7.0),
        ),
    ),
    equal(
        "busy-node-in-server",
        "all processes stop together for 0.3-3 s every minute",
        "T2",
        faults=(Stalls("everything", 60, 0.3, 3, together=True),),
    ),
    equal(
        "busy-node",
        "isolated, all processes stop together for 0.3-3 s every minute",
        "T1",
        "T2",
        placement="isolated",
        faults=(Stalls("everything", 60, 0.3, 3, together=True),),
    ),
    equal(
        "shadow-stall",
        "isolated, one replica of the candidate stops once for 1 s in shadow",
        "T11",
        placement="isolated",
        rollout={"steps": ["shadow", 50, 100]},
        faults=(Stall("candidate", Moment("shadow", 8), 1.0),),
    ),
    equal(
        "shipped-plan",
        "the shipped plan until it has baked; each server stops for 0.3-5 s every 5 min",
        "T2",
        traffic=FEW_REQUESTS,
        rollout=SHIPPED,
        faults=(Stalls("servers", 300, 0.3, 5),),
        until="finished",
        longest_s=12_000,
    ),
    equal(
        "shipped-plan-isolated",
        "isolated, the same; each process of both versions stops so",
        "T2",
        placement="isolated",
        traffic=FEW_REQUESTS,
        rollout=SHIPPED,
        faults=(Stalls("versions", 300, 0.3, 5),),
        until="finished",
        longest_s=12_000,
    ),
]
