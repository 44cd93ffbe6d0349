"""An equal candidate whose clients are few or heavy, or send many rows at once."""

from benchmarks.simulator.fault import Moment
from benchmarks.simulator.faults import Rush
from benchmarks.simulator.models import Behaviour
from benchmarks.simulator.scenario import Expectation, isolated
from benchmarks.simulator.scenarios.equal import ONE_PERCENT, equal
from benchmarks.simulator.traffic import Traffic

# Looked at in both placements.
WRITTEN = [
    *(
        equal(
            f"{n_keys}-tenants",
            f"{n_keys} keys with as much traffic each, errors of 1 % on both sides",
            traffic=Traffic("even", n_keys, 30.0),
            stable=ONE_PERCENT,
            candidate=ONE_PERCENT,
            # With one key or three a tenth of the keys is mostly nobody.
            rollout={"steps": [50, 100]} if n_keys < 10 else {},
            longest_s=400,
        )
        for n_keys in (1, 3, 10, 40)
    ),
    equal(
        "40-tenants-shadow",
        "40 keys, with a shadow before: it comes to an end, in whatever way",
        "T6",
        "L4",
        expected=Expectation(most_aborted=0.01, most_undecided=0.0),
        traffic=Traffic("even", 40, 30.0),
        rollout={"steps": ["shadow", 50, 100], "min_requests": 200},
        longest_s=300,
    ),
    equal(
        "zipf",
        "500 keys by Zipf's law, errors of 1 % on both sides",
        traffic=Traffic("zipf", 500),
        stable=ONE_PERCENT,
        candidate=ONE_PERCENT,
        longest_s=400,
    ),
    equal(
        "nightly-batch",
        "half of all requests are a batch of one segment under one key, errors of 1 %",
        stable=ONE_PERCENT,
        candidate=ONE_PERCENT,
        faults=(Rush(Moment("canary", 20), 120, rate_per_s=100, batch_share=0.5),),
    ),
]

SCENARIOS = [
    *WRITTEN,
    *map(isolated, WRITTEN),
    equal(
        "many-rows",
        "requests of 1 to 20 rows, half of them a batch of one segment; rows fail in 0.2 %",
        stable=Behaviour(error_share=0.002),
        candidate=Behaviour(error_share=0.002),
        traffic=Traffic(rate_per_s=20, most_rows=20),
        rollout={"steps": ["shadow", 10, 50, 100], "min_requests": 100},
        faults=(Rush(Moment("canary", 10), 90, rate_per_s=40, batch_share=0.5),),
    ),
    equal(
        "probes",
        "10 keys, and probes without a key, always with one row; errors of 1 % on both sides",
        stable=ONE_PERCENT,
        candidate=ONE_PERCENT,
        traffic=Traffic("even", 10, 20.0, probes_per_s=2.0),
        rollout={"steps": [50, 100]},
        longest_s=300,
    ),
    equal(
        "20-tenants-at-1",
        "20 keys at 1 %: hardly one is the candidate's, and nothing is known of it",
        "T6",
        traffic=Traffic("even", 20, 20.0),
        rollout={"steps": [1, 50, 100]},
        longest_s=200,
    ),
]
