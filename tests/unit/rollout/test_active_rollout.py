"""A server's end of a rollout follows orders, counts answers, and reports."""

import asyncio
import threading
from contextlib import suppress

import pytest
from fakes import until
from rollout_server import PLAN, Server
from watching import CANDIDATE, STABLE

from serve_app.errors import (
    BundleError,
    BundleUnavailable,
    HttpError,
    NotReady,
)
from serve_app.rollout import active_rollout
from serve_app.rollout.active_rollout import KEEP_S
from serve_app.rollout.candidate import FINAL_AFTER_FAILURES
from serve_app.rollout.orders import Orders, RolloutReply
from serve_app.rollout.state import State
from serve_app.settings import Table


async def test_orders_are_followed_from_the_next_request_on() -> None:
    """Before the server has any orders, stable answers everybody."""
    server = await Server().start(0)
    assert await server.ask() == STABLE
    server.order(100)
    assert await server.ask() == CANDIDATE
    server.order(0)
    assert await server.ask() == STABLE


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


async def test_at_100_percent_a_server_that_hears_nothing_stays_there() -> None:
    """Stable may be scaled down already; what the log takes away is another matter."""
    server = await Server().start(100)
    server.order(100, run="r-run1")
    server.written = None
    await server.rollout.alone(100_000)
    assert await server.ask() == CANDIDATE
    server.written = State(rollout="r", run=1, status="rolled_back")
    await server.rollout.alone(100_006)
    assert await server.ask() == STABLE


async def test_at_100_percent_a_server_stays_there_while_nobody_can_read_the_log() -> None:
    """Stable may be scaled down already; a table without a rollout is another matter."""
    server = await Server().start(100)
    server.order(100)
    server.rollout.follow(RolloutReply(known=True))
    assert server.rollout.is_known
    assert await server.ask() == CANDIDATE
    server.order(50)
    server.rollout.follow(RolloutReply(known=True))
    assert server.rollout.percent == 0


async def test_at_100_percent_while_nobody_can_read_the_log_what_fails_everything_is_out() -> None:
    """Nobody else judges it, as without a coordinator."""
    server = await Server().start(100)
    server.order(100)
    server.rollout.follow(RolloutReply(known=True))
    server.store.scorers[CANDIDATE].error = RuntimeError("broken")
    for second in range(12):
        server.now_s += 1
        await server.ask(f"key {second}")
        server.rollout.follow(RolloutReply(known=True))
    assert server.report().out_alone == "run-1"
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
            assert not server.report().out_alone
    await server.rollout.alone(12)
    assert server.report().out_alone == "run-1"
    assert await server.ask() == STABLE


async def test_without_a_coordinator_what_failed_all_at_once_is_not_out() -> None:
    """A job sent its rows while the candidate stopped for a second, and nobody asks since."""
    server = await Server().start(100)
    server.written = State(status="running", share=100.0)
    server.store.scorers[CANDIDATE].error = RuntimeError("broken")
    for n in range(30):
        await server.ask(f"key {n}")
    server.now_s += 30
    await server.rollout.alone(30)
    assert not server.report().out_alone


async def test_without_a_coordinator_nobody_waits_for_the_next_heartbeat() -> None:
    """One that finds no coordinator takes six seconds, and with a silent log 16."""
    server = await Server().start(100)
    server.written = State(status="running", share=100.0)
    server.store.scorers[CANDIDATE].error = RuntimeError("broken")
    await server.rollout.alone(5)
    for second in range(11):
        assert not server.report().out_alone
        server.now_s += 1
        await server.ask(f"key {second}")
    assert server.report().out_alone == "run-1"
    assert await server.ask() == STABLE


async def test_while_the_coordinator_answers_it_alone_puts_a_candidate_out() -> None:
    """It compares the versions over all servers; one that has just started does not yet."""
    server = await Server().start(100)
    server.written = State(status="running", share=100.0)
    server.store.scorers[CANDIDATE].error = RuntimeError("broken")
    await server.rollout.alone(5)
    server.order(100)
    for second in range(12):
        server.now_s += 1
        await server.ask(f"key {second}")
    assert not server.report().out_alone
    server.rollout.follow(RolloutReply(known=False))
    await server.ask()
    assert server.report().out_alone == "run-1"


async def ask_alone(server: Server, n_seconds: int, key: str = "key") -> None:
    """Ask once a second, whoever answers, and let the heartbeat find no coordinator."""
    for second in range(n_seconds):
        server.now_s += 1
        with suppress(HttpError, RuntimeError):
            await server.ask(f"{key} {second}")
        await server.rollout.alone(second)


@pytest.mark.parametrize("percent", [50, 100])
@pytest.mark.parametrize("fault", [RuntimeError("what both need is away"), NotReady("no room")])
async def test_without_a_coordinator_an_outage_of_both_puts_nobody_out(
    percent: float, fault: Exception
) -> None:
    """An equal candidate would be out in the whole fleet where each server says so; one that does
    not recover when stable does is out.
    """
    server = await Server().start(percent)
    server.written = State(status="running", share=percent)
    for version in (CANDIDATE, STABLE):
        server.store.scorers[version].error = fault
    await ask_alone(server, 40)
    assert not server.report().out_alone
    server.store.scorers[STABLE].error = None
    await ask_alone(server, 40, "another key")
    assert server.report().out_alone == "run-1"


async def test_without_a_coordinator_what_failed_long_ago_puts_nobody_out() -> None:
    """Nobody has asked the candidate since, and it may have recovered; the row begins again."""
    server = await Server().start(100)
    server.written = State(status="running", share=100.0)
    server.store.scorers[CANDIDATE].error = RuntimeError("broken")
    for second in range(12):
        server.now_s += 1
        await server.ask(f"key {second}")
    server.now_s += 3600
    await server.rollout.alone(1)
    assert not server.report().out_alone
    await server.ask("once more")
    await server.rollout.alone(2)
    assert not server.report().out_alone


async def failing_alone() -> Server:
    """Return a server that has put the candidate out by itself, with a report unanswered."""
    server = await Server().start(100)
    server.order(100, run="r-run1")
    server.written = State(rollout="r", run=1, status="running", share=100.0)
    server.store.scorers[CANDIDATE].error = NotReady("no route to it")
    server.report()
    await ask_alone(server, 12)
    assert server.rollout.percent == 0
    return server


async def test_what_a_server_decides_alone_is_for_the_coordinator_to_judge() -> None:
    """It cannot reach the candidate, of which the others may see nothing: its word is no `out`. The
    answer to what it sent before does not know of it, and so is no judgement; nor is none.
    """
    server = await failing_alone()
    server.order(100, run="r-run1")
    assert server.rollout.percent == 0
    report = server.report()
    assert (report.out, report.out_alone) == ("", "r-run1")
    server.rollout.follow(RolloutReply(known=False))
    server.rollout.follow(RolloutReply(True, None))
    server.report()
    assert server.rollout.percent == 0
    server.order(100, run="r-run1")
    assert server.rollout.percent == 100
    assert server.report().out_alone == ""
    # It goes on by that for as long as it would take to find it again.
    await ask_alone(server, 9)
    assert server.rollout.percent == 100


async def test_what_a_server_decides_alone_stays_whatever_the_log_says_of_this_run() -> None:
    """A share that is written is no judgement; that it is out there is one."""
    server = await failing_alone()
    await server.rollout.alone(1_000)
    assert server.rollout.percent == 0
    server.written = State(rollout="r", run=1, status="aborted")
    await server.rollout.alone(1_006)
    assert server.report().out == "r-run1"
    server.order(100, run="r-run2")
    assert server.rollout.percent == 100


async def test_a_new_server_that_finds_no_coordinator_reads_the_log() -> None:
    """At 100 % stable may be scaled down already: all at once to it would be an outage."""
    server = await Server().start(0)
    server.rollout.follow(RolloutReply(True, None))
    server.written = State(status="baking", share=100.0)
    await server.rollout.alone(0)
    assert await server.ask() == CANDIDATE


class SilentStore(Server):
    """A server whose store of logs says nothing until the test has ended."""

    may_end = threading.Event()

    def _read_orders(self, rollout: str) -> Orders:
        self.may_end.wait(timeout=300)
        return Orders(rollout, "run-1", 1, 100.0, False)


async def test_a_log_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is cut off from everything goes to stable all the same."""
    monkeypatch.setattr(active_rollout, "READ_TIMEOUT_S", 0.01)
    server = await SilentStore().start(50)
    await server.rollout.alone(61)
    server.may_end.set()
    assert server.rollout.percent == 0


async def test_what_is_out_here_stays_out_whatever_the_log_says() -> None:
    """It was put out while the log could not be written."""
    server = await Server().start(100)
    assert server.rollout.put_out()
    server.written = State(status="running", share=50.0)
    await server.rollout.alone(1_000)
    assert await server.ask() == STABLE
    assert server.report().out == "run-1"


async def test_what_is_out_here_gets_nothing_from_orders_that_do_not_know_it_yet() -> None:
    """A reply that was under way, and the log behind a coordinator that could not read it, still
    tell of a share in this run; another run is another matter.
    """
    server = await Server().start(100)
    server.order(50, run="r-run1")
    assert server.rollout.put_out()
    server.order(50, run="r-run1")
    assert await server.ask() == STABLE
    server.rollout.follow(RolloutReply(True, None))
    server.written = State(rollout="r", run=1, status="running", share=50.0)
    await server.rollout.alone(0)
    assert server.rollout.percent == 0
    server.order(100, run="r-run2")
    assert await server.ask() == CANDIDATE


async def test_what_the_run_before_failed_puts_nobody_out_in_the_next() -> None:
    """Somebody has begun it again; no request of this run was asked yet."""
    server = await Server().start(100)
    server.store.scorers[CANDIDATE].error = RuntimeError("broken")
    for second in range(12):
        server.now_s += 1
        await server.ask(f"key {second}")
    server.order(50, run="run-2")
    await server.rollout.alone(1)
    assert server.rollout.percent == 50


async def test_out_in_a_later_run_of_the_log_is_out_in_a_server_that_missed_its_beginning() -> None:
    """It was cut off at 100 % when a person began again, and then took the share away."""
    server = await Server().start(100)
    server.order(100, run="r-run1")
    server.written = State(rollout="r", run=2, status="aborted")
    await server.rollout.alone(1)
    assert await server.ask() == STABLE


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
