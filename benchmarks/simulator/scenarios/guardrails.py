"""Answer times and slices: an equal candidate is not held for them, one that is worse is."""

from functools import partial

from benchmarks.simulator.fault import Moment
from benchmarks.simulator.faults import Rush, Stalls
from benchmarks.simulator.models import Behaviour
from benchmarks.simulator.scenario import NEVER_PASSES, Expectation, expecting
from benchmarks.simulator.traffic import Traffic

# One call in sixteen takes long, and not too long: it is the tail beyond the 95th percentile.
LONG_TAILS = Behaviour(call_ms=2, tail_share=0.06, tail_ms=120.0)
# Of a slice, or of answer times, an equal candidate is hardly ever held.
PASSES = Expectation(most_aborted=0.01, most_held=0.01, held_by=("latency", "slice"))
BY_MONTHS = {"slice_by": ["contract_length_months"]}

_equal = partial(expecting, PASSES)
_worse = partial(expecting, NEVER_PASSES)

SCENARIOS = [
    *(
        _equal(
            f"times-tails-{placement}",
            f"{placement}, 6 % of the calls of both take 120 ms",
            placement=placement,
            stable=LONG_TAILS,
            candidate=LONG_TAILS,
            traffic=Traffic(rate_per_s=30),
            rollout={"guardrails": {"slow_ms": 100}},
        )
        for placement in ("in_server", "isolated")
    ),
    _equal(
        "times-stalls-in-server",
        "servers stop for 0.3-5 s every minute, and for 0.05-0.15 s every 3 s",
        stable=Behaviour(call_ms=2),
        candidate=Behaviour(call_ms=2),
        faults=(Stalls("servers", 60, 0.3, 5), Stalls("servers", 3, 0.05, 0.15)),
    ),
    _equal(
        "times-stalls-isolated",
        "processes of both versions stop so, isolated",
        placement="isolated",
        stable=Behaviour(call_ms=2),
        candidate=Behaviour(call_ms=2),
        faults=(Stalls("versions", 60, 0.3, 5), Stalls("versions", 3, 0.05, 0.15)),
    ),
    _equal(
        "times-isolated-candidate",
        "the candidate, isolated, takes 5 ms where stable takes 0.1 in the server: nobody notices",
        candidate_placement="isolated",
        stable=Behaviour(call_ms=0.1),
        candidate=Behaviour(call_ms=5),
    ),
    _equal(
        "slices-batch",
        "half of all requests are a batch of one segment under one key, 5 % errors, by months",
        stable=Behaviour(error_share=0.05),
        candidate=Behaviour(error_share=0.05),
        rollout=BY_MONTHS,
        faults=(Rush(Moment("canary", 20), 120, rate_per_s=100, batch_share=0.5),),
    ),
    _equal(
        "slices-bad-segment",
        "half of the contracts of 24 months fail with both versions; 500 keys by Zipf's law",
        stable=Behaviour(error_share=0.01, error_months=24, months_error_share=0.5),
        candidate=Behaviour(error_share=0.01, error_months=24, months_error_share=0.5),
        rollout=BY_MONTHS,
        traffic=Traffic("zipf", 500),
    ),
    _equal(
        "slices-stalls",
        "isolated, each process stops for 0.3-5 s every minute, by months and spend",
        placement="isolated",
        rollout={"slice_by": ["contract_length_months", "monthly_spend_usd"]},
        faults=(Stalls("versions", 60, 0.3, 5),),
    ),
    _equal(
        "slices-stalls-often",
        "the same with stops of 0.8-1.2 s, at 100 requests a second",
        placement="isolated",
        traffic=Traffic(rate_per_s=100),
        rollout={"slice_by": ["contract_length_months"], "min_seconds": 150},
        faults=(Stalls("versions", 60, 0.8, 1.2),),
    ),
    *(
        _worse(
            f"slow-30-{placement}",
            f"{placement}, 34 times slower: 3 and 102 ms",
            "L5",
            placement=placement,
            traffic=Traffic(rate_per_s=10),
            rollout={"min_requests": 60},
            stable=Behaviour(call_ms=3),
            candidate=Behaviour(call_ms=102),
        )
        for placement in ("in_server", "isolated")
    ),
    _worse(
        "slow-30-dead-rail",
        "the same, and slow_ms is 140: the rail of slow answers says nothing",
        "L5",
        placement="isolated",
        traffic=Traffic(rate_per_s=10),
        rollout={"min_requests": 60, "guardrails": {"slow_ms": 140}},
        stable=Behaviour(call_ms=3),
        candidate=Behaviour(call_ms=102),
    ),
    _worse(
        "failing-slice",
        "errors of 2 and 0 %, but of contracts of 24 months, one in twenty, it fails 20 %",
        rollout={**BY_MONTHS, "steps": [10, 25, 50, 100], "min_seconds": 100},
        traffic=Traffic(rate_per_s=100),
        stable=Behaviour(error_share=0.02),
        candidate=Behaviour(error_months=24, months_error_share=0.2),
    ),
]
