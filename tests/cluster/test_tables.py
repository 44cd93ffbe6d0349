"""Tables changed while requests flow: weights, new versions, and everything that can be wrong with
them.
"""

from collections import Counter
from typing import Any

import pytest
import requests
from load import ROW, Load
from stage import (
    CORRUPT,
    GOOD,
    ISOLATED,
    LIMITS,
    MISMATCH,
    MISSING,
    OTHER_CONTRACT,
    in_fast_mode,
    isolated,
    server,
)


def put_table(stage: Any, table: dict[str, Any]) -> None:
    """Deploy the application `churn` with another user_config and nothing else changed."""
    stage.deploy(server("churn", "/", stage.store, {"limits": LIMITS, **table}))


def ask(stage: Any, key: str, **headers: str) -> requests.Response:
    """One prediction with a routing key."""
    url = f"{stage.url}/v1/predict"
    return requests.post(url, json=ROW, headers={"X-Routing-Key": key, **headers}, timeout=60)


def steady_load(stage: Any) -> Load:
    """Requests one after the other during a `with` block."""
    return Load(f"{stage.url}/v1/predict", 1, pause_s=0.02)


@in_fast_mode
def test_a_change_of_weight_takes_effect_in_the_same_process_and_is_sticky(stage: Any) -> None:
    """A candidate gets its share of the keys, the same keys each time, without a new process or a
    failed request.
    """
    put_table(stage, {"stable": "1.0.0"})
    before = [replica["pid"] for replica in stage.cluster.replicas("churn", "Server")]
    with steady_load(stage) as load:
        put_table(stage, {"stable": "1.0.0", "versions": {GOOD: {"weight_percent": 30}}})
        stage.until_ready("", lambda s: s["versions"].get(GOOD, {}).get("state") == "ready")
        first = {key: ask(stage, key).json()["model_version"] for key in map(str, range(200))}
        again = {key: ask(stage, key).json()["model_version"] for key in map(str, range(200))}
        put_table(stage, {"stable": "1.0.0", "versions": {GOOD: {"weight_percent": 60}}})
        stage.until_ready("", lambda s: s["versions"][GOOD]["weight_percent"] == 60)
        more = {key: ask(stage, key).json()["model_version"] for key in map(str, range(200))}
    n_first, n_more = (list(found.values()).count(GOOD) for found in (first, more))
    assert first == again
    # 30 % of 200, within five standard deviations.
    assert 28 <= n_first <= 92, n_first
    assert n_more > n_first
    assert all(more[key] == GOOD for key, version in first.items() if version == GOOD), (
        "nobody moves back"
    )
    assert [replica["pid"] for replica in stage.cluster.replicas("churn", "Server")] == before
    assert set(load.statuses) == {200}, load.statuses


@in_fast_mode
def test_a_caller_can_ask_for_one_version_of_the_table(stage: Any) -> None:
    """X-Model-Version is answered by that version; one that is not in the table is a 400 that lists
    those that are.
    """
    put_table(stage, {"stable": "1.0.0", "versions": {GOOD: {}}})
    stage.until_ready("", lambda s: s["versions"].get(GOOD, {}).get("state") == "ready")
    assert ask(stage, "k", **{"X-Model-Version": GOOD}).json()["model_version"] == GOOD
    assert ask(stage, "k").json()["model_version"] == "1.0.0"
    refused = ask(stage, "k", **{"X-Model-Version": "7.7.7"})
    assert (refused.status_code, refused.json()["code"]) == (400, "unknown_version")
    assert GOOD in refused.json()["detail"]


@in_fast_mode
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
    """A candidate that cannot be trusted never answers, says why in /ready, and costs nobody an
    answer.
    """
    put_table(stage, {"stable": "1.0.0"})
    with steady_load(stage) as load:
        put_table(stage, {"stable": "1.0.0", "versions": {version: {"weight_percent": 100}}})
        state = stage.until_ready(
            "", lambda s: s["versions"].get(version, {}).get("state") == "failed"
        )
        load.until(10)
    assert state["ready"]
    assert reason in state["versions"][version]["detail"]
    assert set(load.statuses) == {200}, load.statuses
    assert load.answered_by == {"1.0.0"}


@in_fast_mode
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
    """A table that slipped past `sluice check` changes nothing but `config_error`; the next good
    one clears it.
    """
    put_table(stage, {"stable": "1.0.0"})
    stage.until_ready("")
    with steady_load(stage) as load:
        put_table(stage, table)
        state = stage.until_ready("", lambda s: s["config_error"])
        load.until(10)
    assert reason in state["config_error"]
    assert state["ready"]
    assert set(load.statuses) == {200}, load.statuses
    assert load.answered_by == {"1.0.0"}
    put_table(stage, {"stable": GOOD})
    stage.until_ready("", lambda s: s["stable"] == GOOD and s["config_error"] is None)


@in_fast_mode
def test_an_isolated_candidate_joins_like_one_in_the_server(stage: Any) -> None:
    """Placement is a line of the table: the same keys, the same answers, another process."""
    put_table(
        stage,
        {
            "stable": "1.0.0",
            "versions": {ISOLATED: {"weight_percent": 50, "placement": "isolated"}},
        },
    )
    stage.until_ready("", lambda s: s["versions"].get(ISOLATED, {}).get("state") == "ready")
    answers = [ask(stage, str(i)).json() for i in range(100)]
    by_version = Counter(answer["model_version"] for answer in answers)
    assert 25 <= by_version[ISOLATED] <= 75, by_version
    assert len({answer["churn_probability"] for answer in answers}) == 1, (
        "both versions hold the same pipeline"
    )


@in_fast_mode
def test_an_isolated_candidate_that_is_not_there_leaves_stable_answering(stage: Any) -> None:
    """A table may name an application that nobody deployed."""
    put_table(
        stage,
        {
            "stable": "1.0.0",
            "versions": {"5.0.0": {"weight_percent": 100, "placement": "isolated"}},
        },
    )
    state = stage.until_ready("", lambda s: s["versions"].get("5.0.0", {}).get("state") == "failed")
    assert "churn-5.0.0 does not answer" in state["versions"]["5.0.0"]["detail"]
    assert {ask(stage, str(i)).json()["model_version"] for i in range(20)} == {"1.0.0"}


@in_fast_mode
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
    """The same as for one in the server: it says why, and costs nobody an answer."""
    table = {
        "stable": "1.0.0",
        "versions": {version: {"weight_percent": 100, "placement": "isolated", **entry}},
    }
    broken = [] if version == ISOLATED else [isolated(version, stage.store, num_replicas=1)]
    app = server("churn", "/", stage.store, {"limits": LIMITS, **table})
    stage.deploy(app, *broken, running=False)
    state = stage.until_ready("", lambda s: s["versions"].get(version, {}).get("state") == "failed")
    assert reason in state["versions"][version]["detail"]
    assert {ask(stage, str(i)).json()["model_version"] for i in range(20)} == {"1.0.0"}
    stage.deploy()


@in_fast_mode
def test_golden_rows_that_differ_in_stable_keep_a_new_replica_from_getting_ready(
    stage: Any,
) -> None:
    """A replica whose stable computes something else than in training never takes a request; others
    are untouched.
    """
    bad = server("mismatch", "/mismatch", stage.store, {"stable": MISMATCH})
    stage.deploy(bad, running=False)
    stage.cluster.wait_for("DEPLOY_FAILED", "mismatch")
    message = stage.cluster.applications()["mismatch"]["deployments"]["Server"]["message"]
    assert "golden rows" in message
    assert (
        requests.post(f"{stage.url}/mismatch/v1/predict", json=ROW, timeout=60).status_code != 200
    )
    assert requests.post(f"{stage.url}/v1/predict", json=ROW, timeout=60).status_code == 200
    stage.deploy()
