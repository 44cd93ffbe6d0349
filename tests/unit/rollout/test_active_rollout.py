"""A server's end of a rollout follows orders, counts answers, and reports."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from fakes import FakeScorer, FakeStore, rows_of, until
from watching import CANDIDATE, SPEC, STABLE, manifest

from serve_app.errors import (
    BundleError,
    BundleUnavailable,
    DeadlineExceeded,
    NotReady,
    Overloaded,
    RolloutError,
    TooManyRows,
)
from serve_app.rollout.active_rollout import FINAL_AFTER_FAILURES, KEEP_S, ActiveRollout
from serve_app.rollout.counts import MOST_KEYS, Arm, Counts, digest
from serve_app.rollout.orders import Orders, RolloutReply, RolloutReport
from serve_app.rollout.state import State
from serve_app.serving.member import Opened
from serve_app.serving.request_id import REQUEST_ID
from serve_app.serving.router import Router
from serve_app.serving.versions import Versions
from serve_app.settings import Table, VersionEntry

PLAN = {
    "stable": STABLE,
    "candidate": CANDIDATE,
    "steps": ["shadow", 30, 100],
    "guardrails": {"slow_ms": 50},
}


class Server:
    """Router, versions and active rollout of one server; the test is its coordinator."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.store.scorers = {
            STABLE: FakeScorer(lambda days: days / 100),
            CANDIDATE: FakeScorer(lambda _: 0.9),
        }
        self.now_s = 1_000.0
        # What the log says, for a server that is alone.
        self.written: State | None = None
        self.versions = Versions(self._open, retry_first_s=0.01)
        self.rollout = ActiveRollout(SPEC, self.versions, self._read_log, lambda: self.now_s)
        self.router = Router(SPEC, self.versions, (self.rollout,), self.rollout)

    def _read_log(self, rollout: str) -> State:
        if self.written is None:
            raise RolloutError("cannot be read")
        return self.written

    async def _open(self, version: str, entry: VersionEntry, table: Table) -> Opened:
        opened = await self.store.open(version, entry, table)
        return Opened(manifest(), opened.manifest_sha256, opened.scorer, coalesces=False)

    async def start(self, percent: float = 100.0, *, shadow: bool = False, **more: Any) -> "Server":
        """Put a table in force whose rollout stands at this share."""
        self.table = Table.model_validate({"rollout": PLAN, **more})
        await self.versions.start(self.table)
        await self.versions.settle(1)
        self.order(percent, shadow=shadow)
        return self

    def order(
        self, percent: float, *, shadow: bool = False, phase: int = 1, run: str = "run-1"
    ) -> None:
        """Let the server hear these orders of the coordinator."""
        assert self.table.rollout is not None
        orders = Orders(self.table.rollout.id, run, phase, percent, shadow)
        self.rollout.follow(RolloutReply(True, orders))

    async def change(self, **more: Any) -> None:
        """Put another table in force, with the rollout of PLAN unless said otherwise."""
        table = Table.model_validate({"rollout": PLAN, **more})
        self.versions.change(table)
        await until(lambda: self.versions.table is table)

    async def ask(self, key: str = "ada", n_rows: int = 1, forced: str | None = None) -> str:
        """Ask for a prediction, and return the version that answers."""
        return (await self.router.predict(rows_of(*[10] * n_rows), key, forced)).version

    def report(self) -> RolloutReport:
        """Take the report that the server sends next."""
        return self.rollout.take()

    def counted(self) -> Counts:
        """Take the counts that the server reports next, which are of one phase."""
        (counts,) = self.report().counts
        return counts


async def test_orders_are_followed_from_the_next_request_on() -> None:
    """Before the server has any orders, stable answers everybody."""
    server = await Server().start(0)
    assert await server.ask() == STABLE
    server.order(100)
    assert await server.ask() == CANDIDATE
    server.rollout.follow(RolloutReply(known=True))
    assert await server.ask() == STABLE


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


async def test_a_server_that_hears_nothing_goes_on_for_a_while_and_then_by_the_log() -> None:
    """The share that is written stands; what cannot be read is stable's."""
    server = await Server().start(100)
    server.order(50)
    server.written = None
    await server.rollout.alone(59)
    assert server.rollout.percent == 50
    server.written = State(status="running", share=20.0)
    await server.rollout.alone(61)
    assert server.rollout.percent == 20
    server.written = None
    await server.rollout.alone(62)
    assert server.rollout.percent == 0
    assert await server.ask() == STABLE


async def test_what_the_log_takes_away_is_in_force_at_once() -> None:
    """A server that is cut off from the coordinator learns of an abort by the log."""
    server = await Server().start(100)
    server.order(50, run="r-run1")
    server.written = State(rollout="r", run=1, status="aborted")
    await server.rollout.alone(1)
    assert await server.ask() == STABLE
    assert server.report().out == "r-run1"


async def test_without_a_coordinator_what_fails_everything_is_out_after_ten_seconds() -> None:
    """Nobody judges it meanwhile; one good answer and it goes on."""
    server = await Server().start(100)
    server.written = State(status="running", share=100.0)
    candidate = server.store.scorers[CANDIDATE]
    candidate.error = RuntimeError("broken")
    for second in range(12):
        server.now_s += 1
        await server.ask(f"key {second}")
        if second < 10:
            await server.rollout.alone(second)
            assert not server.report().out
    await server.rollout.alone(12)
    assert server.report().out == "run-1"
    assert await server.ask() == STABLE


async def test_a_new_server_that_finds_no_coordinator_reads_the_log() -> None:
    """At 100 % stable may be scaled down already: all at once to it would be an outage."""
    server = await Server().start(0)
    server.rollout.follow(RolloutReply(True, None))
    server.written = State(status="baking", share=100.0)
    await server.rollout.alone(0)
    assert await server.ask() == CANDIDATE


async def test_what_is_out_here_stays_out_whatever_the_log_says() -> None:
    """It was put out while the log could not be written."""
    server = await Server().start(100)
    assert server.rollout.put_out()
    server.written = State(status="running", share=50.0)
    await server.rollout.alone(1_000)
    assert await server.ask() == STABLE
    assert server.report().out == "run-1"


async def test_a_new_server_answers_from_stable_until_the_coordinator_knows() -> None:
    """A coordinator that has just started says that it does not know yet."""
    server = Server()
    server.table = Table.model_validate({"rollout": PLAN})
    await server.versions.start(server.table)
    await server.versions.settle(1)
    assert not server.rollout.is_known
    server.rollout.follow(RolloutReply(known=False))
    assert not server.rollout.is_known
    assert await server.ask() == STABLE
    server.order(100)
    assert server.rollout.is_known
    assert await server.ask() == CANDIDATE


async def test_while_a_new_coordinator_does_not_know_the_last_orders_stay() -> None:
    """It has just started, and only listens yet."""
    server = await Server().start(100)
    server.rollout.follow(RolloutReply(known=False))
    assert await server.ask() == CANDIDATE
    assert server.rollout.percent == 100.0


async def test_orders_of_another_plan_are_not_for_this_table() -> None:
    """A redeploy may be under way, and the coordinator not have adopted the new plan yet."""
    server = await Server().start(0)
    orders = Orders("another", "run-1", 1, 100.0, False)
    server.rollout.follow(RolloutReply(True, orders))
    assert await server.ask() == STABLE
    assert server.rollout.percent == 0.0


async def test_raising_the_share_moves_no_key_back_and_another_run_picks_other_keys() -> None:
    """Whoever had the candidate at 5 % has it at 50 %; the next run meets other people first."""
    server = await Server().start(5)
    keys = [f"customer-{n}" for n in range(3_000)]

    def with_candidate(percent: float, run: str) -> set[str]:
        assert server.table.rollout is not None
        orders = Orders(server.table.rollout.id, run, 1, percent, False)
        server.rollout.follow(RolloutReply(True, orders))
        assigned = {key: server.rollout.assign(server.table, key) for key in keys}
        return {key for key, one in assigned.items() if one and one.version == CANDIDATE}

    few = with_candidate(5, "a-run1")
    many = with_candidate(50, "a-run1")
    others = with_candidate(10, "a-run2")
    assert few < many
    assert abs(len(few) - 150) < 60
    assert abs(len(many) - 1_500) < 130
    assert abs(len(with_candidate(10, "a-run1") & others) - 30) < 30
    assert with_candidate(0, "a-run1") == set()


async def test_a_table_that_changed_otherwise_goes_on_with_the_orders() -> None:
    """New limits move nobody; another plan is another rollout."""
    server = await Server().start(100)
    await server.change(limits={"max_rows": 7})
    assert await server.ask() == CANDIDATE
    await server.change(rollout=PLAN | {"steps": [5, 100]})
    assert await server.ask() == STABLE


async def test_a_table_that_changes_in_the_middle_of_a_rollout_loses_no_count() -> None:
    """Requests before and after the change, and one that was under way, are all reported."""
    server = await Server().start(100, limits={"candidate_deadline_ms": 1_000})
    for n in range(5):
        await server.ask(f"before-{n}")
    server.store.scorers[CANDIDATE].delay_s = 0.05
    under_way = asyncio.ensure_future(server.ask("under way"))
    await until(lambda: server.router.rows_under_way)
    await server.change(limits={"candidate_deadline_ms": 1_000, "max_rows": 7})
    await under_way
    await server.ask("after")
    assert server.counted().requests == {"stable": 0, "candidate": 7}


async def test_a_rollout_that_is_taken_out_of_the_table_reports_what_it_had_counted() -> None:
    """It does so even when the coordinator is away for longer than a phase is kept."""
    server = await Server().start(100)
    await server.ask()
    await server.change(rollout=None, stable=STABLE)
    assert await server.ask() == STABLE
    server.now_s += 2 * KEEP_S
    assert server.counted().requests == {"stable": 0, "candidate": 1}
    server.now_s += 2 * KEEP_S
    server.report()
    assert server.report().counts == (), "and then it is forgotten"


async def test_an_abort_within_a_phase_keeps_what_the_phase_has_counted() -> None:
    """The orders change and the phase does not: its counts go on."""
    server = await Server().start(100)
    await server.ask()
    server.order(0)
    assert await server.ask() == STABLE
    assert server.counted().requests == {"stable": 1, "candidate": 1}


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
    """The report says which it is, and why; a bundle that is half copied is wrong at first."""
    server = Server()
    server.store.errors = {CANDIDATE: error}
    await server.start(0)
    first = server.report().candidate
    assert (first.state, first.reason) == ("missing", str(error))
    member = server.versions.members()[CANDIDATE]
    await until(lambda: member.n_failures >= FINAL_AFTER_FAILURES)
    candidate = server.report().candidate
    assert (candidate.state, candidate.reason) == (state, str(error))


async def test_a_table_that_is_refused_in_the_middle_of_a_rollout_is_reported() -> None:
    """The rollout goes on by the table before, and nobody would see that the newest is not it."""
    server = Server()
    await server.start(0)
    assert server.report().config_error == ""
    server.versions.refuse("stable: found 1.9, expected a version")
    assert server.report().config_error == "stable: found 1.9, expected a version"


async def test_a_bundle_that_was_mended_before_start_ends_no_new_run() -> None:
    """What failed in the run before is looked at again first."""
    server = Server()
    server.store.errors = {CANDIDATE: BundleError("wrong hash")}
    await server.start(0)
    member = server.versions.members()[CANDIDATE]
    await until(lambda: member.n_failures >= FINAL_AFTER_FAILURES)
    assert server.report().candidate.state == "refused"
    server.order(0, run="another run")
    assert server.report().candidate.state == "missing"
    server.store.errors = {}
    await until(lambda: server.report().candidate.state == "ready")


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


async def test_a_candidate_that_is_not_there_is_charged_too() -> None:
    """A new server waits for it before it joins, so this is the candidate's fault."""
    server = Server()
    server.store.errors = {CANDIDATE: BundleUnavailable("away")}
    await server.start(100)
    assert await server.ask() == STABLE
    found = server.counted()
    assert found.errors.first["candidate"] == {digest("ada")}
    assert found.bad["candidate"] == {"not_ready": 1}


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

    for n in range(0, MOST_KEYS, 250):
        for m in range(n, n + 250):
            await server.ask(str(m))
        await until(lambda wanted=n + 250: n_scored() == wanted)  # type: ignore[misc]
    await until(lambda: not server.rollout.is_shadowing)
    for m in range(250):
        await server.ask(f"more-{m}")
    assert n_scored() == MOST_KEYS
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
