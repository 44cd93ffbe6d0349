"""New versions go in slowly, watched, and out at once: on a real cluster, with clients who must not
notice.

A rollout is the same code in both modes of Ray Serve: the fast mode has all tests, and in plain
mode a good and a bad candidate show that it is at work, with the limits that ship.
"""

import time
from math import sqrt
from typing import Any

import pytest
import requests
from harness import wait_until
from rollout_app import ROW, RolloutApp, RolloutLoad, kill, shares
from stage import CORRUPT, FAULTS, GOOD, LIMITS, OTHER_CONTRACT, SLOW
from typer.testing import CliRunner
from webhook import SECRET_ENV, signature_of, webhook

from serve_app.commands.main import app as sluice
from serve_app.settings import Guardrails

# The other tests are more patient, so that a busy machine is not taken for a bad candidate.
SHIPPED: dict[str, Any] = {"limits": {}, "guardrails": Guardrails().model_dump(exclude={"alpha"})}
# Of the rows that clients send; more than a judge would need, so that few requests are enough.
SHARE_OF_ROWS = {"raises": 0.3, "slow": 0.3, "nan": 0.4, "flips": 0.5}
RAIL = {"raises": "errors", "slow": "slow", "nan": "errors", "flips": "disagreement"}
FOLLOWED_S = 2.0


@pytest.fixture(scope="module", params=["in_server", "isolated"])
def app(empty_stage: Any, request: pytest.FixtureRequest) -> RolloutApp:
    """An application for each placement of the candidate, until the next is deployed."""
    name = f"rollout-{request.param.replace('_', '-')}"
    return RolloutApp(empty_stage, name, empty_stage.store, request.param)


def sluice_rollout(app: RolloutApp, command: str) -> Any:
    """`sluice rollout COMMAND` as a person gives it; its result."""
    words = ["rollout", command, "--url", app.url, "--by", "ada", "--reason", "a look at it"]
    return CliRunner().invoke(sluice, words)


def assert_that_it_finishes_by_itself(app: RolloutApp, **limits: Any) -> None:
    """A good candidate goes to 100 %, no client sees a failure, and no routing key ever moves back
    to stable.
    """
    app.begin(GOOD, steps=["shadow", 50, 100], **limits)
    load, view = app.run()
    assert set(load.statuses) == {200}, load.statuses
    assert view["status"] == "finished", view
    assert shares(view) == ["shadow", 50, 100]
    expected = ["judge", "judge", "coordinator"]
    assert [event["by"] for event in view["events"]][2:] == expected
    # Not while an answer of the last minute was late.
    wait_until(lambda: GOOD in app.view()["reason"], "it says what can leave the file")
    for key, versions in load.versions.items():
        assert versions == sorted(versions), f"{key} moved back: {versions}"
    moved = [versions for versions in load.versions.values() if len(set(versions)) == 2]
    assert moved, "some key moved at all"


def test_a_good_candidate_goes_from_shadow_to_100_percent_by_itself(app: RolloutApp) -> None:
    """Nobody touches it, in both placements."""
    assert_that_it_finishes_by_itself(app)


# With the deadlines that ship, of 2 s and 150 ms, what a busy machine does looks like faults.
@pytest.mark.real_time
@pytest.mark.parametrize("stage", ["plain"], indirect=True)
def test_with_shipped_limits_and_in_plain_mode_the_good_one_finishes_and_the_bad_one_is_out(
    stage: Any,
) -> None:
    """A rollout needs nothing of the fast mode, and no patience of a test."""
    app = RolloutApp(stage, "rollout", stage.store, "in_server")
    assert_that_it_finishes_by_itself(app, **SHIPPED)
    app.begin(FAULTS["raises"], steps=[20, 100], min_requests=1_000_000, **SHIPPED)
    load, view = app.run(SHARE_OF_ROWS["raises"])
    assert set(load.statuses) == {200}, load.statuses
    assert view["status"] == "aborted", view
    assert view["by"] == "judge"
    app.end()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_candidate_is_stopped_and_no_client_notices(app: RolloutApp, fault: Any) -> None:
    """Stable answers for it, the judge names the rail, and afterwards nobody gets the candidate."""
    if app.placement == "isolated" and fault != "raises":
        pytest.skip("its scores come from a handle, and are judged by the same code")
    steps = ["shadow", 20, 100] if fault == "flips" else [20, 100]
    # Slow answers are mostly stops, of which it takes many; a laxer judge needs fewer.
    rails = {"slow_ms": 500, "alpha": 0.2, "max_slow_ratio": 1} if fault == "slow" else {}
    is_isolated = app.placement == "isolated"
    limits: dict[str, Any] = SHIPPED if is_isolated else {"guardrails": rails}
    app.begin(FAULTS[fault], steps=steps, min_requests=1_000_000, **limits)
    load, view = app.run(SHARE_OF_ROWS[fault])
    assert set(load.statuses) == {200}, load.statuses
    assert view["status"] == "aborted", view
    assert view["by"] == "judge"
    # What is late by the shipped deadline, on a busy machine, fails as well.
    causes = (RAIL[fault], "failing", "slow") if is_isolated else (RAIL[fault],)
    assert view["reason"].split(":")[0] in causes, view["reason"]
    assert 100 not in shares(view)
    # In shadow nobody is answered by it, and a slow answer is a good one.
    if fault not in ("flips", "slow"):
        [request_id, *_] = view["examples"]["candidate"].values()
        wait_until(lambda: request_id in app.stage.cluster.logged(), "the log has its line")
        [line, *_] = [
            line for line in app.stage.cluster.lines() if line.get("request_id") == request_id
        ]
        assert (line["process"], line["version"]) == ("server", FAULTS[fault]), line
        assert line["application"], "a collector sees whose line it is"
    wait_until(lambda: app.versions_of(40) == {"1.0.0"}, "stable alone answers")


@pytest.mark.parametrize(
    ("candidate", "reason"), [(CORRUPT, "sha256"), (OTHER_CONTRACT, "does not fit the contract")]
)
def test_a_candidate_with_a_wrong_bundle_never_gets_a_share(
    app: RolloutApp, candidate: str, reason: str
) -> None:
    """Its hash is wrong, or it does not take what the server takes: refused with the reason, and
    stable answers.
    """
    if app.placement == "isolated" and candidate == OTHER_CONTRACT:
        pytest.skip("refused by the same code as a wrong hash")
    app.begin(candidate, steps=[50, 100])
    load, view = app.run()
    assert set(load.statuses) == {200}, load.statuses
    assert load.answered_by == {"1.0.0"}
    assert view["status"] == "aborted"
    assert shares(view) == []
    expected = reason if app.placement == "in_server" else "cannot be deployed"
    assert expected in view["reason"]


@pytest.mark.parametrize("app", ["isolated"], indirect=True)
def test_a_candidate_whose_processes_end_as_soon_as_they_come_is_stopped(app: RolloutApp) -> None:
    """What it does not answer in time stable answers: the candidate is charged."""
    limits = LIMITS | {"candidate_deadline_ms": 1_000}
    app.begin(GOOD, limits=limits, steps=[50, 100], min_requests=1_000_000)
    app.until(share=50.0)

    def kill_it() -> None:
        for pid in app.processes_of("Version", f"churn-{GOOD}"):
            kill(pid)

    load, view = app.run(meanwhile=kill_it)
    assert set(load.statuses) == {200}, load.statuses
    assert view["status"] == "aborted", view


@pytest.mark.real_time
@pytest.mark.parametrize("app", ["in_server"], indirect=True)
def test_the_split_is_sticky_and_within_its_binomial_bounds_and_an_abort_takes_two_seconds(
    app: RolloutApp,
) -> None:
    """Of 300 keys the candidate has its share, the same ones again; after an abort nobody gets it
    any more.
    """
    app.begin(GOOD, steps=[50, 100], min_requests=1_000_000)
    app.until(share=50.0)
    app.until_followed([f"other-{n}" for n in range(20)])
    keys = [f"key-{n}" for n in range(300)]
    first = {key: app.version_of(key) for key in keys}
    again = {key: app.version_of(key) for key in keys[::3]}
    moved = {key for key, version in again.items() if first[key] != version}
    assert moved == set(), app.view()
    n = sum(version == GOOD for version in first.values())
    assert abs(n - 150) < 5 * sqrt(300 * 0.5 * 0.5), n
    url = f"{app.url}/v1/predict"
    forced = requests.post(url, json=ROW, headers={"X-Model-Version": GOOD}, timeout=60)
    assert forced.headers["X-Model-Version"] == GOOD
    assert app.command("abort").json()["status"] == "aborted"
    time.sleep(FOLLOWED_S)
    mine = [key for key, version in first.items() if version == GOOD][:40]
    assert {app.version_of(key) for key in mine} == {"1.0.0"}
    assert app.command("abort").status_code == 409, "it is aborted already"
    app.deploy_again()
    time.sleep(FOLLOWED_S)
    assert app.view()["status"] == "aborted", "the same file again begins nothing"
    assert app.command("start").json()["run"] == 2
    app.until(share=50.0, status="running")


@pytest.mark.real_time
@pytest.mark.parametrize("app", ["in_server"], indirect=True)
def test_it_goes_on_where_it_was_when_the_coordinator_and_a_server_are_killed(
    app: RolloutApp,
) -> None:
    """The log says how far it was; then promoted, at 100 %, it is rolled back within two
    seconds.
    """
    app.begin(GOOD, steps=[50, 100], min_requests=1_000_000, bake_seconds=300)
    before = app.until(share=50.0)
    app.kill("Coordinator")
    app.until(share=50.0, status="running", run=before["run"], step=0)

    def n_claims() -> int:
        return sum(event["kind"] == "claimed" for event in app.view()["events"])

    # The log is for the coordinator whose servers have clients.
    with RolloutLoad(f"{app.url}/v1/predict"):
        wait_until(lambda: n_claims() == 2, "the new coordinator holds the log")
    app.kill("Server")
    assert app.until(n_servers=2)["share"] == 50.0
    app.until_followed([f"key-{n}" for n in range(20)])
    assert app.command("promote").status_code == 200
    app.until(share=100.0, status="baking")
    wait_until(lambda: app.versions_of(40) == {GOOD}, "the candidate answers everything")
    assert app.command("rollback").json()["status"] == "rolled_back"
    time.sleep(FOLLOWED_S)
    assert app.versions_of(60) == {"1.0.0"}


@pytest.mark.parametrize("app", ["in_server"], indirect=True)
def test_a_person_steps_it_and_puts_it_out_and_a_webhook_is_told(app: RolloutApp) -> None:
    """All that a person does stands in the log of this application, and is told, signed."""
    with webhook() as receiver:
        notify = {"url": receiver.url, "secret_env": SECRET_ENV}
        app.begin(GOOD, steps=[20, 50, 100], min_requests=1_000_000, notify=notify)
        app.until(share=20.0)
        assert sluice_rollout(app, "step").exit_code == 0
        stepped = app.until(share=50.0)
        assert (stepped["by"], stepped["reason"]) == ("ada", "stepped: a look at it")
        for _ in ("at once", "again"):
            out = sluice_rollout(app, "out")
            assert out.exit_code == 0, out.output
            assert "aborted at 0 %" in out.output
        assert sluice_rollout(app, "step").exit_code == 1, "it is out"
        wait_until(lambda: app.versions_of(20) == {"1.0.0"}, "stable alone answers")
        wait_until(lambda: len(receiver.heard) == 3, "three events told")
    assert [told["event"] for told in receiver.told] == [
        event for event in app.view()["events"] if event["kind"] in ("entered", "aborted")
    ]
    assert {(told["model"], told["application"]) for told in receiver.told} == {("churn", app.name)}
    for headers, body in receiver.heard:
        assert headers["webhook-signature"] == signature_of(headers, body)
    assert app.logged() == ["claimed", "entered", "resumed", "entered", "aborted"]


@pytest.mark.parametrize("app", ["in_server"], indirect=True)
def test_out_while_the_coordinator_is_killed_means_out(app: RolloutApp) -> None:
    """Whoever takes it, no server gives the candidate a share again, and the next log says so."""
    app.begin(GOOD, steps=[50, 100], min_requests=1_000_000)
    app.until(share=50.0)
    app.until_followed([f"key-{n}" for n in range(20)])
    kill(app.pids("Coordinator")[0])
    answer = app.command("out")
    assert answer.status_code in (200, 503), answer.text
    with RolloutLoad(f"{app.url}/v1/predict"):
        found = app.until(status="aborted", share=0.0)
    assert found["events"][-1]["kind"] == "aborted"
    wait_until(lambda: app.versions_of(20) == {"1.0.0"}, "stable alone answers")


@pytest.mark.real_time
@pytest.mark.parametrize("app", ["isolated"], indirect=True)
def test_an_isolated_candidate_has_the_replicas_for_a_share_before_it_gets_it(
    app: RolloutApp,
) -> None:
    """A replica scores three rows a second: all of the traffic takes several, which autoscaling
    alone would never bring for a share that was not given yet.
    """
    bounds = {
        "min_replicas": 1,
        "max_replicas": 8,
        "target_ongoing_requests": 100,
        "look_back_period_s": 2,
        "upscale_delay_s": 0.5,
        "downscale_delay_s": 600,
        "metrics_interval_s": 0.5,
        "policy": {"policy_function": "serve_app.scaling:by_share"},
    }
    options = {
        "num_replicas": "auto",
        "autoscaling_config": bounds,
        "user_config": {"batch": {"max_rows": 1}},
    }
    # The first step has enough requests for the rate to be known: its first moments still count
    # the idle time before.
    app.begin(SLOW, options, steps=[20, 100], min_requests=20, bake_seconds=300)
    with RolloutLoad(f"{app.url}/v1/predict", pause_s=0.5) as load:
        wait_until(lambda: app.view().get("share") == 100, "100 %")
        # They are there by now: whoever waits for them from now on waits for seconds.
        n_running = len(app.pids("Version", f"churn-{SLOW}"))
    assert n_running > 1
    assert set(load.statuses) == {200}, load.statuses
