"""A candidate that is worse, but answers: found in time, or held; it never passes."""

from functools import partial

from benchmarks.simulator.faults import Restart
from benchmarks.simulator.models import Behaviour
from benchmarks.simulator.scenario import NEVER_PASSES, Expectation, expecting
from benchmarks.simulator.traffic import Traffic

# The candidate stays at 10 % until it is found.
AT_10 = {"steps": [10, 25, 50, 75, 100], "min_seconds": 100_000}
SHADOW = {"steps": ["shadow", 10, 50, 100]}
FAST = Traffic(rate_per_s=100)

_worse = partial(expecting, NEVER_PASSES)

SCENARIOS = [
    _worse(
        "errors-0.1-to-1",
        "own keys, errors of 0.1 % and 1 %, at 10 %",
        expected=Expectation(most_passed=0.0, most_median_requests=1_100),
        rollout=AT_10,
        traffic=FAST,
        stable=Behaviour(error_share=0.001),
        candidate=Behaviour(error_share=0.01),
    ),
    _worse(
        "errors-5-to-10",
        "own keys, errors of 5 % and 10 %, at 10 %",
        expected=Expectation(most_passed=0.0, most_median_requests=2_500),
        rollout=AT_10,
        traffic=FAST,
        stable=Behaviour(error_share=0.05),
        candidate=Behaviour(error_share=0.10),
    ),
    _worse(
        "slow",
        "isolated, 20 times slower: 3 and 60 ms",
        "L5",
        placement="isolated",
        traffic=Traffic(rate_per_s=10),
        rollout={"min_requests": 100},
        stable=Behaviour(call_ms=3),
        candidate=Behaviour(call_ms=60),
    ),
    _worse(
        "late-often",
        "isolated, four of ten calls take longer than a candidate may",
        placement="isolated",
        candidate=Behaviour(tail_share=0.4, tail_ms=160.0),
    ),
    _worse(
        "slow-often",
        "0.5 % of stable's calls and 4.5 % of the candidate's take 120 ms",
        placement="isolated",
        traffic=FAST,
        rollout={"min_seconds": 150},
        stable=Behaviour(tail_share=0.005, tail_ms=120.0),
        candidate=Behaviour(tail_share=0.045, tail_ms=120.0),
    ),
    _worse(
        "dies-again",
        "isolated, its only process ends every 8 s, and another is there 5 s later",
        placement="isolated",
        faults=(Restart("candidate", away_s=5, every_s=8),),
    ),
    _worse(
        "constant",
        "every score is 0.2, where one row in twenty-five is above the threshold; 300 keys",
        "T17",
        stable=Behaviour(scale=0.52),
        candidate=Behaviour(constant=0.2),
        traffic=Traffic("even", 300),
        rollout=SHADOW,
    ),
    _worse(
        "shifted",
        "0.05 is added to every score; 800 keys by Zipf's law",
        "L6",
        candidate=Behaviour(shift=0.05),
        rollout=SHADOW,
        traffic=Traffic("zipf", 800),
    ),
    _worse(
        "inverted-slice",
        "one row in twenty gets the other label: all contracts of 24 months",
        "L8",
        candidate=Behaviour(inverted_months=24),
        rollout=SHADOW,
    ),
    _worse(
        "random",
        "an eighth of the rows has the other label",
        candidate=Behaviour(flip_share=0.12),
        rollout=SHADOW,
    ),
]
