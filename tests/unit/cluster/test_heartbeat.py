"""A server's side of a rollout: it reports, and follows what comes back."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from fakes import FakeScorer, FakeStore, rows_of, until
from watching import CANDIDATE, SPEC, STABLE, manifest

from serve_app.cluster.heartbeat import Heartbeat
from serve_app.errors import BundleError, BundleUnavailable, DeadlineExceeded, NotReady
from serve_app.rollout.counts import MOST_KEYS, digest
from serve_app.rollout.orders import Orders, Reply, Report
from serve_app.serving.router import Router
from serve_app.serving.versions import Opened, Versions
from serve_app.settings import Table, VersionEntry

PLAN = {
    "stable": STABLE,
    "candidate": CANDIDATE,
    "steps": ["shadow", 30, 100],
    "guardrails": {"slow_ms": 50},
}


class Server:
    """Router, versions and heart of one server, and a coordinator that answers what the test says."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.store.scorers = {
            STABLE: FakeScorer(lambda days: days / 100),
            CANDIDATE: FakeScorer(lambda _: 0.9),
        }
        self.versions = Versions(self._open)
        self.router = Router(SPEC, self.versions)
        self.heart = Heartbeat("me", self.router, self.versions, self._send)
        self.beats: list[Report] = []
        self.reply: Reply | Exception = Reply(known=False)

    async def _open(self, version: str, entry: VersionEntry, table: Table) -> Opened:
        opened = await self.store.open(version, entry, table)
        return Opened(manifest(), opened.manifest_sha256, opened.scorer, coalesces=False)

    async def _send(self, beat: Report) -> Reply:
        self.beats.append(beat)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    async def start(self, percent: float = 100.0, *, shadow: bool = False, **more: Any) -> "Server":
        """With a table whose rollout stands at this share."""
        self.table = Table.model_validate({"rollout": PLAN, **more})
        await self.versions.start(self.table)
        await self.versions.settle(1)
        await self.order(percent, shadow=shadow)
        return self

    async def order(self, percent: float, *, shadow: bool = False, phase: int = 1) -> None:
        """The coordinator orders this, and the server hears it."""
        assert self.table.rollout is not None
        self.reply = Reply(True, Orders(self.table.rollout.id, "run-1", phase, percent, shadow))
        await self.heart.beat()

    async def ask(self, key: str = "ada", n_rows: int = 1, forced: str | None = None) -> str:
        """Who answers."""
        return (await self.router.predict(rows_of(*[10] * n_rows), key, forced)).version

    async def counted(self) -> Any:
        """What it tells next, all phases in one."""
        await self.heart.beat()
        merged = self.beats[-1].tallies[0]
        for tally in self.beats[-1].tallies[1:]:
            merged.add(tally)
        return merged


async def test_orders_are_followed_from_the_next_request_on() -> None:
    """And without any, stable answers everybody."""
    server = await Server().start(0)
    assert await server.ask() == STABLE
    await server.order(100)
    assert await server.ask() == CANDIDATE
    server.reply = Reply(known=True)
    await server.heart.beat()
    assert await server.ask() == STABLE


async def test_a_new_server_answers_from_stable_until_the_coordinator_knows() -> None:
    """It asks first."""
    server = Server()
    server.table = Table.model_validate({"rollout": PLAN})
    await server.versions.start(server.table)
    await server.versions.settle(1)
    assert not await server.heart.beat()
    assert await server.ask() == STABLE


@pytest.mark.parametrize("away", [RuntimeError("dead"), Reply(known=False)])
async def test_while_the_coordinator_is_away_the_last_orders_stay(away: Any) -> None:
    """Also while a new one has just started and does not know."""
    server = await Server().start(100)
    server.reply = away
    await server.heart.beat()
    assert await server.ask() == CANDIDATE


async def test_orders_of_another_plan_are_not_for_this_table() -> None:
    """A redeploy is under way, and the coordinator has not adopted the new plan yet."""
    server = await Server().start(0)
    server.reply = Reply(True, Orders("another", "run-1", 1, 100.0, False))
    await server.heart.beat()
    assert await server.ask() == STABLE


async def test_a_table_that_changed_otherwise_goes_on_with_the_orders() -> None:
    """New limits move nobody."""
    server = await Server().start(100)
    server.versions.change(Table.model_validate({"rollout": PLAN, "limits": {"max_rows": 7}}))
    await until(lambda: server.router.limits.max_rows == 7)
    assert await server.ask() == CANDIDATE
    server.versions.change(Table.model_validate({"rollout": PLAN | {"steps": [5, 100]}}))
    await until(lambda: server.versions.table and server.versions.table.rollout.steps == (5, 100))  # type: ignore[union-attr]
    assert await server.ask() == STABLE, "another plan is another rollout"


async def test_a_report_whose_answer_was_lost_is_sent_again_as_it_was() -> None:
    """The coordinator may have counted it."""
    server = await Server().start(100)
    await server.ask()
    server.reply = RuntimeError("lost")
    await server.heart.beat()
    await server.ask("bob")
    await server.order(100)
    first, again = server.beats[-2:]
    assert first is again
    assert first.tallies[-1].requests["candidate"] == 1
    assert (await server.counted()).requests["candidate"] == 1, (
        "and what came meanwhile is told after it"
    )


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (BundleError("wrong hash"), "refused"),
        (BundleUnavailable("away"), "missing"),
        (NotReady("no answer"), "missing"),
    ],
)
async def test_a_wrong_bundle_is_refused_and_one_that_may_still_come_is_not(
    error: Exception, state: str
) -> None:
    """With the reason."""
    server = Server()
    server.store.errors = {CANDIDATE: error}
    await server.start(0)
    assert server.beats[-1].candidate.state == state
    assert server.beats[-1].candidate.reason == str(error)


FAILURES: Mapping[str, Any] = {
    "raises": {"error": RuntimeError("broken")},
    "is late": {"error": DeadlineExceeded("late")},
    "is away": {"error": NotReady("gone")},
    "answers NaN": {"score_row": lambda _: float("nan")},
    "answers nonsense": {"score_row": lambda _: 7.0},
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_candidate_that_fails_is_charged_and_stable_answers(failure: str) -> None:
    """The key is the candidate's, whatever was wrong."""
    server = await Server().start(100)
    vars(server.store.scorers[CANDIDATE]).update(FAILURES[failure])
    assert await server.ask("ada", n_rows=2) == STABLE
    found = await server.counted()
    assert found.errors == {"stable": set(), "candidate": {digest("ada")}}
    assert found.requests == {"stable": 0, "candidate": 1}
    assert sum(found.scores["candidate"]) == 0


async def test_a_candidate_that_is_not_there_is_charged_too() -> None:
    """A new server waits for it before it joins, so this is the candidate's fault."""
    server = Server()
    server.store.errors = {CANDIDATE: BundleUnavailable("away")}
    await server.start(100)
    assert await server.ask() == STABLE
    assert (await server.counted()).errors["candidate"] == {digest("ada")}


async def test_stables_own_failures_are_stables() -> None:
    """A 5xx of stable, and a row without an answer."""
    server = await Server().start(0)
    stable = server.store.scorers[STABLE]
    stable.error = NotReady("gone")
    with pytest.raises(NotReady):
        await server.ask("ada")
    stable.error, stable.score_row = None, lambda _: float("nan")
    await server.ask("bob")
    stable.error = RuntimeError("a fault of ours")
    with pytest.raises(RuntimeError):
        await server.ask("eve")
    bad = {digest(key) for key in ("ada", "bob", "eve")}
    assert (await server.counted()).errors == {"stable": bad, "candidate": set()}


async def test_forced_and_abandoned_requests_count_nowhere() -> None:
    """X-Model-Version, and a client that left."""
    server = await Server().start(100, limits={"candidate_deadline_ms": 1_000})
    assert await server.ask(forced=STABLE) == STABLE
    server.store.scorers[CANDIDATE].delay_s = 0.3
    waiting = asyncio.ensure_future(server.ask("left"))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.sleep(0.01)
    found = await server.counted()
    assert found.requests == {"stable": 0, "candidate": 0}
    assert found.errors["candidate"] == set()


async def test_in_shadow_the_answer_does_not_wait_and_both_are_compared() -> None:
    """A candidate that takes half a second costs nobody anything."""
    server = await Server().start(0, shadow=True)
    candidate = server.store.scorers[CANDIDATE]
    candidate.delay_s = 0.1
    begin_s = asyncio.get_running_loop().time()
    assert await server.ask("ada", n_rows=3) == STABLE
    assert asyncio.get_running_loop().time() - begin_s < 0.05
    await until(lambda: candidate.blocks)
    await asyncio.sleep(0.15)
    shadowed = (await server.counted()).shadowed
    assert shadowed.pairs == {digest("ada"): True}
    assert shadowed.whole.n_rows == 3
    assert np.isclose(shadowed.difference, 3 * 0.8)
    assert candidate.deadlines_s == [0.15]


async def test_shadow_stops_where_more_pairs_would_not_be_told() -> None:
    """A beat carries so many; the rest is dropped, and counted."""
    server = await Server().start(0, shadow=True)
    candidate = server.store.scorers[CANDIDATE]
    for n in range(0, MOST_KEYS + 5, 250):
        for m in range(n, n + 250):
            await server.ask(str(m))
        await until(lambda: not server.router._shadow._waiting)
        await asyncio.sleep(0.01)
    assert sum(len(block) for block in candidate.blocks) == MOST_KEYS
    assert (await server.counted()).shadowed.n_dropped == 250


async def test_what_ends_in_an_older_phase_counts_there() -> None:
    """A request that was assigned before the weight changed."""
    server = await Server().start(100, limits={"candidate_deadline_ms": 1_000})
    server.store.scorers[CANDIDATE].delay_s = 0.05
    waiting = asyncio.ensure_future(server.ask())
    await asyncio.sleep(0.01)
    await server.order(0, phase=2)
    await waiting
    await server.heart.beat()
    counts = {tally.phase: tally.requests["candidate"] for tally in server.beats[-1].tallies}
    assert counts == {1: 1, 2: 0}


async def test_the_rows_that_are_told_add_up() -> None:
    """For the coordinator's rate."""
    server = await Server().start(0)
    for n_rows in (1, 2, 3):
        await server.ask(n_rows=n_rows)
        await server.heart.beat()
    assert [beat.rows for beat in server.beats[-3:]] == [1, 2, 3]
