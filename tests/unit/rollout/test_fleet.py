"""What the coordinator knows of servers is what their reports show."""

import asyncio
import math
from typing import Any

import pytest
from set_clock import SetClock
from watching import CANDIDATE, FakeIsolated, table

from serve_app.rollout import fleet as fleets
from serve_app.rollout.fleet import ALONE_S, RATE_OVER_S, SILENT_S, Fleet, Replicas
from serve_app.rollout.orders import CandidateState, RolloutReport
from serve_app.settings import Rollout

PLAN = table().rollout
assert PLAN is not None
OTHER = PLAN.model_copy(update={"candidate": "1.2.0"})
READY = CandidateState("ready")
LOADING = CandidateState("missing", "loading")


def report(
    server: str,
    plan: Rollout | None = PLAN,
    candidate: CandidateState = READY,
    n_rows: int = 0,
    **more: str,
) -> tuple[str, RolloutReport]:
    """Return a server's name and its report."""
    return server, RolloutReport(plan, candidate, n_rows, (), **more)


def fleet_of(
    *reports: tuple[str, RolloutReport], isolated: Any = None, clock: SetClock | None = None
) -> Fleet:
    """Return a fleet that has heard these reports."""
    fleet = Fleet(isolated or FakeIsolated(), clock or SetClock())
    for one in reports:
        fleet.hear(*one, is_new=True)
    return fleet


def test_a_plan_counts_when_all_that_report_want_it() -> None:
    """While a redeploy is under way, their plans differ."""
    assert fleet_of().plan is None
    assert fleet_of(report("a"), report("b")).plan == PLAN
    assert fleet_of(report("a"), report("b", plan=OTHER)).plan is None
    assert fleet_of(report("a", plan=None), report("b", plan=None)).wants_none
    assert not fleet_of(report("a", plan=None), report("b")).wants_none
    assert not fleet_of().wants_none


@pytest.mark.parametrize(
    ("others", "is_out"),
    [
        ({"n_rows": 9, "out_alone": "run-1"}, True),
        ({"n_rows": 0}, True),
        ({"n_rows": 9}, False),
        ({"n_rows": 9, "out_alone": "run-0"}, False),
    ],
    ids=["all say so", "no clients", "another sees nothing", "another run"],
)
def test_all_servers_with_clients_put_a_candidate_out_that_no_coordinator_judged(
    others: dict[str, Any], is_out: bool
) -> None:
    """One that does not reach it speaks for nobody else; and the others may be heard later."""
    clock = SetClock()
    fleet = fleet_of(report("a", n_rows=9, out_alone="run-1"), clock=clock)
    assert fleet.waits_for_others("a")
    assert not fleet.are_out_alone("run-1")
    clock.now_s += ALONE_S
    fleet.hear(*report("a", n_rows=9, out_alone="run-1"), is_new=True)
    fleet.hear(*report("b", **others), is_new=True)
    assert not fleet.waits_for_others("a")
    assert fleet.are_out_alone("run-1") == is_out
    fleet.hear(*report("a", n_rows=9), is_new=True)
    assert not fleet.are_out_alone("run-1"), "it was told what the coordinator says"


def test_a_server_that_is_silent_counts_no_more() -> None:
    """It has gone, and its old plan has gone with it."""
    clock = SetClock()
    fleet = fleet_of(report("a", plan=OTHER), clock=clock)
    clock.now_s += SILENT_S + 1
    fleet.hear(*report("b"), is_new=True)
    fleet.forget_silent()
    assert (fleet.n_servers, fleet.plan) == (1, PLAN)


@pytest.mark.parametrize(
    ("candidates", "state", "reason"),
    [
        ((READY, READY), "ready", "1.1.0 is loaded"),
        ((READY, LOADING), "missing", "loaded in 1 of 2 servers (loading)"),
        (
            (READY, CandidateState("refused", "nps_score: missing in the bundle")),
            "refused",
            "nps_score",
        ),
    ],
)
def test_a_candidate_is_ready_when_every_server_has_it(
    candidates: Any, state: str, reason: str
) -> None:
    """When one server refuses it, it is refused."""
    fleet = fleet_of(*(report(str(n), candidate=one) for n, one in enumerate(candidates)))
    found = fleet.readiness(PLAN, 50)
    assert found[0] == state
    assert reason in found[1]


def test_while_plans_differ_no_step_is_entered() -> None:
    """Some servers would not follow the step."""
    assert fleet_of(report("a"), report("b", plan=OTHER)).readiness(PLAN, 5)[0] == "missing"


async def test_an_isolated_candidate_needs_the_replicas_for_its_next_share() -> None:
    """Half of 1,000 rows a second, at 100 a second for each replica that is 70 % busy, needs eight.

    That many replicas are wished for.
    """
    isolated = FakeIsolated()
    clock = SetClock()
    candidate = CandidateState("ready", isolated=True, rows_per_s=100.0)
    fleet = fleet_of(report("a", candidate=candidate), isolated=isolated, clock=clock)
    clock.now_s += RATE_OVER_S
    fleet.hear(*report("a", candidate=candidate, n_rows=int(1_000 * RATE_OVER_S)), is_new=True)
    assert fleet.readiness(PLAN, 50)[0] == "missing", "nobody has counted yet"
    needed = math.ceil(0.5 * 1_000 / (0.7 * 100))
    seen = []
    for n_running in (1, needed - 1, needed):
        isolated.found = Replicas(n_running)
        clock.now_s += 2
        await fleet.ask_isolated(CANDIDATE, 50)
        seen.append(fleet.readiness(PLAN, 50)[0])
    assert seen == ["missing", "missing", "ready"]
    assert set(isolated.wishes) == {needed}
    assert fleet.readiness(OTHER, 50)[0] == "missing", "they are not another candidate's"


@pytest.mark.parametrize(
    ("found", "error", "state"),
    [
        (Replicas(0, "cannot be deployed"), None, "refused"),
        (Replicas(3), RuntimeError("controller away"), "missing"),
    ],
)
async def test_an_application_that_failed_is_final_and_a_controller_that_is_away_is_not(
    found: Replicas, error: Exception | None, state: str
) -> None:
    """This holds while no server has the candidate: it is the application that they wait for."""
    isolated = FakeIsolated()
    isolated.found = found
    isolated.error = error
    fleet = fleet_of(
        report("a", candidate=CandidateState("missing", "no answer", isolated=True)),
        isolated=isolated,
    )
    await fleet.ask_isolated(CANDIDATE, 20)
    assert fleet.readiness(PLAN, 20)[0] == state


async def test_a_controller_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked outside has an end: the judge goes on, and the step waits."""
    monkeypatch.setattr(fleets, "ASK_TIMEOUT_S", 0.01)

    class Hanging(FakeIsolated):
        async def replicas(self, version: str) -> Replicas:
            await asyncio.Event().wait()
            raise AssertionError

    candidate = CandidateState("ready", isolated=True, rows_per_s=100.0)
    fleet = fleet_of(report("a", candidate=candidate), isolated=Hanging())
    async with asyncio.timeout(300):
        await fleet.ask_isolated(CANDIDATE, 50)
    state, reason = fleet.readiness(PLAN, 50)
    assert (state, reason) == ("missing", "its replicas cannot be counted (TimeoutError)")


async def test_a_promoted_candidate_is_asked_again_about_the_share_that_it_enters() -> None:
    """The eight replicas of 50 % are there; half a second later a person promotes: 100 % takes
    fifteen, and waits for them.
    """
    isolated = FakeIsolated()
    clock = SetClock()
    candidate = CandidateState("ready", isolated=True, rows_per_s=100.0)
    fleet = fleet_of(report("a", candidate=candidate), isolated=isolated, clock=clock)
    clock.now_s += RATE_OVER_S
    fleet.hear(*report("a", candidate=candidate, n_rows=int(1_000 * RATE_OVER_S)), is_new=True)
    isolated.found = Replicas(8)
    await fleet.ask_isolated(CANDIDATE, 50)
    assert fleet.readiness(PLAN, 50)[0] == "ready"
    assert fleet.readiness(PLAN, 100)[0] == "missing", "nobody has counted for this share"
    clock.now_s += 0.5
    await fleet.ask_isolated(CANDIDATE, 100)
    assert fleet.readiness(PLAN, 100) == ("missing", "8 of the 15 replicas that 100 % need")
    assert isolated.wishes == [8, 15]


def test_the_rate_is_a_mean_of_the_last_seconds() -> None:
    """What was long ago is forgotten, and so is a first report, whose period nobody knows.

    The rate is known at once, because a step's replicas are counted from it.
    """
    clock = SetClock()
    fleet = fleet_of(report("a", n_rows=9_999), report("b", n_rows=9_999), clock=clock)
    rates = [fleet.rows_per_s]
    for passed_s, a_rows, b_rows in (
        (2, 100, 100),
        (RATE_OVER_S - 2, 400, 400),
        (RATE_OVER_S + 1, 50, 0),
    ):
        clock.now_s += passed_s
        fleet.hear(*report("a", n_rows=a_rows), is_new=True)
        fleet.hear(*report("b", n_rows=b_rows), is_new=True)
        rates.append(fleet.rows_per_s)
    assert rates == [0, 100, 100, 5]


async def test_a_time_without_traffic_is_not_averaged_into_what_comes_after_it() -> None:
    """Traffic that begins counts at once: otherwise a step would get too few replicas."""
    clock = SetClock()
    fleet = fleet_of(report("a"), clock=clock)
    rates = []
    for rows in (0, 0, 240, 240, *[0] * 11, 240):
        clock.now_s += 1
        fleet.hear(*report("a", n_rows=rows), is_new=True)
        rates.append(fleet.rows_per_s)
    assert rates[:4] == [0, 0, 240, 240]
    assert rates[-2:] == [0, 240]


def test_a_table_that_is_refused_is_told_with_how_many_servers_refuse_it() -> None:
    """A person who deployed a wrong file in the middle of a rollout sees it in the status."""
    assert fleet_of(report("a"), report("b")).config_error == ""
    refused = fleet_of(report("a"), report("b", config_error="stable: found 1.9"))
    assert refused.config_error == "stable: found 1.9 (in 1 of 2 servers)"
