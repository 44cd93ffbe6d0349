"""New versions go in slowly, watched, and out at once: on a real cluster, with clients who must not notice."""

import time
from collections.abc import Iterator
from math import sqrt
from typing import Any

import pytest
import requests
from rolling_out import FOLLOWED_S, N_REQUESTS, ROW, Clients, Gate, kill, shares
from stage import CORRUPT, FAULTS, GOOD, OTHER_CONTRACT, SCALED

SHARE_OF_ROWS = {"raises": 0.05, "slow": 0.2, "nan": 1.0, "flips": 0.33}
RAIL = {"raises": "errors", "slow": "slow", "nan": "errors", "flips": "disagreement"}


def only_in_the_fast_mode(stage: Any) -> None:
    """A rollout is the same code in both modes: in plain mode a good candidate shows that it is at work."""
    if stage.cluster.mode == "plain":
        pytest.skip("the fast mode has it")


@pytest.fixture(scope="module", params=["in_server", "isolated"])
def gate(stage: Any, request: pytest.FixtureRequest) -> Iterator[Gate]:
    """A gate for each placement of the candidate; in plain mode, whose rollouts are the same code, for one."""
    if stage.cluster.mode == "plain" and request.param == "isolated":
        pytest.skip("the fast mode has it")
    gate = Gate(stage, f"gate-{request.param.replace('_', '-')}", stage.store, request.param)
    yield gate
    gate.end()


def test_a_good_candidate_goes_from_shadow_to_100_percent_by_itself(gate: Gate) -> None:
    """Nobody touches it, no client sees a failure, and no routing key ever moves back to stable."""
    gate.begin(GOOD, steps=["shadow", 20, 50, 100])
    clients, view = gate.run()
    assert set(clients.statuses) == {200}, clients.statuses
    assert clients.n_requests >= N_REQUESTS
    assert view["status"] == "finished", view
    assert shares(view) == ["shadow", 20, 50, 100]
    assert [event["by"] for event in view["events"]][2:] == [
        "judge",
        "judge",
        "judge",
        "coordinator",
    ]
    assert "1.1.0" in view["reason"], "it says what can leave the file"
    for key, versions in clients.versions.items():
        assert versions == sorted(versions), f"{key} moved back: {versions}"
    assert any(len(set(versions)) == 2 for versions in clients.versions.values()), (
        "some key moved at all"
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_candidate_is_stopped_and_no_client_notices(gate: Gate, fault: Any) -> None:
    """Stable answers for it, the judge names the rail, and afterwards nobody gets the candidate."""
    only_in_the_fast_mode(gate.stage)
    steps = ["shadow", 20, 100] if fault == "flips" else [20, 100]
    rails = {"slow_ms": 300} if fault == "slow" else {}
    gate.begin(FAULTS[fault], steps=steps, min_requests=300, guardrails=rails)
    clients, view = gate.run(SHARE_OF_ROWS[fault])
    assert set(clients.statuses) == {200}, clients.statuses
    assert view["status"] == "aborted", view
    assert view["by"] == "judge"
    assert view["reason"].startswith(f"{RAIL[fault]}: "), view["reason"]
    assert 100 not in shares(view)
    assert {gate.version_of(f"after-{n}") for n in range(40)} == {"1.0.0"}


@pytest.mark.parametrize(
    ("candidate", "reason"), [(CORRUPT, "sha256"), (OTHER_CONTRACT, "does not fit the contract")]
)
def test_a_candidate_with_a_wrong_bundle_never_gets_a_share(
    gate: Gate, candidate: str, reason: str
) -> None:
    """Its hash is wrong, or it does not take what the server takes: refused with the reason, and stable answers."""
    only_in_the_fast_mode(gate.stage)
    if gate.placement == "isolated" and candidate == OTHER_CONTRACT:
        pytest.skip("refused by the same code as a wrong hash")
    gate.begin(candidate, steps=[20, 100])
    clients, view = gate.run()
    assert set(clients.statuses) == {200}, clients.statuses
    assert view["status"] == "aborted"
    assert shares(view) == []
    expected = reason if gate.placement == "in_server" else "cannot be deployed"
    assert expected in view["reason"]


def test_a_candidate_that_is_killed_again_and_again_is_stopped(stage: Any) -> None:
    """Calls that die with it are asked again, then answered by stable: the candidate is charged."""
    only_in_the_fast_mode(stage)
    gate = Gate(stage, "gate-killed", stage.store, "isolated")
    gate.begin(GOOD, steps=[20, 100], min_requests=1_000_000)
    gate.until(share=20.0)

    def kill_it() -> None:
        for pid in gate.pids("Version", f"churn-{GOOD}"):
            kill(pid)

    clients, view = gate.run(meanwhile=kill_it)
    assert set(clients.statuses) == {200}, clients.statuses
    assert view["status"] == "aborted", view
    gate.end()


def test_an_isolated_candidate_has_the_replicas_for_a_share_before_it_gets_it(stage: Any) -> None:
    """A replica scores 80 rows a second: all of the traffic takes several, which autoscaling alone would never bring
    for a share that was not given yet."""
    only_in_the_fast_mode(stage)
    gate = Gate(stage, "gate-wish", stage.store, "isolated")
    bounds = {"min_replicas": 1, "max_replicas": 8, "target_ongoing_requests": 100, "look_back_period_s": 2,
              "upscale_delay_s": 0.5, "downscale_delay_s": 600, "metrics_interval_s": 0.5,
              "policy": {"policy_function": "serve_app.scaling:by_share"}}  # fmt: skip
    apart = {
        "num_replicas": "auto",
        "autoscaling_config": bounds,
        "user_config": {"batch": {"max_rows": 4}},
    }
    # Enough requests in the first step for the rate to be known: its first moments count as the idle time before.
    gate.begin(SCALED, apart, steps=[5, 100], min_requests=30, bake_seconds=300)
    waited_for, n_running = "", 0
    clients = Clients(f"{gate.url}/v1/predict", 0.0, pause_s=0.025)
    with clients.asking():
        until_s = time.monotonic() + 60
        while (view := gate.view()).get("share") != 100 and time.monotonic() < until_s:
            waited_for = (
                view.get("waits_for", "") if "replicas" in view.get("waits_for", "") else waited_for
            )
            n_running = len(gate.pids("Version", f"churn-{SCALED}"))
            time.sleep(0.2)
    assert view["share"] == 100, view
    assert n_running > 1
    assert "replicas that 100 % need" in waited_for
    assert set(clients.statuses) == {200}, clients.statuses
    gate.end()


def test_the_split_is_sticky_and_within_its_binomial_bounds_and_an_abort_takes_two_seconds(
    gate: Gate,
) -> None:
    """Of 1,000 keys the candidate has its share, the same ones again; after an abort nobody gets it any more."""
    only_in_the_fast_mode(gate.stage)
    gate.begin(GOOD, steps=[20, 100], min_requests=1_000_000)
    gate.until(share=20.0)
    time.sleep(1.5)  # both servers have beaten since
    first = {key: gate.version_of(key) for key in map(str, range(1_000))}
    again = {key: gate.version_of(key) for key in map(str, range(0, 1_000, 5))}
    assert all(first[key] == version for key, version in again.items())
    n = sum(version == GOOD for version in first.values())
    assert abs(n - 200) < 4.5 * sqrt(1_000 * 0.2 * 0.8), n
    forced = requests.post(
        f"{gate.url}/v1/predict", json=ROW, headers={"X-Model-Version": GOOD}, timeout=10
    )
    assert forced.headers["X-Model-Version"] == GOOD
    assert gate.command("abort").json()["status"] == "aborted"
    time.sleep(FOLLOWED_S)
    mine = [key for key, version in first.items() if version == GOOD][:60]
    assert {gate.version_of(key) for key in mine} == {"1.0.0"}
    assert gate.command("abort").status_code == 409, "it is aborted already"
    gate.begin(GOOD, steps=[20, 100], min_requests=1_000_000)  # the same file again
    time.sleep(3)
    assert gate.view()["status"] == "aborted", "a redeploy of the same file begins nothing anew"
    assert gate.command("start").json()["run"] == 2
    gate.until(share=20.0, status="running")


def test_it_goes_on_where_it_was_when_the_coordinator_and_a_server_are_killed(gate: Gate) -> None:
    """The log says how far it was; then promoted, at 100 %, it is rolled back within two seconds."""
    only_in_the_fast_mode(gate.stage)
    gate.begin(GOOD, steps=[50, 100], min_requests=1_000_000, bake_seconds=300)
    before = gate.until(share=50.0)
    gate.kill("Coordinator")
    after = gate.until(share=50.0, status="running", run=before["run"], step=0, timeout_s=90)
    assert [event["kind"] for event in after["events"]].count("claimed") == 2
    gate.kill("Server")
    assert gate.until(n_servers=2)["share"] == 50.0
    assert {gate.version_of(str(key)) for key in range(60)} == {"1.0.0", GOOD}
    assert gate.command("promote").status_code == 200
    gate.until(share=100.0, status="baking")
    time.sleep(FOLLOWED_S)
    assert {gate.version_of(str(key)) for key in range(40)} == {GOOD}
    assert gate.command("rollback").json()["status"] == "rolled_back"
    time.sleep(FOLLOWED_S)
    assert {gate.version_of(str(key)) for key in range(60)} == {"1.0.0"}
