"""Coordinators follow each other, or meet at one log, and none decides what it may not."""

import json
import math
import threading
from pathlib import Path
from typing import Any

import pytest
from two_servers import PLAN, TwoServers, written

from serve_app.errors import NotReady, RolloutError
from serve_app.rollout import holder
from serve_app.rollout.controller import LISTEN_S, MOST_UNKNOWN_S
from serve_app.rollout.holder import CHECK_S, RECLAIM_S
from serve_app.rollout.log import Log
from serve_app.rollout.orders import RolloutReply
from serve_app.rollout.view import view
from serve_app.statistics.sequential_test import FIRST_SHARE


async def test_a_new_coordinator_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    """While it listens the servers keep what they have; the run stays, its phase begins again."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    before = servers.orders
    servers.restart_coordinator()
    assert not (await servers.report_for()).known
    await servers.report_for(int(LISTEN_S) + 1)
    assert (servers.orders.percent, servers.orders.run) == (10.0, before.run)
    assert servers.orders.phase == before.phase + 1
    assert servers.view().events[-1].epoch == 2
    limits = [rail.limit for rail in servers.view().evidence if rail.rail == "errors"]
    assert min(limits) > 7, "the evidence began again, with a higher limit"


async def test_runs_and_restarts_together_stay_within_alpha(tmp_path: Path) -> None:
    """A run that a person starts, a restart in it and the log claimed again are each judged by a
    part of alpha that nobody had before: the limits of one rail are all different, and the parts
    add up to no more than the first run and all restarts may have.
    """
    servers = TwoServers(tmp_path)

    async def limit_at_10() -> float:
        await servers.until_share(10.0)
        evidence = servers.view().evidence
        return next(found.limit for found in evidence if found.rail == "errors")

    limits = [await limit_at_10()]
    for _ in range(2):
        await servers.controller.command("abort", "ada", "")
        await servers.controller.command("start", "ada", "")
        limits.append(await limit_at_10())
    servers.restart_coordinator()
    await servers.report_for(int(LISTEN_S) + 2)
    limits.append(await limit_at_10())
    other = TwoServers(tmp_path, now_s=servers.now_s)
    await other.report_for(5)
    await servers.report_for(int(CHECK_S + RECLAIM_S) + 10)
    assert written(tmp_path)[-1]["kind"] == "claimed"
    limits.append(await limit_at_10())
    assert limits == sorted(limits)
    parts = [math.exp(limits[0] - limit) for limit in limits]
    assert len(set(parts)) == len(parts)
    assert sum(parts[1:]) <= (1 - FIRST_SHARE) / FIRST_SHARE + 1e-9


async def test_while_the_log_cannot_be_read_stable_answers_everybody(tmp_path: Path) -> None:
    """The servers get no orders; when the log can be read again, the rollout goes on."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    servers.broken = RolloutError("state: cannot be opened")
    servers.restart_coordinator()
    await servers.report_for(5)
    assert servers.reply == RolloutReply(known=True, orders=None)
    assert "cannot be opened" in str(view(servers.controller))
    servers.broken = None
    await servers.report_for(5)
    assert servers.orders.percent == 10.0


async def test_behind_an_event_of_a_newer_sluice_the_share_only_falls(tmp_path: Path) -> None:
    """After a rollback of the code the log goes on with what is not known here: the candidate
    keeps its share, is judged, gets no more, and a person can take it away.
    """
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    last = written(tmp_path)[-1]
    folder = tmp_path / "churn" / "shop" / PLAN.id

    def write(n: int, **fields: Any) -> None:
        seq = last["seq"] + n
        (folder / f"{seq:08d}.json").write_text(json.dumps({**last, "seq": seq, **fields}))

    write(1, kind="thawed", share=50)
    write(2, step=2, phase=last["phase"] + 1, share=100)
    servers.restart_coordinator()
    await servers.report_for(int(LISTEN_S) + 3)
    assert servers.orders.percent == 10.0
    assert "'thawed'" in servers.view().trouble
    with pytest.raises(NotReady, match="'thawed'"):
        await servers.controller.command("promote", "ada", "")
    write(3, kind="lowered", share=5)
    await servers.report_for(2)
    assert servers.orders.percent == 5.0
    with pytest.raises(NotReady, match="In force"):
        await servers.controller.command("out", "ada", "")
    await servers.report_for()
    assert (servers.orders.percent, servers.orders.is_out) == (0.0, True)
    servers.restart_coordinator()
    write(4, kind="aborted", share=0)
    await servers.report_for(int(LISTEN_S) + 3)
    assert servers.status == "aborted"
    assert len(written(tmp_path)) == last["seq"] + 4, "nothing was written behind it"


async def test_of_two_coordinators_the_older_one_follows_and_writes_no_more(tmp_path: Path) -> None:
    """It reads what the newer one decides, and says who holds the log; a person's command claims
    it again.
    """
    old = TwoServers(tmp_path)
    await old.until_share(10.0)
    new = TwoServers(tmp_path, now_s=old.now_s)
    await new.report_for(5)
    await new.controller.command("abort", "ada", "enough")
    await old.report_for(int(CHECK_S) + 1)
    assert old.orders.percent == 0.0
    assert old.status == "aborted"
    assert "has claimed the log" in old.view().trouble
    n_events = len(written(tmp_path))
    await old.report_for(3, requests=(540, 60), errors=([], [f"bad-{n}" for n in range(12)]))
    assert len(written(tmp_path)) == n_events
    await old.controller.command("start", "ada", "")
    assert written(tmp_path)[-1]["kind"] == "started"


async def test_a_second_cluster_takes_the_log_only_when_the_clients_come(tmp_path: Path) -> None:
    """At an upgrade it stands beside the first one for a while, and its judge sees nothing."""
    old = TwoServers(tmp_path)
    await old.until_share(10.0)
    new = TwoServers(tmp_path, now_s=old.now_s)
    new.n_rows = 0
    await new.report_for(8)
    assert new.orders.percent == 10.0
    assert new.view().waits_for.startswith("clients:")
    assert sum(event["kind"] == "claimed" for event in written(tmp_path)) == 1
    new.n_rows = 100
    await new.report_for(3)
    assert written(tmp_path)[-1]["kind"] == "claimed"


async def test_whoever_read_along_knows_at_100_percent_what_stable_did_before(
    tmp_path: Path,
) -> None:
    """It counted nothing of the steps before: the log tells it, as one that starts at 100 %."""
    old = TwoServers(tmp_path)
    await old.until_share(10.0)
    new = TwoServers(tmp_path, now_s=old.now_s)
    new.n_rows = 0
    await new.report_for(6)
    await old.until_share(100.0)
    new.n_rows = 100
    await new.report_for(3)
    assert new.orders.percent == 100.0
    for second in range(45):
        bad = [f"{second}-{n}" for n in range(40)]
        await new.report_for(1, requests=(0, 100), errors=([], bad))
    last = written(tmp_path)[-1]
    assert (last["kind"], last["cause"]) == ("rolled_back", "worse than before")


async def test_one_that_lost_the_log_claims_it_again_when_the_other_is_quiet(
    tmp_path: Path,
) -> None:
    """Its servers have the clients, and nobody else writes."""
    old = TwoServers(tmp_path)
    await old.until_share(10.0)
    new = TwoServers(tmp_path, now_s=old.now_s)
    await new.report_for(5)
    await old.report_for(int(CHECK_S + RECLAIM_S) + 10)
    claims = [event for event in written(tmp_path) if event["kind"] == "claimed"]
    assert len(claims) == 3
    assert claims[-1]["writer"] == claims[0]["writer"]


async def test_nobody_claims_the_log_of_what_is_over(tmp_path: Path) -> None:
    """Two clusters that both have clients would fill it, until nobody can read it any more."""
    old = TwoServers(tmp_path)
    await old.until_share(10.0)
    new = TwoServers(tmp_path, now_s=old.now_s)
    await new.report_for(5)
    await new.controller.command("abort", "ada", "enough")
    n_events = len(written(tmp_path))
    for _ in range(40):
        await old.report_for(10)
        await new.report_for(10)
    assert len(written(tmp_path)) == n_events
    assert (old.status, new.status) == ("aborted", "aborted")
    await old.controller.command("start", "ada", "")
    assert written(tmp_path)[-1]["kind"] == "started"


async def test_two_that_take_the_log_from_each_other_do_so_ever_more_seldom(
    tmp_path: Path,
) -> None:
    """Each waits twice as long as the last time: some twenty claims a day, not 1,440."""
    plan = PLAN.model_copy(update={"min_seconds": 1_000_000})
    old = TwoServers(tmp_path, plan)
    await old.report_for(10)
    new = TwoServers(tmp_path, plan, now_s=old.now_s)
    for _ in range(200):
        await old.report_for(10)
        await new.report_for(10)
    claims = [event for event in written(tmp_path) if event["kind"] == "claimed"]
    # Each by turns: after 60 s both, then 120, 240, 480 and 960.
    assert 4 <= len(claims) <= 11


async def test_a_store_that_hangs_keeps_no_server_waiting_and_takes_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stable answers everybody then, as where the log cannot be read; it goes on once it can."""
    monkeypatch.setattr(holder, "OPEN_TIMEOUT_S", 0.01)
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    may_end = threading.Event()
    opened = []
    open_now = servers._open

    def hang(rollout: str) -> Log:
        opened.append(rollout)
        may_end.wait(timeout=300)
        return open_now(rollout)

    servers._open = hang  # type: ignore[method-assign]
    servers.restart_coordinator()
    await servers.report_for(20)
    assert servers.reply == RolloutReply(known=True, orders=None)
    assert "no answer of its store" in str(view(servers.controller))
    assert len(opened) == 1
    may_end.set()
    monkeypatch.setattr(holder, "OPEN_TIMEOUT_S", 60.0)
    await servers.report_for(5)
    assert servers.orders.percent == 10.0


async def test_servers_that_do_not_agree_wait_for_their_orders_a_minute_at_most(
    tmp_path: Path,
) -> None:
    """A new coordinator of servers of which one has refused the table; nobody judges meanwhile."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    servers.restart_coordinator()
    other = PLAN.model_copy(update={"candidate": "1.2.0"})
    replies = []
    for _ in range(int(MOST_UNKNOWN_S) + 2):
        servers.now_s += 1
        servers.report("a")
        servers.report("b", plan=other)
        await servers.controller.look()
        replies.append(servers.controller.tell("a"))
    assert replies[0] == RolloutReply(known=False)
    assert replies[-1] == RolloutReply(known=True, orders=None)
    await servers.report_for(5)
    assert servers.orders.percent == 10.0
