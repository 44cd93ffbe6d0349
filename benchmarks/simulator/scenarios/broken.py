"""A candidate that fails everything: clients meet it for at most 15 s, and it never passes."""

from functools import partial

from benchmarks.simulator.fault import Moment
from benchmarks.simulator.faults import Changes, Command, MakeStable, Restart, TakeAway
from benchmarks.simulator.models import Behaviour
from benchmarks.simulator.scenario import (
    BROKEN,
    Expectation,
    Scenario,
    expecting,
    in_both,
    isolated,
)
from benchmarks.simulator.traffic import Traffic

FAILING = Behaviour(error_share=1.0)
QUICK = {"steps": [50, 100], "min_seconds": 20, "min_requests": 100, "bake_seconds": 120}
# Nothing is wrong with it before; what comes later is no matter of the judge any more.
FINISHES = Expectation(most_aborted=0.0, most_held=0.0, most_undecided=0.0)

_broken = partial(expecting, BROKEN)
# It fails at 100 %, and is followed until it has baked.
_baking = partial(_broken, rollout=QUICK, traffic=Traffic(rate_per_s=20), until="finished")


def _few(n_keys: int) -> Scenario:
    traffic = Traffic("even", n_keys, 20.0)
    if n_keys == 500:
        traffic = Traffic("zipf", n_keys, 50.0)
    return _broken(
        f"broken-{n_keys}-keys",
        f"fails everything, {n_keys} keys",
        "T6",
        candidate=FAILING,
        traffic=traffic,
        # With one key or three a tenth of them is mostly nobody.
        rollout={"steps": [50, 100]} if n_keys < 10 else {},
        longest_s=300,
    )


FEW = [_few(n_keys) for n_keys in (1, 3, 10, 20, 40, 500)]
SCENARIOS = [
    *FEW,
    *map(isolated, FEW),
    *in_both(
        _broken(
            "broken-no-keys",
            "fails everything, clients without a key",
            candidate=FAILING,
            traffic=Traffic("none"),
        )
    ),
    _broken(
        "broken-probes",
        "fails everything, 3 keys, and probes without a key",
        candidate=FAILING,
        traffic=Traffic("even", 3, 20.0, probes_per_s=2.0),
    ),
    _broken(
        "broken-late",
        "isolated, every call takes 400 ms",
        candidate=Behaviour(call_ms=400),
        placement="isolated",
    ),
    _broken(
        "late-in-shadow",
        "isolated, every call takes 400 ms, with a shadow before: it is held there",
        "L4",
        expected=Expectation(most_passed=0.0, most_undecided=0.0),
        candidate=Behaviour(call_ms=400),
        placement="isolated",
        rollout={"steps": ["shadow", 50, 100]},
        longest_s=200,
    ),
    _broken(
        "broken-after-many-bad-keys",
        "40 keys of which all were bad on both sides before it breaks",
        "T5",
        traffic=Traffic("even", 40, 40.0),
        rollout={"steps": [50, 100], "min_seconds": 300},
        stable=Behaviour(error_share=0.05),
        candidate=Behaviour(error_share=0.05),
        faults=(Changes("candidate", FAILING, Moment("canary", 120)),),
        longest_s=600,
    ),
    _broken(
        "both-broken",
        "both versions fail every request",
        "T34",
        expected=Expectation(most_passed=0.0),
        stable=FAILING,
        candidate=FAILING,
        longest_s=300,
    ),
    *in_both(
        _baking(
            "dies-while-baking",
            "breaks 30 s after 100 %",
            "T8",
            "L1",
            faults=(Changes("candidate", FAILING, Moment("100 %", 30)),),
        )
    ),
    *in_both(
        _broken(
            "dies-seldom",
            "a request in seven seconds; breaks a minute after 100 %, and is out while it bakes",
            expected=Expectation(most_passed=0.0, most_undecided=0.0),
            rollout={**QUICK, "min_requests": 10, "bake_seconds": 900},
            traffic=Traffic(rate_per_s=1 / 7),
            until="finished",
            longest_s=3_000,
            faults=(Changes("candidate", FAILING, Moment("100 %", 60)),),
        )
    ),
    _baking(
        "gone-while-baking",
        "isolated, its only process dies 30 s after 100 %, and none comes in its place",
        "T8",
        placement="isolated",
        faults=(Restart("candidate", Moment("100 %", 30), away_s=1e6),),
    ),
    _baking(
        "dies-as-baking-ends",
        "breaks 3 s before the end of its bake time",
        "L1",
        faults=(Changes("candidate", FAILING, Moment("100 %", 117)),),
    ),
    *in_both(
        _baking(
            "dies-after-promote",
            "is promoted at 50 %, and breaks 5 s after 100 %",
            "T8",
            "L1",
            faults=(
                Command("promote", Moment("canary", 10)),
                Changes("candidate", FAILING, Moment("100 %", 5)),
            ),
        )
    ),
    _broken(
        "late-when-made-stable",
        "isolated, late by then (250 ms a call), and made stable at 100 %",
        "T20",
        expected=Expectation(),
        rollout={**QUICK, "bake_seconds": 60},
        placement="isolated",
        stable=Behaviour(call_ms=5),
        candidate=Behaviour(call_ms=5),
        until="finished",
        faults=(
            Command("promote", Moment("canary", 10)),
            Changes("candidate", Behaviour(call_ms=250), Moment("100 %", 5)),
            MakeStable(Moment("100 %", 10)),
        ),
        longest_s=120,
    ),
    _broken(
        "breaks-when-finished",
        "has baked and is finished, and breaks before anybody makes it stable: stable answers",
        "T20",
        expected=FINISHES,
        rollout={**QUICK, "bake_seconds": 60},
        traffic=Traffic(rate_per_s=20),
        until="the end",
        faults=(
            Changes("candidate", FAILING, Moment("finished", 5)),
            TakeAway(Moment("finished", 20)),
        ),
    ),
    # Nobody stands behind a version that is stable: clients hear of it until a person acts.
    *in_both(
        _broken(
            "breaks-when-made-stable",
            "has baked, is made stable, and breaks; a person deploys the file as it was",
            "T20",
            expected=FINISHES,
            rollout={**QUICK, "bake_seconds": 60},
            traffic=Traffic(rate_per_s=20),
            until="the end",
            faults=(
                MakeStable(Moment("finished", 5), back_after_s=30),
                Changes("candidate", FAILING, Moment("finished", 15)),
                TakeAway(Moment("finished", 45)),
            ),
        )
    ),
]
