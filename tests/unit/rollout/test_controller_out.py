"""What takes share away is in force at once, and stays so whatever becomes of the log."""

import asyncio
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fakes import until
from two_servers import PLAN, TwoServers, written

from serve_app.errors import NotReady, RolloutError
from serve_app.rollout import fleet, ongoing, view
from serve_app.rollout.controller import LISTEN_S
from serve_app.rollout.event import Draft
from serve_app.rollout.facts import Verdict
from serve_app.rollout.holder import CHECK_S
from serve_app.rollout.log import Log, open_log
from serve_app.rollout.looking import look_forever
from serve_app.rollout.orders import RolloutReport, order_out


def hanging(log: Log, monkeypatch: pytest.MonkeyPatch) -> tuple[Event, Event]:
    """Let each write wait in the store: (one has begun, they may end)."""
    append = log.append
    is_writing = Event()
    may_end = Event()

    def hang(draft: Draft, now_s: float) -> Any:
        is_writing.set()
        may_end.wait(timeout=300)
        return append(draft, now_s)

    monkeypatch.setattr(log, "append", hang)
    return is_writing, may_end


async def test_a_bad_candidate_is_out_with_the_next_report(tmp_path: Path) -> None:
    """The judge's reason and numbers are in the log, and the candidate stays out."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    await servers.report_for(requests=(540, 60), errors=([], [f"bad-{n}" for n in range(12)]))
    assert servers.status == "aborted"
    assert servers.orders.percent == 0.0
    last = servers.view().events[-1]
    assert (last.kind, last.by) == ("aborted", "judge")
    assert last.numbers["errors_candidate_keys"] == 12
    await servers.report_for(30)
    assert servers.status == "aborted"


async def test_a_candidate_is_out_even_when_the_log_cannot_be_written(tmp_path: Path) -> None:
    """Its share is 0 at once, and written as soon as possible; no command comes in between."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    next_file = tmp_path / "churn" / "shop" / PLAN.id / f"{len(servers.view().events) + 1:08d}.json"
    # A folder takes the place of the next event in the log.
    next_file.mkdir()
    with pytest.raises(NotReady, match="In force"):
        await servers.controller.command("abort", "ada", "")
    assert servers.controller.tell("a").orders.percent == 0.0  # type: ignore[union-attr]
    with pytest.raises(NotReady):
        await servers.controller.command("promote", "ada", "")
    next_file.rmdir()
    await servers.report_for(2)
    assert servers.status == "aborted"
    assert servers.view().trouble == ""
    assert written(tmp_path)[-1]["by"] == "ada"


async def test_an_abort_does_not_wait_for_a_slow_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that hangs in the store holds up the log, not the servers; and what was commanded
    stays so, whoever gave up waiting for the log.
    """
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    controller = servers.controller
    assert controller.ongoing is not None
    is_writing, may_end = hanging(controller.ongoing.log, monkeypatch)

    def percent() -> float:
        assert controller.orders is not None
        return controller.orders.percent

    paused = asyncio.ensure_future(controller.command("pause", "ada", ""))
    await until(is_writing.is_set, timeout_s=300)
    abort = asyncio.ensure_future(controller.command("abort", "ada", ""))
    rollback = asyncio.ensure_future(controller.command("rollback", "ada", ""))
    await until(lambda: percent() == 0.0, timeout_s=300)
    abort.cancel()
    await asyncio.gather(abort, return_exceptions=True)
    assert percent() == 0.0
    may_end.set()
    await paused
    with pytest.raises(NotReady, match="the log must say so first"):
        await rollback
    await servers.report_for(2)
    assert servers.status == "aborted"


async def test_the_judge_does_not_wait_for_a_slow_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a look hangs in the store, a candidate that fails is out all the same."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    controller = servers.controller
    assert controller.ongoing is not None
    _, may_end = hanging(controller.ongoing.log, monkeypatch)
    paused = asyncio.ensure_future(controller.command("pause", "ada", ""))
    looking = asyncio.ensure_future(look_forever(controller))
    servers.report("a", counts=servers.counts({"errors": ([], [f"c{n}" for n in range(40)])}))
    await until(lambda: controller.is_falling, timeout_s=300)
    assert controller.tell("a").orders.percent == 0.0
    may_end.set()
    await paused
    await until(lambda: servers.status == "aborted", timeout_s=300)
    looking.cancel()
    assert written(tmp_path)[-1]["by"] == "judge"


async def test_a_judge_that_fails_ends_nothing_and_keeps_nobody_from_taking_the_share_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator that ended would be started again, and again without what was counted."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    n_asked = 0

    def fail(*_: object) -> Verdict:
        nonlocal n_asked
        n_asked += 1
        raise ZeroDivisionError

    monkeypatch.setattr(ongoing, "verdict", fail)
    monkeypatch.setattr(view, "judged", fail)
    looking = asyncio.ensure_future(look_forever(servers.controller))
    await until(lambda: n_asked >= 2 or looking.done(), timeout_s=300)
    assert not looking.done()
    servers.now_s += PLAN.min_seconds + 1
    await servers.report_for(2, requests=(540, 60))
    assert "the judge itself fails (ZeroDivisionError)" in servers.controller.waits_for
    assert servers.orders.percent == 10.0
    told = servers.view()
    assert (told.status, told.share, told.evidence) == ("running", 10.0, [])
    assert "the judge itself fails (ZeroDivisionError)" in told.now
    await servers.controller.command("abort", "ada", "")
    last = written(tmp_path)[-1]
    assert (last["kind"], last["by"], last["cause"]) == ("aborted", "ada", "person")
    looking.cancel()


async def test_what_is_out_stays_out_when_the_coordinator_has_forgotten_it(
    tmp_path: Path,
) -> None:
    """The log could not be written, and the coordinator died: the servers tell the next one."""
    servers = TwoServers(tmp_path)
    run = await servers.run_at(10.0)
    servers.restart_coordinator()
    servers.out = run
    await servers.report_for(int(LISTEN_S) + 1)
    assert servers.orders.percent == 0.0
    await servers.report_for(2)
    assert servers.status == "aborted"
    last = written(tmp_path)[-1]
    assert "put out before" in last["reason"]
    assert last["cause"] == "forgotten"


async def test_one_server_that_decides_alone_puts_nobody_out_and_all_of_them_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One may be cut off from coordinator and candidate; where the coordinator was gone for all,
    the next one gives no share back, and says why.
    """
    monkeypatch.setattr(fleet, "ALONE_S", 0.0)
    servers = TwoServers(tmp_path)
    run = await servers.run_at(10.0)
    cut_off = RolloutReport(PLAN, servers.candidate, 10, (), out_alone=run)
    servers.controller.hear("cut off", cut_off, is_new=True)
    await servers.report_for(2)
    assert (servers.status, servers.orders.percent) == ("running", 10.0)
    assert servers.controller.tell("cut off").orders == servers.orders, "it goes by them again"
    servers.restart_coordinator()
    servers.out_alone = run
    await servers.report_for(int(LISTEN_S) + 1)
    assert servers.orders.percent == 0.0
    await servers.report_for(2)
    last = written(tmp_path)[-1]
    assert (last["kind"], last["cause"]) == ("aborted", "failing")
    assert last["reason"].startswith("each server with clients put it out by itself")


async def test_while_others_may_say_so_too_who_decided_alone_is_told_nothing(
    tmp_path: Path,
) -> None:
    """Those that reach the coordinator again a second later speak too, before share is given."""
    servers = TwoServers(tmp_path)
    run = await servers.run_at(10.0)
    cut_off = RolloutReport(PLAN, servers.candidate, 10, (), out_alone=run)
    servers.controller.hear("cut off", cut_off, is_new=True)
    assert not servers.controller.tell("cut off").known
    assert servers.controller.tell("a").known
    await servers.controller.command("out", "ada", "")
    assert servers.controller.tell("cut off").orders == servers.controller.orders


async def test_out_means_out_in_every_state_and_again(tmp_path: Path) -> None:
    """Also twice, while the log cannot be read, and after a rollout has finished."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    await servers.controller.command("out", "ada", "")
    await servers.controller.command("out", "ada", "")
    assert (servers.status, servers.view().share) == ("aborted", 0.0)
    await servers.controller.command("start", "ada", "")
    await servers.until_share(100.0)
    await servers.controller.command("out", "ada", "")
    assert servers.status == "rolled_back"
    await servers.controller.command("start", "ada", "")
    await servers.until_share(10.0)
    servers.broken = RolloutError("state: cannot be opened")
    servers.restart_coordinator()
    await servers.report_for(5)
    with pytest.raises(NotReady, match="In force"):
        await servers.controller.command("out", "ada", "")
    servers.broken = None
    await servers.report_for(5)
    assert servers.status == "aborted"


async def test_what_was_ordered_without_a_coordinator_is_written_by_the_next(
    tmp_path: Path,
) -> None:
    """A server knows of it too, and the log names the person who said so, and why."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    assert servers.controller.ongoing is not None
    servers.out = servers.controller.ongoing.state.id
    servers.restart_coordinator()
    order_out(open_log(str(tmp_path), "churn", "shop", PLAN.id), PLAN, "ada", "tickets")
    await servers.report_for(int(LISTEN_S) + 1)
    assert servers.orders.percent == 0.0
    await servers.report_for(2)
    last = servers.view().events[-1]
    assert (last.kind, last.by, last.reason) == ("aborted", "ada", "tickets")
    servers.out = ""
    await servers.controller.command("start", "ada", "")
    await servers.until_share(10.0)
    assert servers.orders.percent == 10.0, "the order was for the run before"


async def test_what_was_ordered_before_the_files_next_run_has_begun_is_out_in_it(
    tmp_path: Path,
) -> None:
    """The log says that run 1 is out, and the next coordinator would begin run 2."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    await servers.controller.command("abort", "bo", "")
    servers.restart_coordinator()
    servers.plan = PLAN.model_copy(update={"run": 2})
    order_out(open_log(str(tmp_path), "churn", "shop", PLAN.id), servers.plan, "ada", "tickets")
    await servers.report_for(int(LISTEN_S) + 5)
    assert servers.orders.percent == 0.0
    told = [(event.kind, event.run, event.by) for event in servers.view().events]
    assert told[-2:] == [("started", 2, "file"), ("aborted", 2, "ada")]


async def test_an_order_reaches_a_coordinator_that_only_the_asked_server_cannot_reach(
    tmp_path: Path,
) -> None:
    """The others hear the coordinator, and do not look at the log."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    order_out(open_log(str(tmp_path), "churn", "shop", PLAN.id), PLAN, "ada", "tickets")
    await servers.report_for(int(CHECK_S) + 2)
    assert servers.status == "aborted"
    assert servers.orders.percent == 0.0


async def test_out_means_the_run_that_the_log_is_in_whichever_was_known(tmp_path: Path) -> None:
    """A coordinator that had lost the log claims it for `out`, and another run has begun there."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    old = servers.controller
    servers.restart_coordinator()
    await servers.report_for(int(LISTEN_S) + 1)
    servers.now_s += CHECK_S + 1
    await old.look()
    await servers.controller.command("abort", "bo", "")
    await servers.controller.command("start", "bo", "")
    await old.command("out", "ada", "tickets")
    last = written(tmp_path)[-1]
    assert (last["kind"], last["run"], last["by"]) == ("aborted", 2, "ada")


async def test_a_fenced_coordinator_keeps_out_what_it_has_put_out(tmp_path: Path) -> None:
    """Another one holds the log and knows nothing of it: our servers' clients are safe all the
    same.
    """
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    old = servers.controller
    servers.restart_coordinator()
    await servers.report_for(int(LISTEN_S) + 1)
    servers.controller = old
    with pytest.raises(NotReady, match="In force"):
        await old.command("abort", "ada", "")
    await servers.report_for(3)
    assert servers.orders.percent == 0.0


async def test_out_on_what_is_out_writes_nothing(tmp_path: Path) -> None:
    """A command that is given again and again does not grow the log, whoever holds it."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    await servers.controller.command("out", "ada", "")
    n_written = len(written(tmp_path))
    for _ in range(3):
        await servers.controller.command("out", "ada", "")
    # One that has no clients reads the log, and has no reason to claim it.
    servers.restart_coordinator()
    servers.n_rows = 0
    await servers.report_for(int(LISTEN_S) + 2)
    for _ in range(3):
        await servers.controller.command("out", "ada", "")
    assert servers.status == "aborted"
    assert len(written(tmp_path)) == n_written


async def test_out_of_one_that_reads_along_takes_out_what_another_has_started(
    tmp_path: Path,
) -> None:
    """What it knows is a moment old: it looks before it says that there is nothing to do."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    await servers.controller.command("out", "ada", "")
    other = TwoServers(tmp_path, now_s=servers.now_s)
    other.n_rows = 0
    await other.report_for(int(LISTEN_S) + 2)
    await servers.controller.command("start", "ada", "")
    await other.controller.command("out", "bob", "")
    assert [event["kind"] for event in written(tmp_path)[-3:]] == ["started", "claimed", "aborted"]
    assert written(tmp_path)[-1]["by"] == "bob"


async def test_an_answer_holds_the_newest_decisions_and_the_count_of_those_before(
    tmp_path: Path,
) -> None:
    """1,700 commands made each answer 2.2 MB."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    for _ in range(30):
        await servers.controller.command("pause", "ada", "")
        await servers.controller.command("resume", "ada", "")
    told = servers.view()
    assert len(told.events) == 50
    assert told.events[-1].kind == "resumed"
    assert told.n_events_before + 50 == told.events[-1].seq == len(written(tmp_path))


async def test_out_before_the_first_claim_is_out_in_the_first_run(tmp_path: Path) -> None:
    """The store is away when a rollout begins: what was said then is not lost with its return."""
    servers = TwoServers(tmp_path)
    servers.broken = RolloutError("state: cannot be opened")
    await servers.report_for(5)
    with pytest.raises(NotReady, match="In force, and written as soon as"):
        await servers.controller.command("out", "ada", "tickets")
    servers.broken = None
    await servers.report_for(10)
    last = written(tmp_path)[-1]
    assert (last["kind"], last["run"], last["by"]) == ("aborted", 1, "ada")
    assert not any(event["kind"] == "entered" for event in written(tmp_path))


async def test_out_of_one_plan_says_nothing_of_another(tmp_path: Path) -> None:
    """A bad plan whose log cannot be read is out; the sound one that comes back goes on."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    servers.plan = PLAN.model_copy(update={"candidate": "1.2.0"})
    servers.broken = RolloutError("state: cannot be opened")
    await servers.report_for(5)
    with pytest.raises(NotReady, match="In force"):
        await servers.controller.command("out", "ada", "bad 1.2.0")
    servers.plan = PLAN
    servers.broken = None
    await servers.report_for(5)
    assert (servers.status, servers.orders.percent) == ("running", 10.0)


async def test_while_nobody_knows_the_plan_out_promises_nothing(tmp_path: Path) -> None:
    """The server that was asked orders it next to the log of its own plan then."""
    servers = TwoServers(tmp_path)
    with pytest.raises(NotReady, match="not known yet which rollout"):
        await servers.controller.command("out", "ada", "")


async def test_out_beside_a_start_is_out_in_the_run_that_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever says it while another begins again means what answers afterwards."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    controller = servers.controller
    await controller.command("out", "ada", "")
    assert controller.ongoing is not None
    is_writing, may_end = hanging(controller.ongoing.log, monkeypatch)
    start = asyncio.ensure_future(controller.command("start", "bo", ""))
    await until(is_writing.is_set, timeout_s=300)
    out = asyncio.ensure_future(controller.command("out", "ada", "tickets"))
    await asyncio.sleep(0)
    may_end.set()
    await asyncio.gather(start, out)
    last = written(tmp_path)[-1]
    assert (last["kind"], last["run"], last["by"]) == ("aborted", 2, "ada")
