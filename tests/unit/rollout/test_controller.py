"""The controller works over a real log in a folder, with reports and a clock made by the test."""

import asyncio
import json
import math
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fakes import until
from watching import CANDIDATE, FakeIsolated, counts_of

from serve_app.errors import CommandRefused, NoRollout, NotReady, RolloutError
from serve_app.rollout.clock import SteadyClock
from serve_app.rollout.controller import LISTEN_S, Controller
from serve_app.rollout.counts import Counts
from serve_app.rollout.decide import Action
from serve_app.rollout.event import Draft
from serve_app.rollout.holder import CHECK_S, RECLAIM_S
from serve_app.rollout.log import Log, open_log
from serve_app.rollout.orders import Candidate, Orders, RolloutReply, RolloutReport
from serve_app.rollout.view import RolloutView, Unknown, view
from serve_app.settings import Rollout
from serve_app.statistics.sequential_test import FIRST_SHARE

PLAN = Rollout(
    stable="1.0.0",
    candidate=CANDIDATE,
    steps=("shadow", 10.0, 100.0),
    min_seconds=5,
    min_requests=50,
    bake_seconds=10,
)


class TwoServers:
    """Two servers that report to a coordinator each second."""

    def __init__(
        self, folder: Path, plan: Rollout | None = PLAN, now_s: float = 1_800_000_000.0
    ) -> None:
        self.folder = folder
        self.plan = plan
        self.now_s = now_s
        self.candidate = Candidate("ready")
        self.broken: Exception | None = None
        self.out = ""
        self.config_error = ""
        # Answered rows of each server each second.
        self.n_rows = 100
        self.n_seconds = 0
        self.reply = RolloutReply(known=False)
        self.restart_coordinator()

    def restart_coordinator(self) -> None:
        """Replace the controller, as a new coordinator process does."""
        clock = SteadyClock(lambda: self.now_s, lambda: self.now_s)
        self.controller = Controller(self._open, FakeIsolated(), clock)

    def _open(self, rollout: str) -> Log:
        if self.broken:
            raise self.broken
        return open_log(str(self.folder), "churn", "shop", rollout)

    async def report_for(self, n_seconds: int = 1, **counts: Any) -> RolloutReply:
        """Let both servers report each second; only their first report has these counts."""
        for _ in range(n_seconds):
            self.now_s += 1
            self.n_seconds += 1
            for server in ("a", "b"):
                self.report(server, self.n_rows, self._counts(counts))
            await self.controller.look()
            self.report("a")
            self.reply = self.controller.tell("a")
            counts = {}
        return self.reply

    def report(
        self,
        server: str,
        n_rows: int = 0,
        counts: tuple[Counts, ...] = (),
        plan: Rollout | None = None,
    ) -> None:
        """Report from one server, with the plan of both or another."""
        report = RolloutReport(
            plan or self.plan, self.candidate, n_rows, counts, self.out, self.config_error
        )
        self.controller.hear(server, report, is_new=True)

    def _counts(self, counts: dict[str, Any]) -> tuple[Counts, ...]:
        orders = self.reply.orders
        if orders is None or not counts:
            return ()
        return (counts_of(orders.phase, orders.run, **counts),)

    @property
    def orders(self) -> Orders:
        """Return what the servers were told last."""
        assert self.reply.known
        assert self.reply.orders is not None
        return self.reply.orders

    @property
    def status(self) -> str:
        """Return the status of the rollout."""
        return self.view().status

    def view(self) -> RolloutView:
        """Return the rollout as the routes show it."""
        found = view(self.controller)
        assert isinstance(found, RolloutView)
        return found

    async def until_share(self, share: float | str) -> None:
        """Put load on a sound candidate until it has this share."""
        for _ in range(100):
            if self.reply.orders and self.view().share == share:
                return
            keys = {f"{self.n_seconds}-{n}": False for n in range(60)}
            await self.report_for(pairs=keys, requests=(540, 60))
        raise AssertionError(self.view())


def written(folder: Path) -> list[dict[str, Any]]:
    """Return the log as it lies in the folder."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob("churn/shop/*/*.json"))]


async def test_a_sound_candidate_goes_all_the_way_by_itself(tmp_path: Path) -> None:
    """It stays at each step for the least time and requests, bakes, and is finished."""
    servers = TwoServers(tmp_path)
    await servers.until_share("shadow")
    assert (servers.orders.percent, servers.orders.shadow) == (0.0, True)
    await servers.report_for(20)
    assert servers.view().share == "shadow", "time alone is not enough"
    await servers.until_share(10.0)
    await servers.report_for(1, requests=(540, 60))
    assert servers.view().share == 10.0, "requests alone are not enough"
    await servers.until_share(100.0)
    assert servers.status == "baking"
    await servers.report_for(11)
    assert servers.status == "finished"
    assert servers.orders.percent == 100.0
    assert [event["kind"] for event in written(tmp_path)] == [
        "claimed",
        *["entered"] * 3,
        "finished",
    ]


async def test_nobody_is_told_to_make_stable_what_fails_now(tmp_path: Path) -> None:
    """While the last minute has bad answers the bake does not end; and what fails after the end is
    told as such, wherever the advice stood.
    """
    servers = TwoServers(tmp_path)
    await servers.until_share(100.0)
    await servers.report_for(5)
    await servers.report_for(requests=(0, 100), bad=(0, 5))
    await servers.report_for(30)
    assert servers.status == "baking"
    assert "10 of 200 of the candidate in the last minute" in servers.view().waits_for
    await servers.report_for(35)
    assert servers.status == "finished"
    assert 'write stable: "1.1.0"' in servers.view().now
    await servers.report_for(requests=(0, 100), bad=(0, 5))
    await servers.report_for()
    seen = servers.view()
    for text in (seen.now, seen.reason, seen.waits_for):
        assert "do not make it stable" in text
        assert "write" not in text
    await servers.controller.command("out", "ada", "")
    assert servers.status == "rolled_back"


async def test_a_person_sends_it_to_the_next_step(tmp_path: Path) -> None:
    """Nobody has asked yet, and no time has passed: the candidate is ready, which is enough."""
    servers = TwoServers(tmp_path)
    await servers.until_share("shadow")
    await servers.controller.command("step", "ada", "few clients")
    await servers.report_for()
    assert servers.orders.percent == 10.0
    assert written(tmp_path)[-1]["reason"] == "stepped: few clients"


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
    log = controller.ongoing.log
    append = log.append
    is_writing = Event()
    may_end = Event()

    def hang(draft: Draft, now_s: float) -> Any:
        is_writing.set()
        may_end.wait(timeout=60)
        return append(draft, now_s)

    def percent() -> float:
        assert controller.orders is not None
        return controller.orders.percent

    monkeypatch.setattr(log, "append", hang)
    paused = asyncio.ensure_future(controller.command("pause", "ada", ""))
    await until(is_writing.is_set, timeout_s=30)
    abort = asyncio.ensure_future(controller.command("abort", "ada", ""))
    rollback = asyncio.ensure_future(controller.command("rollback", "ada", ""))
    await until(lambda: percent() == 0.0, timeout_s=30)
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
    may_end = Event()
    append = controller.ongoing.log.append

    def hang(draft: Draft, now_s: float) -> Any:
        may_end.wait(timeout=60)
        return append(draft, now_s)

    monkeypatch.setattr(controller.ongoing.log, "append", hang)
    paused = asyncio.ensure_future(controller.command("pause", "ada", ""))
    looking = asyncio.ensure_future(controller.look_forever())
    servers.report("a", counts=servers._counts({"errors": ([], [f"c{n}" for n in range(40)])}))
    await until(lambda: controller.is_falling, timeout_s=30)
    assert controller.tell("a").orders.percent == 0.0
    may_end.set()
    await paused
    await until(lambda: servers.status == "aborted", timeout_s=30)
    looking.cancel()
    assert written(tmp_path)[-1]["by"] == "judge"


async def test_what_is_out_stays_out_when_the_coordinator_has_forgotten_it(
    tmp_path: Path,
) -> None:
    """The log could not be written, and the coordinator died: the servers tell the next one."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    assert servers.controller.ongoing is not None
    run = servers.controller.ongoing.state.id
    servers.restart_coordinator()
    servers.out = run
    await servers.report_for(int(LISTEN_S) + 1)
    assert servers.orders.percent == 0.0
    await servers.report_for(2)
    assert servers.status == "aborted"
    assert "put out before" in written(tmp_path)[-1]["reason"]


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


@pytest.mark.parametrize("way", ["aborted", "finished"])
async def test_the_same_file_never_begins_again_what_is_over(tmp_path: Path, way: str) -> None:
    """A new coordinator does not either; a higher run in the file does."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    if way == "aborted":
        await servers.controller.command("abort", "ada", "")
    else:
        await servers.until_share(100.0)
        await servers.report_for(12)
    servers.restart_coordinator()
    await servers.report_for(10)
    assert servers.status == way
    servers.plan = PLAN.model_copy(update={"run": 2})
    await servers.report_for(3)
    assert (servers.view().run, servers.view().share) == (2, "shadow")
    assert servers.orders.run.endswith("-run2")


async def test_another_plan_begins_at_its_own_first_step(tmp_path: Path) -> None:
    """While the servers differ, the old plan goes on but enters no step."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    servers.report("c", plan=PLAN.model_copy(update={"candidate": "1.2.0"}))
    await servers.report_for(3, requests=(540, 60))
    assert servers.view().candidate == CANDIDATE
    servers.plan = PLAN.model_copy(update={"candidate": "1.2.0"})
    await servers.report_for(4)
    assert (servers.view().candidate, servers.view().share) == ("1.2.0", "shadow")


async def test_a_candidate_that_is_refused_is_aborted_before_it_has_a_share(tmp_path: Path) -> None:
    """The reason names the fields that differ."""
    servers = TwoServers(tmp_path)
    servers.candidate = Candidate("refused", "nps_score: missing in the bundle")
    await servers.report_for(5)
    assert servers.status == "aborted"
    assert "nps_score" in servers.view().reason
    assert servers.orders.percent == 0.0


async def test_every_step_waits_until_the_candidate_is_loaded_everywhere(tmp_path: Path) -> None:
    """Until then the rollout says in how many servers it is loaded."""
    servers = TwoServers(tmp_path)
    servers.candidate = Candidate("missing", "loading")
    await servers.report_for(10)
    assert servers.status == "waiting"
    assert "loaded in 0 of 2 servers" in servers.view().waits_for
    servers.candidate = Candidate("ready")
    await servers.report_for(2)
    assert servers.view().share == "shadow"


async def test_commands_do_what_they_say(tmp_path: Path) -> None:
    """Pause keeps the share, promote leads to 100 %, rollback to 0; others are refused."""
    servers = TwoServers(tmp_path)
    commands: list[tuple[Action, str, float]] = [
        ("pause", "paused", 10.0),
        ("resume", "running", 10.0),
        ("promote", "baking", 100.0),
        ("rollback", "rolled_back", 0.0),
    ]
    await servers.until_share(10.0)
    for action, status, percent in commands:
        await servers.controller.command(action, "ada", "because")
        await servers.report_for(2)
        assert (servers.status, servers.orders.percent) == (status, percent)
    assert {event.by for event in servers.view().events[-3:]} >= {"ada"}
    assert servers.view().commands == ["start"]
    with pytest.raises(CommandRefused, match="possible now: start"):
        await servers.controller.command("promote", "ada", "")


async def test_the_view_says_when_the_table_has_no_rollout(tmp_path: Path) -> None:
    """Stable answers everybody, and commands are refused; a new coordinator knows nothing yet."""
    servers = TwoServers(tmp_path, plan=None)
    unknown = Unknown(status="unknown", detail="The coordinator has just started.")
    assert view(servers.controller) == unknown
    assert await servers.report_for(3) == RolloutReply(known=True, orders=None)
    assert view(servers.controller) == Unknown(status="none", detail="The table has no `rollout`.")
    with pytest.raises(NoRollout):
        await servers.controller.command("abort", "ada", "")


async def test_taking_the_rollout_out_of_the_file_ends_it(tmp_path: Path) -> None:
    """Stable is what the table says; a rollout that is put back goes on where it was."""
    servers = TwoServers(tmp_path)
    await servers.until_share(10.0)
    servers.plan = None
    await servers.report_for(2)
    assert servers.reply == RolloutReply(known=True, orders=None)
    servers.plan = PLAN
    await servers.report_for(4)
    assert servers.orders.percent == 10.0


async def test_the_view_tells_of_a_refused_table_and_of_few_keys(tmp_path: Path) -> None:
    """With a rollout, and where the table in force has none."""
    servers = TwoServers(tmp_path)
    await servers.until_share("shadow")
    assert (servers.view().config_error, servers.view().few_keys) == ("", "")
    servers.config_error = "stable: found 1.9"
    for _ in range(200):
        await servers.report_for(1, pairs={"only": False}, requests=(50, 0))
    assert servers.view().config_error == "stable: found 1.9 (in 2 of 2 servers)"
    assert servers.view().few_keys.startswith("few keys: ")
    assert servers.view().numbers["bad_keys"] == 0
    servers.plan = None
    await servers.report_for(2)
    found = view(servers.controller)
    assert isinstance(found, Unknown)
    assert "A newer one is not in force: stable: found 1.9" in found.detail
