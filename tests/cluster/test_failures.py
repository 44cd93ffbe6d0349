"""Processes killed under load."""

import os
import signal
from typing import Any

import requests
from harness import wait_until
from load import ROW, Load
from stage import ISOLATED, LIMITS, config, server


def test_killing_a_replica_of_an_isolated_version_loses_no_request(stage: Any) -> None:
    """Calls that died with the replica are asked again of another one."""
    victims = [replica["pid"] for replica in stage.cluster.replicas(f"churn-{ISOLATED}", "Version")]
    with Load(f"{stage.url}/isolated/v1/predict", 8, pause_s=0.02) as load:
        load.until(50)
        os.kill(victims[0], signal.SIGKILL)
        load.until(100)
    assert set(load.statuses) == {200}, load.statuses
    stage.cluster.wait_for("RUNNING", f"churn-{ISOLATED}")


def test_killing_a_server_replica_loses_at_most_what_it_was_answering(stage: Any) -> None:
    """Plain Ray loses what was in the replica. In the fast mode HAProxy asks another one, which
    saves nearly all: an answer that was half sent it cannot (docs/decisions/006), so one kill of
    three must lose nothing.
    """
    pair = server("pair", "/pair", stage.store, {"stable": "1.0.0"}, num_replicas=2)
    stage.deploy(pair)
    stage.until_ready("/pair")
    n_clients = 4
    lost: list[dict[int | str, int]] = []
    for _ in range(3 if stage.cluster.mode == "fast" else 1):
        wait_until(lambda: len(stage.cluster.replicas("pair", "Server")) == 2, "two replicas")
        with Load(f"{stage.url}/pair/v1/predict", n_clients) as load:
            load.until(50)
            os.kill(stage.cluster.replicas("pair", "Server")[0]["pid"], signal.SIGKILL)
            load.until(200)
        lost.append({status: count for status, count in load.statuses.items() if status != 200})
        assert sum(lost[-1].values()) <= n_clients, lost
        if not lost[-1]:
            break
    assert stage.cluster.mode == "plain" or not lost[-1], lost
    stage.deploy()


def test_when_an_isolated_candidate_goes_stable_answers_for_it(stage: Any) -> None:
    """The whole application of a candidate is taken away under load: nobody sees an error, and
    stable answers.
    """
    candidate = {"weight_percent": 100, "placement": "isolated"}
    user_config = {"stable": "1.0.0", "versions": {ISOLATED: candidate}, "limits": LIMITS}
    table = server("table", "/table", stage.store, user_config)
    stage.deploy(table)
    stage.until_ready("/table", lambda s: s["versions"].get(ISOLATED, {}).get("state") == "ready")
    url = f"{stage.url}/table/v1/predict"
    assert answered_by(url) == ISOLATED
    with Load(url, 4, pause_s=0.02) as load:
        load.until(30)
        kept = [
            app
            for app in stage.applications
            if app["name"] not in ("table", "isolated", f"churn-{ISOLATED}")
        ]
        stage.cluster.deploy(config(*kept, table))
        wait_until(lambda: answered_by(url) == "1.0.0", "stable answers")
        load.until(50)
    assert set(load.statuses) == {200}, load.statuses
    stage.deploy()
    stage.until_ready("/isolated")


def test_ready_is_503_while_an_isolated_stable_is_away_and_200_when_it_is_back(stage: Any) -> None:
    """Serve's own health check knows nothing of it; /ready asks the version itself, and the routes
    say 503 too.
    """
    gone = [app for app in stage.applications if app["name"] != f"churn-{ISOLATED}"]
    stage.cluster.deploy(config(*gone))
    stage.until_ready("/isolated", lambda state: not state["ready"])
    refused = requests.post(f"{stage.url}/isolated/v1/predict", json=ROW, timeout=60)
    assert refused.status_code in (503, 504)
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert requests.post(f"{stage.url}/v1/predict", json=ROW, timeout=60).status_code == 200, (
        "others are untouched"
    )
    stage.deploy()
    stage.until_ready("/isolated")
    assert (
        requests.post(f"{stage.url}/isolated/v1/predict", json=ROW, timeout=60).status_code == 200
    )


def test_an_update_that_restarts_the_only_replica_loses_no_request(stage: Any) -> None:
    """With max_surge_percent 100 the old replica answers until the new one is ready."""
    before = stage.cluster.replicas("table", "Server")[0]["pid"]
    moved = server("table", "/table", stage.store, {"stable": "1.0.0"})
    moved["args"]["store"] += "/."
    with Load(f"{stage.url}/table/v1/predict", 2, pause_s=0.02) as load:
        load.until(20)
        stage.deploy(moved)
        wait_until(lambda: _other_pid(stage, before), "a new replica alone")
        load.until(20)
    assert set(load.statuses) == {200}, load.statuses


def answered_by(url: str) -> str:
    """The version that answers one request."""
    return requests.post(url, json=ROW, timeout=60).headers["X-Model-Version"]


def _other_pid(stage: Any, before: int) -> bool:
    replicas = stage.cluster.replicas("table", "Server")
    return len(replicas) == 1 and replicas[0]["pid"] != before
