"""What a server counts for whom while a rollout is under way."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from fakes import until
from rollout_server import Server
from watching import CANDIDATE, STABLE

from serve_app.errors import (
    BundleUnavailable,
    DeadlineExceeded,
    HttpError,
    NotReady,
    Overloaded,
    TooManyRows,
)
from serve_app.rollout.counts import MOST_REPORTED_KEYS, Arm, Counts, digest
from serve_app.serving.request_id import REQUEST_ID

FAILURES: Mapping[str, Any] = {
    "raises": {"error": RuntimeError("broken")},
    "is late": {"error": DeadlineExceeded("late")},
    "is away": {"error": NotReady("gone")},
    "answers NaN": {"score_row": lambda _: float("nan")},
    "answers nonsense": {"score_row": lambda _: 7.0},
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_candidate_that_fails_is_charged_and_stable_answers(failure: str) -> None:
    """Whatever was wrong, the key counts against the candidate."""
    server = await Server().start(100)
    vars(server.store.scorers[CANDIDATE]).update(FAILURES[failure])
    assert await server.ask("ada", n_rows=2) == STABLE
    found = server.counted()
    assert found.errors.first == {"stable": set(), "candidate": {digest("ada")}}
    assert found.requests == {"stable": 0, "candidate": 1}
    assert found.n_stood_in == 1
    assert sum(found.scores["candidate"]) == 0


@pytest.mark.parametrize(
    ("fault", "is_broken"),
    [
        ({"score_row": lambda _: float("nan")}, True),
        ({"error": RuntimeError("the feature store is away")}, True),
        ({"error": Overloaded("full")}, False),
        ({"error": DeadlineExceeded("late")}, False),
    ],
    ids=["NaN", "raises", "full", "late"],
)
async def test_stable_that_fails_in_the_candidates_place_has_not_stood_in(
    fault: dict[str, object], is_broken: bool
) -> None:
    """What both need is away, which is not the candidate's fault alone; or stable has too few
    replicas for everybody, which says nothing of the candidate.
    """
    server = await Server().start(100)
    for version in (CANDIDATE, STABLE):
        vars(server.store.scorers[version]).update(fault)
    with suppress(HttpError, RuntimeError):
        await server.ask()
    found = server.counted()
    assert found.bad["candidate"].total() == 1
    assert (found.n_stood_in, found.n_broken_in_place) == (0, int(is_broken))


async def test_a_candidate_that_is_not_there_is_charged_too() -> None:
    """A new server waits for it before it joins, so this is the candidate's fault."""
    server = Server()
    server.store.errors = {CANDIDATE: BundleUnavailable("away")}
    await server.start(100)
    assert await server.ask() == STABLE
    found = server.counted()
    assert found.errors.first["candidate"] == {digest("ada")}
    assert found.bad["candidate"] == {"not_ready": 1}


@pytest.mark.parametrize("placement", ["in_server", "isolated"])
async def test_versions_that_are_placed_otherwise_are_told(placement: str) -> None:
    """Their processes do not stop alike, so that the judge must know."""
    versions = {CANDIDATE: {"placement": placement}}
    server = await Server().start(100, versions=versions)
    await server.ask()
    assert server.counted().is_mixed == (placement == "isolated")
    await server.change(versions={**versions, STABLE: {"placement": placement}})
    await server.ask()
    assert not server.counted().is_mixed


async def test_stables_own_failures_count_against_stable() -> None:
    """A 5xx of stable is one, and so is a row without an answer."""
    server = await Server().start(0)
    stable = server.store.scorers[STABLE]
    stable.error = NotReady("gone")
    with pytest.raises(NotReady):
        await server.ask("ada")
    stable.error = None
    stable.score_row = lambda _: float("nan")
    await server.ask("bob")
    stable.error = RuntimeError("a fault of ours")
    with pytest.raises(RuntimeError):
        await server.ask("eve")
    found = server.counted()
    assert found.bad["stable"] == {"not_ready": 1, "invalid": 1, "raised": 1}
    bad = {digest(key) for key in ("ada", "bob", "eve")}
    assert found.errors.first == {"stable": bad, "candidate": set()}


@pytest.mark.parametrize("percent", [0, 100])
async def test_a_full_queue_counts_alike_for_both(percent: float) -> None:
    """A 429 of the version itself is its own fault, whoever gets the answer in the end."""
    server = await Server().start(percent)
    version = CANDIDATE if percent else STABLE
    server.store.scorers[version].error = Overloaded("full", retry_after_s=1)
    with suppress(Overloaded):
        await server.ask("refused")
    arm: Arm = "candidate" if percent else "stable"
    assert server.counted().bad[arm] == {"refused": 1}


@pytest.mark.parametrize("percent", [0, 100])
async def test_late_is_the_same_for_both(percent: float) -> None:
    """Stable may take longer before its client hears of it, and is late for the judge all the same.

    In the server and cheap, a candidate is not cut off either: its answer is valid and late.
    """
    server = await Server().start(percent, limits={"candidate_deadline_ms": 20})
    version = CANDIDATE if percent else STABLE
    server.store.scorers[version].delay_s = 0.05
    assert await server.ask("ada") == version
    arm: Arm = "candidate" if percent else "stable"
    assert server.counted().bad[arm] == {"late": 1}


async def test_forced_and_abandoned_requests_and_faults_of_clients_count_nowhere() -> None:
    """That is X-Model-Version, a client that left, and a 4xx."""
    server = await Server().start(0, limits={"candidate_deadline_ms": 1_000})
    assert await server.ask(forced=CANDIDATE) == CANDIDATE
    stable = server.store.scorers[STABLE]
    stable.error = TooManyRows("a client's fault")
    with pytest.raises(TooManyRows):
        await server.ask("refused")
    stable.error = None
    stable.delay_s = 60
    waiting = asyncio.ensure_future(server.ask("left"))
    await until(lambda: server.router.rows_under_way)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    found = server.counted()
    assert found.requests == {"stable": 0, "candidate": 0}
    assert found.errors.n_keys == 0


async def left(server: Server, version: str, after_s: float) -> Counts:
    """What is counted of a client that leaves so long after it asked a version that hangs."""
    hanging = server.store.scorers[version]
    hanging.delay_s = 60
    waiting = asyncio.ensure_future(server.ask("left"))
    await until(lambda: hanging.blocks)
    await asyncio.sleep(after_s)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return server.counted()


@pytest.mark.parametrize("percent", [0, 100])
async def test_whoever_leaves_when_it_is_late_already_counts_alike_for_both(percent: float) -> None:
    """In plain mode Ray ends the request then: a version that stalls must not be spared for it."""
    server = await Server().start(percent, limits={"candidate_deadline_ms": 20})
    found = await left(server, CANDIDATE if percent else STABLE, 0.2)
    arm: Arm = "candidate" if percent else "stable"
    assert found.bad[arm] == {"late": 1}
    assert found.requests[arm] == 1
    assert found.n_stood_in == 0


async def test_a_client_that_leaves_in_the_candidates_time_says_nothing_of_stable() -> None:
    """The candidate was late, and stable, asked in its place, had no time to answer."""
    # Far more time than the test takes: none of it passes for stable.
    limits = {"candidate_deadline_ms": 59_000, "deadline_ms": 60_000}
    server = await Server().start(100, limits=limits)
    server.store.scorers[CANDIDATE].error = DeadlineExceeded("late")
    found = await left(server, STABLE, 0.0)
    assert found.bad["candidate"] == {"late": 1}
    assert found.n_stood_in == 1


async def test_in_shadow_the_answer_does_not_wait_and_both_are_compared() -> None:
    """A slow candidate costs nobody anything: the answer is there before the candidate's is."""
    server = await Server().start(0, shadow=True)
    candidate = server.store.scorers[CANDIDATE]
    candidate.delay_s = 0.1
    assert await server.ask("ada", n_rows=3) == STABLE
    assert candidate.blocks == []
    found = server.counted().shadowed
    assert found.pairs == {}

    def compared() -> bool:
        found.add(server.counted().shadowed)
        return bool(found.pairs)

    await until(compared)
    assert found.pairs == {digest("ada"): True}
    assert found.whole.n_rows == 3
    assert np.isclose(found.agreement.difference, 3 * 0.8)
    assert candidate.deadlines_s == [0.15]


async def test_shadow_stops_where_more_pairs_would_not_be_reported() -> None:
    """A report carries only so many; the rest is dropped, and counted."""
    server = await Server().start(0, shadow=True)
    candidate = server.store.scorers[CANDIDATE]

    def n_scored() -> int:
        return sum(len(block) for block in candidate.blocks)

    for n in range(0, MOST_REPORTED_KEYS, 250):
        for m in range(n, n + 250):
            await server.ask(str(m))
        await until(lambda wanted=n + 250: n_scored() == wanted)  # type: ignore[misc]
    await until(lambda: not server.rollout.is_shadowing)
    for m in range(250):
        await server.ask(f"more-{m}")
    assert n_scored() == MOST_REPORTED_KEYS
    assert server.counted().shadowed.n_dropped == 250


async def test_an_abort_ends_the_shadow_at_once() -> None:
    """The phase stays, but its orders change."""
    server = await Server().start(0, shadow=True)
    server.order(0)
    await server.ask()
    assert not server.rollout.is_shadowing
    assert server.counted().shadowed.whole.n_rows == 0


async def test_what_began_in_an_older_phase_counts_there() -> None:
    """A request counts in the phase in which it was assigned, though the weight changed since."""
    server = await Server().start(100, limits={"candidate_deadline_ms": 1_000})
    server.store.scorers[CANDIDATE].delay_s = 0.05
    waiting = asyncio.ensure_future(server.ask())
    await until(lambda: server.router.rows_under_way)
    server.order(0, phase=2)
    await waiting
    counts = {one.phase: one.requests["candidate"] for one in server.report().counts}
    assert counts == {1: 1, 2: 0}


async def test_the_rows_that_are_reported_add_up() -> None:
    """The coordinator makes a rate of the reported rows."""
    server = await Server().start(0)
    reported = []
    for n_rows in (1, 2, 3):
        await server.ask(n_rows=n_rows)
        reported.append(server.report().n_rows)
    assert reported == [1, 2, 3]


async def test_the_first_bad_request_of_each_kind_and_second_is_told_by_its_id_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A person looks for that line; what was raised stands in it, never what was sent."""
    server = await Server().start(100)
    candidate = server.store.scorers[CANDIDATE]
    candidate.error = ValueError("ada's salary")
    for number in range(3):
        token = REQUEST_ID.set(f"request-{number}")
        await server.ask()
        REQUEST_ID.reset(token)
    lines = [line for line in caplog.messages if line.startswith("rollout: version")]
    assert len(lines) == 1
    assert f"version {CANDIDATE}: raised an error (ValueError)" in lines[0]
    assert "salary" not in lines[0]
    counts = server.counted()
    assert counts.examples == {"stable": {}, "candidate": {"raised": "request-0"}}
    assert counts.bad["candidate"]["raised"] == 3
    token = REQUEST_ID.set("request-3")
    await server.ask()
    REQUEST_ID.reset(token)
    assert server.counted().examples["candidate"] == {"raised": "request-3"}
