"""The coordinator over a real log in a folder, told by reports and a clock that the test moves."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from watching import CANDIDATE, FakeIsolated, counts_of

from serve_app.errors import CommandRefused, NoRollout, NotReady, RolloutError
from serve_app.rollout.controller import LISTEN_S, Controller
from serve_app.rollout.counts import Counts
from serve_app.rollout.decide import Action
from serve_app.rollout.log import Log, open_log
from serve_app.rollout.orders import Candidate, Orders, RolloutReply, RolloutReport
from serve_app.rollout.view import RolloutView, Unknown, view
from serve_app.settings import Rollout

PLAN = Rollout(
    stable="1.0.0",
    candidate=CANDIDATE,
    steps=("shadow", 10.0, 100.0),
    min_seconds=5,
    min_requests=50,
    bake_seconds=10,
)


class Room:
    """A coordinator with two servers that report each second."""

    def __init__(
        self, folder: Path, plan: Rollout | None = PLAN, now_s: float = 1_800_000_000.0
    ) -> None:
        self.folder, self.plan, self.now_s = folder, plan, now_s
        self.candidate = Candidate("ready")
        self.broken: Exception | None = None
        self.n_seconds = 0
        self.reply = RolloutReply(known=False)
        self.begin()

    def begin(self) -> None:
        """A new coordinator process."""
        self.room = Controller(self._open, FakeIsolated(), lambda: self.now_s)

    def _open(self, rollout: str) -> Log:
        if self.broken:
            raise self.broken
        return open_log(str(self.folder), "churn", rollout)

    async def second(self, n: int = 1, **counts: Any) -> RolloutReply:
        """Some seconds in which each server counts this once."""
        for _ in range(n):
            self.now_s += 1
            self.n_seconds += 1
            for server in ("a", "b"):
                self.hear(server, 100, self._counts(counts))
            await self.room.look()
            self.hear("a")
            self.reply = self.room.tell("a")
            counts = {}
        return self.reply

    def hear(
        self,
        server: str,
        n_rows: int = 0,
        counts: tuple[Counts, ...] = (),
        plan: Rollout | None = None,
    ) -> None:
        """A server reports, with the plan of this room or another."""
        report = RolloutReport(plan or self.plan, self.candidate, n_rows, counts)
        self.room.hear(server, report, is_new=True)

    def _counts(self, counts: dict[str, Any]) -> tuple[Counts, ...]:
        orders = self.reply.orders
        return (counts_of(orders.phase, orders.run, **counts),) if orders and counts else ()

    @property
    def orders(self) -> Orders:
        """What the servers were told last."""
        assert self.reply.known
        assert self.reply.orders is not None
        return self.reply.orders

    @property
    def status(self) -> str:
        """Of the rollout."""
        return self.view().status

    def view(self) -> RolloutView:
        """As the routes show it."""
        found = view(self.room, self.now_s)
        assert isinstance(found, RolloutView)
        return found

    async def until_share(self, share: float | str) -> None:
        """A sound candidate under load, until it has this share."""
        for _ in range(100):
            if self.reply.orders and self.view().share == share:
                return
            keys = {f"{self.n_seconds}-{n}": False for n in range(60)}
            await self.second(pairs=keys, requests=(540, 60))
        raise AssertionError(self.view())


def written(folder: Path) -> list[dict[str, Any]]:
    """The log as it lies in the folder."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob("churn/*/*.json"))]


async def test_a_sound_candidate_goes_all_the_way_by_itself(tmp_path: Path) -> None:
    """Shadow, 10 %, 100 %, bake, finished; at each step for the least time and requests."""
    room = Room(tmp_path)
    await room.until_share("shadow")
    assert (room.orders.percent, room.orders.shadow) == (0.0, True)
    await room.second(20)
    assert room.view().share == "shadow", "time alone is not enough"
    await room.until_share(10.0)
    await room.second(1, requests=(540, 60))
    assert room.view().share == 10.0, "requests alone are not enough"
    await room.until_share(100.0)
    assert room.status == "baking"
    await room.second(11)
    assert room.status == "finished"
    assert room.orders.percent == 100.0
    assert [event["kind"] for event in written(tmp_path)] == [
        "claimed",
        *["entered"] * 3,
        "finished",
    ]


async def test_a_bad_candidate_is_out_with_the_next_report(tmp_path: Path) -> None:
    """The judge's reason and numbers are in the log, and it stays out."""
    room = Room(tmp_path)
    await room.until_share(10.0)
    await room.second(requests=(540, 60), errors=([], [f"bad-{n}" for n in range(12)]))
    assert room.status == "aborted"
    assert room.orders.percent == 0.0
    last = room.view().events[-1]
    assert (last.kind, last.by) == ("aborted", "judge")
    assert last.numbers["errors_candidate_keys"] == 12
    await room.second(30)
    assert room.status == "aborted"


async def test_a_candidate_is_out_even_when_the_log_cannot_be_written(tmp_path: Path) -> None:
    """Zero at once, and written as soon as it can be; no command comes in between."""
    room = Room(tmp_path)
    await room.until_share(10.0)
    next_file = tmp_path / "churn" / PLAN.id / f"{len(room.view().events) + 1:08d}.json"
    next_file.mkdir()  # its place in the log is taken by what is no event
    with pytest.raises(NotReady, match="In force"):
        await room.room.command("abort", "ada", "")
    assert room.room.tell("a").orders.percent == 0.0  # type: ignore[union-attr]
    with pytest.raises(NotReady):
        await room.room.command("promote", "ada", "")
    next_file.rmdir()
    await room.second(2)
    assert room.status == "aborted"
    assert room.view().trouble == ""
    assert written(tmp_path)[-1]["by"] == "ada"


async def test_an_abort_does_not_wait_for_a_slow_store(tmp_path: Path) -> None:
    """A look that hangs in the store holds up the log, not the servers."""
    room = Room(tmp_path)
    await room.until_share(10.0)
    async with room.room._lock:
        command = asyncio.ensure_future(room.room.command("abort", "ada", ""))
        refused = asyncio.ensure_future(room.room.command("rollback", "ada", ""))
        await asyncio.sleep(0.01)
        assert room.room.orders is not None
        assert room.room.orders.percent == 0.0
        command.cancel()
        await asyncio.sleep(0.01)
        assert room.room.orders.percent == 10.0, (
            "given up, and a command that does not fit takes nothing away"
        )
    with pytest.raises(CommandRefused):
        await refused


async def test_a_new_coordinator_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    """While it listens the servers keep what they have; the run stays, its phase begins anew."""
    room = Room(tmp_path)
    await room.until_share(10.0)
    before = room.orders
    room.begin()
    assert not (await room.second()).known
    await room.second(int(LISTEN_S) + 1)
    assert (room.orders.percent, room.orders.run) == (10.0, before.run)
    assert room.orders.phase == before.phase + 1
    assert room.view().events[-1].epoch == 2
    limits = [rail.limit for rail in room.view().evidence if rail.rail == "errors"]
    assert min(limits) > 7, "the evidence began anew, with a higher limit"


async def test_while_the_log_cannot_be_read_stable_answers_everybody(tmp_path: Path) -> None:
    """Known, and no orders; when it can be read again, the rollout goes on."""
    room = Room(tmp_path)
    await room.until_share(10.0)
    room.broken = RolloutError("state: cannot be opened")
    room.begin()
    await room.second(5)
    assert room.reply == RolloutReply(known=True, orders=None)
    assert "cannot be opened" in str(view(room.room, room.now_s))
    with pytest.raises(NotReady, match="cannot be opened"):
        await room.room.command("abort", "ada", "")
    room.broken = None
    await room.second(5)
    assert room.orders.percent == 10.0


async def test_of_two_coordinators_the_older_one_follows_and_writes_no_more(tmp_path: Path) -> None:
    """It reads what the newer one decides, and says who holds the log."""
    old = Room(tmp_path)
    await old.until_share(10.0)
    new = Room(tmp_path, now_s=old.now_s)
    await new.second(4)
    await new.room.command("abort", "ada", "enough")
    await old.second(2, requests=(540, 60), errors=([], [f"bad-{n}" for n in range(12)]))
    await old.second(2)
    assert old.orders.percent == 0.0
    assert old.status == "aborted"
    assert "claimed it" in old.view().trouble
    with pytest.raises(CommandRefused, match="claimed it"):
        await old.room.command("start", "ada", "")


@pytest.mark.parametrize("way", ["aborted", "finished"])
async def test_the_same_file_never_begins_anew_what_is_over(tmp_path: Path, way: str) -> None:
    """Neither for a new coordinator; a higher run in the file, or `start`, does."""
    room = Room(tmp_path)
    await room.until_share(10.0)
    if way == "aborted":
        await room.room.command("abort", "ada", "")
    else:
        await room.until_share(100.0)
        await room.second(12)
    room.begin()
    await room.second(10)
    assert room.status == way
    room.plan = PLAN.model_copy(update={"run": 2})
    await room.second(3)
    assert (room.view().run, room.view().share) == (2, "shadow")
    assert room.orders.run.endswith("-run2")


async def test_another_plan_begins_at_its_own_first_step(tmp_path: Path) -> None:
    """And while the servers differ, the old one goes on but enters no step."""
    room = Room(tmp_path)
    await room.until_share(10.0)
    room.hear("c", plan=PLAN.model_copy(update={"candidate": "1.2.0"}))
    await room.second(3, requests=(540, 60))
    assert room.view().candidate == CANDIDATE
    room.plan = PLAN.model_copy(update={"candidate": "1.2.0"})
    await room.second(4)
    assert (room.view().candidate, room.view().share) == ("1.2.0", "shadow")


async def test_a_candidate_that_is_refused_is_aborted_before_it_has_a_share(tmp_path: Path) -> None:
    """With the fields that differ."""
    room = Room(tmp_path)
    room.candidate = Candidate("refused", "nps_score: missing in the bundle")
    await room.second(5)
    assert room.status == "aborted"
    assert "nps_score" in room.view().reason
    assert room.orders.percent == 0.0


async def test_every_step_waits_until_the_candidate_is_loaded_everywhere(tmp_path: Path) -> None:
    """And says in how many servers it is."""
    room = Room(tmp_path)
    room.candidate = Candidate("missing", "loading")
    await room.second(10)
    assert room.status == "waiting"
    assert "loaded in 0 of 2 servers" in room.view().waits_for
    room.candidate = Candidate("ready")
    await room.second(2)
    assert room.view().share == "shadow"


async def test_commands_do_what_they_say(tmp_path: Path) -> None:
    """Pause keeps the share, resume goes on, promote leads to 100 %, rollback to 0; what does not fit is refused."""
    room = Room(tmp_path)
    commands: list[tuple[Action, str, float]] = [
        ("pause", "paused", 10.0),
        ("resume", "running", 10.0),
        ("promote", "baking", 100.0),
        ("rollback", "rolled_back", 0.0),
    ]
    await room.until_share(10.0)
    for action, status, percent in commands:
        await room.room.command(action, "ada", "because")
        await room.second(2)
        assert (room.status, room.orders.percent) == (status, percent)
    assert {event.by for event in room.view().events[-3:]} >= {"ada"}
    assert room.view().commands == ["start"]
    with pytest.raises(CommandRefused, match="possible now: start"):
        await room.room.command("promote", "ada", "")


async def test_a_table_without_a_rollout_is_said_so(tmp_path: Path) -> None:
    """Stable answers everybody, and a command has nothing to do; a new coordinator knows nothing yet."""
    room = Room(tmp_path, plan=None)
    assert view(room.room, 0) == Unknown(
        status="unknown", detail="The coordinator has just started."
    )
    assert await room.second(3) == RolloutReply(known=True, orders=None)
    assert view(room.room, 0) == Unknown(status="none", detail="The table has no `rollout`.")
    with pytest.raises(NoRollout):
        await room.room.command("abort", "ada", "")


async def test_taking_the_rollout_out_of_the_file_ends_it(tmp_path: Path) -> None:
    """Stable is what the table says; putting it back goes on where it was."""
    room = Room(tmp_path)
    await room.until_share(10.0)
    room.plan = None
    await room.second(2)
    assert room.reply == RolloutReply(known=True, orders=None)
    room.plan = PLAN
    await room.second(4)
    assert room.orders.percent == 10.0
