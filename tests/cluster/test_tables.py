"""Tables changed while requests flow: weights, new versions, and everything that can be wrong with them."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from stage import CORRUPT, GOOD, ISOLATED, MISMATCH, MISSING, OTHER_CONTRACT, isolated, server

from serve_app.models import get_spec

ROW = get_spec("churn").examples[0].row.model_dump()


def put_table(stage: Any, table: dict[str, Any]) -> None:
    """Deploy the application `table` with another user_config and nothing else changed."""
    stage.deploy(server("table", "/table", stage.store, table))


def ask(stage: Any, key: str, **headers: str) -> requests.Response:
    """One prediction with a routing key."""
    url = f"{stage.url}/table/v1/predict"
    return requests.post(url, json=ROW, headers={"X-Routing-Key": key, **headers}, timeout=10)


@contextmanager
def steady_load(stage: Any) -> Iterator[Counter[tuple[int, str]]]:
    """Requests one after the other during a `with` block; counts (status, version)."""
    seen: Counter[tuple[int, str]] = Counter()
    stop = False

    def load() -> None:
        i = 0
        while not stop:
            answer = ask(stage, f"load-{i}")
            seen[answer.status_code, answer.headers.get("X-Model-Version", "")] += 1
            i += 1
            time.sleep(0.01)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(load)
        try:
            yield seen
        finally:
            stop = True
            running.result(15)


def test_a_change_of_weight_takes_effect_in_the_same_process_and_is_sticky(stage: Any) -> None:
    """A candidate gets its share of the keys, the same keys each time, without a new process or a failed request."""
    put_table(stage, {"stable": "1.0.0"})
    before = [replica["pid"] for replica in stage.cluster.replicas("table", "Server")]
    with steady_load(stage) as seen:
        put_table(stage, {"stable": "1.0.0", "versions": {GOOD: {"weight_percent": 30}}})
        stage.until_ready("/table", lambda s: s["versions"].get(GOOD, {}).get("state") == "ready")
        first = {key: ask(stage, key).json()["model_version"] for key in map(str, range(200))}
        again = {key: ask(stage, key).json()["model_version"] for key in map(str, range(200))}
        put_table(stage, {"stable": "1.0.0", "versions": {GOOD: {"weight_percent": 60}}})
        stage.until_ready("/table", lambda s: s["versions"][GOOD]["weight_percent"] == 60)
        more = {key: ask(stage, key).json()["model_version"] for key in map(str, range(200))}
    n_first, n_more = (list(found.values()).count(GOOD) for found in (first, more))
    assert first == again
    assert 35 <= n_first <= 87, n_first  # 30 % of 200, 4 standard deviations
    assert n_more > n_first
    assert all(more[key] == GOOD for key, version in first.items() if version == GOOD), (
        "nobody moves back"
    )
    assert [replica["pid"] for replica in stage.cluster.replicas("table", "Server")] == before
    assert {status for status, _ in seen} == {200}, seen


def test_a_caller_can_ask_for_one_version_of_the_table(stage: Any) -> None:
    """X-Model-Version is answered by that version; one that is not in the table is a 400 that lists those that are."""
    put_table(stage, {"stable": "1.0.0", "versions": {GOOD: {}}})
    stage.until_ready("/table", lambda s: s["versions"].get(GOOD, {}).get("state") == "ready")
    assert ask(stage, "k", **{"X-Model-Version": GOOD}).json()["model_version"] == GOOD
    assert ask(stage, "k").json()["model_version"] == "1.0.0"
    refused = ask(stage, "k", **{"X-Model-Version": "7.7.7"})
    assert (refused.status_code, refused.json()["code"]) == (400, "unknown_version")
    assert GOOD in refused.json()["detail"]


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (MISSING, "not found; expected the bundle of churn"),
        (CORRUPT, "corrupt or replaced"),
        (OTHER_CONTRACT, "nps_score: missing in the bundle"),
        (MISMATCH, "golden rows"),
    ],
    ids=["missing", "corrupt", "other contract", "golden rows differ"],
)
def test_a_broken_candidate_leaves_stable_answering_everything(
    stage: Any, version: str, reason: str
) -> None:
    """A candidate that cannot be trusted never answers, says why in /ready, and costs nobody an answer."""
    put_table(stage, {"stable": "1.0.0"})
    with steady_load(stage) as seen:
        put_table(stage, {"stable": "1.0.0", "versions": {version: {"weight_percent": 100}}})
        state = stage.until_ready(
            "/table", lambda s: s["versions"].get(version, {}).get("state") == "failed"
        )
        time.sleep(0.3)
    assert state["ready"]
    assert reason in state["versions"][version]["detail"]
    assert set(seen) == {(200, "1.0.0")}, seen


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"stable": CORRUPT}, "corrupt or replaced"),
        ({"stable": "1.0.0", "wieghts": {}}, "user_config.wieghts: unknown key"),
        ({"stable": "1.0.0", "versions": {GOOD: {"weight_percent": 101}}}, "weight_percent"),
        ({}, "user_config.stable"),
    ],
    ids=["stable is corrupt", "unknown key", "weight over 100", "no stable"],
)
def test_a_bad_table_is_refused_live_while_the_last_good_one_stays(
    stage: Any, table: dict[str, Any], reason: str
) -> None:
    """A table that slipped past `sluice check` changes nothing but `config_error`; the next good one clears it."""
    put_table(stage, {"stable": "1.0.0"})
    stage.until_ready("/table")
    with steady_load(stage) as seen:
        put_table(stage, table)
        state = stage.until_ready("/table", lambda s: s["config_error"])
        time.sleep(0.3)
    assert reason in state["config_error"]
    assert state["ready"]
    assert set(seen) == {(200, "1.0.0")}, seen
    put_table(stage, {"stable": GOOD})
    stage.until_ready("/table", lambda s: s["stable"] == GOOD and s["config_error"] is None)


def test_an_isolated_candidate_joins_like_a_held_one(stage: Any) -> None:
    """Placement is a line of the table: the same keys, the same answers, another process."""
    put_table(
        stage,
        {
            "stable": "1.0.0",
            "versions": {ISOLATED: {"weight_percent": 50, "placement": "isolated"}},
        },
    )
    stage.until_ready("/table", lambda s: s["versions"].get(ISOLATED, {}).get("state") == "ready")
    answers = [ask(stage, str(i)).json() for i in range(100)]
    by_version = Counter(answer["model_version"] for answer in answers)
    assert 30 <= by_version[ISOLATED] <= 70, by_version
    assert len({answer["churn_probability"] for answer in answers}) == 1, (
        "both versions hold the same pipeline"
    )


def test_an_isolated_candidate_that_is_not_there_leaves_stable_answering(stage: Any) -> None:
    """A table may name an application that nobody deployed."""
    put_table(
        stage,
        {
            "stable": "1.0.0",
            "versions": {"5.0.0": {"weight_percent": 100, "placement": "isolated"}},
        },
    )
    state = stage.until_ready(
        "/table", lambda s: s["versions"].get("5.0.0", {}).get("state") == "failed"
    )
    assert "churn-5.0.0 does not answer" in state["versions"]["5.0.0"]["detail"]
    assert {ask(stage, str(i)).json()["model_version"] for i in range(20)} == {"1.0.0"}


@pytest.mark.parametrize(
    ("version", "entry", "reason"),
    [
        (ISOLATED, {"manifest_sha256": "0" * 64}, "expected manifest 0000"),
        (OTHER_CONTRACT, {}, "does not answer"),
    ],
    ids=["another pin", "its application cannot open it"],
)
def test_a_broken_isolated_candidate_leaves_stable_answering_everything(
    stage: Any, version: str, entry: dict[str, Any], reason: str
) -> None:
    """The same as for one held in the server: it says why, and costs nobody an answer."""
    table = {
        "stable": "1.0.0",
        "versions": {version: {"weight_percent": 100, "placement": "isolated", **entry}},
    }
    broken = [] if version == ISOLATED else [isolated(version, stage.store, num_replicas=1)]
    stage.deploy(server("table", "/table", stage.store, table), *broken, running=False)
    state = stage.until_ready(
        "/table", lambda s: s["versions"].get(version, {}).get("state") == "failed"
    )
    assert reason in state["versions"][version]["detail"]
    assert {ask(stage, str(i)).json()["model_version"] for i in range(20)} == {"1.0.0"}
    stage.deploy()


def test_golden_rows_that_differ_in_stable_keep_a_new_replica_from_getting_ready(
    stage: Any,
) -> None:
    """A replica whose stable computes something else than in training never takes a request; others are untouched."""
    bad = server("mismatch", "/mismatch", stage.store, {"stable": MISMATCH})
    stage.deploy(bad, running=False)
    stage.cluster.wait_for("DEPLOY_FAILED", "mismatch", timeout_s=90)
    message = stage.cluster.applications()["mismatch"]["deployments"]["Server"]["message"]
    assert "golden rows" in message
    assert (
        requests.post(f"{stage.url}/mismatch/v1/predict", json=ROW, timeout=10).status_code != 200
    )
    assert requests.post(f"{stage.url}/v1/predict", json=ROW, timeout=10).status_code == 200
    stage.deploy()
