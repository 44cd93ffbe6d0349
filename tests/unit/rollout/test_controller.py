"""The controller works over a real log in a folder, with reports and a clock made by the test."""

from pathlib import Path

import pytest
from two_servers import PLAN, TwoServers, written
from watching import CANDIDATE

from serve_app.errors import CommandRefused, NoRollout
from serve_app.rollout.command import Action
from serve_app.rollout.orders import CandidateState, RolloutReply
from serve_app.rollout.view import Unknown, view


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
    assert "10 of 200 requests of the candidate in the last minute" in servers.view().waits_for
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


async def test_the_view_tells_a_step_that_waits_until_it_is_entered(tmp_path: Path) -> None:
    """Nobody need command it a second time, or is refused for it."""
    servers = TwoServers(tmp_path)
    await servers.until_share("shadow")
    assert not servers.view().stepping
    servers.candidate = CandidateState("missing", "loading")
    await servers.controller.command("step", "ada", "few clients")
    await servers.report_for(2)
    assert (servers.view().share, servers.view().stepping) == ("shadow", True)
    with pytest.raises(CommandRefused):
        await servers.controller.command("step", "ada", "")
    servers.candidate = CandidateState("ready")
    await servers.report_for(2)
    assert (servers.view().share, servers.view().stepping) == (10.0, False)


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
    servers.candidate = CandidateState("refused", "nps_score: missing in the bundle")
    await servers.report_for(5)
    assert servers.status == "aborted"
    assert "nps_score" in servers.view().reason
    assert servers.orders.percent == 0.0


async def test_every_step_waits_until_the_candidate_is_loaded_everywhere(tmp_path: Path) -> None:
    """Until then the rollout says in how many servers it is loaded."""
    servers = TwoServers(tmp_path)
    servers.candidate = CandidateState("missing", "loading")
    await servers.report_for(10)
    assert servers.status == "waiting"
    assert "loaded in 0 of 2 servers" in servers.view().waits_for
    servers.candidate = CandidateState("ready")
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
