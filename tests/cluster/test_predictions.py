"""Predictions over real HTTP through real Ray, in both modes and both placements."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from harness import wait_until
from probe import POISON, calls, openings
from stage import EXPENSIVE, ISOLATED, LIMITS, SLOW, in_fast_mode, server
from trained import pipeline_answers, unseen_rows

from serve_app.models import get_spec
from training.models.churn import TRAINING as CHURN

SPEC = get_spec("churn")
LEAVING, STAYING = (example.row.model_dump() for example in SPEC.examples)
# The ways of a row to a model; a handle is the same in both modes.
WAYS = {
    "plain-compiled": ("plain", ""),
    "fast-compiled": ("fast", ""),
    "fast-coalesced": ("fast", "/expensive"),
    "fast-isolated": ("fast", "/isolated"),
}
on_every_way = pytest.mark.parametrize(
    ("stage", "prefix"), WAYS.values(), ids=list(WAYS), indirect=["stage"]
)


@on_every_way
def test_the_two_sample_customers_come_out_as_people_expect(stage: Any, prefix: str) -> None:
    """A customer in trouble is Churned/High, a happy one Retained/Low, in every placement; no
    constant can do it.
    """
    leaving = requests.post(f"{stage.url}{prefix}/v1/predict", json=LEAVING, timeout=300).json()
    staying = requests.post(f"{stage.url}{prefix}/predict", json=STAYING, timeout=300).json()
    assert (leaving["label"], leaving["risk_level"], leaving["prediction"]) == (
        "Churned",
        "High",
        1,
    )
    assert (staying["label"], staying["risk_level"], staying["prediction"]) == (
        "Retained",
        "Low",
        0,
    )


@on_every_way
def test_a_thousand_predictions_over_http_equal_the_fitted_pipelines(
    stage: Any, prefix: str
) -> None:
    """What clients get is what the data scientist's pipeline says, row by row."""
    rows = unseen_rows(CHURN, SPEC, 1_000)
    found = [
        entry["churn_probability"]
        for start in range(0, 1_000, 100)
        for entry in requests.post(
            f"{stage.url}{prefix}/v1/predict/batch", json=rows[start : start + 100], timeout=300
        ).json()["predictions"]
    ]
    np.testing.assert_allclose(
        found, pipeline_answers(stage.store, SPEC, rows), atol=6e-5
    )  # rounded to 4 digits


@in_fast_mode
@pytest.mark.parametrize(
    ("prefix", "version", "most"), [("/expensive", EXPENSIVE, 32), ("/isolated", ISOLATED, 48)]
)
def test_concurrent_single_requests_reach_the_model_in_far_fewer_calls(
    stage: Any, log_of: Any, prefix: str, version: str, most: int
) -> None:
    """64 requests at once share a few model calls (the isolated version has two replicas and small
    blocks), and every caller gets its own answer.
    """
    rows = unseen_rows(CHURN, SPEC, 64)
    expected = pipeline_answers(stage.store, SPEC, rows)

    def shares_calls() -> bool:
        sizes = sizes_of_calls(stage.url + prefix, rows, expected, log_of(version))
        return len(sizes) <= most

    # On a busy machine the clients of one burst may come too late to meet.
    wait_until(shares_calls, f"a burst of 64 requests in {most} calls or fewer")


@in_fast_mode
def test_blocks_of_two_servers_are_merged_in_the_isolated_version(stage: Any, log_of: Any) -> None:
    """Each server sends blocks of its own; a version's call holds more rows than any one server
    sent it.
    """
    rows = unseen_rows(CHURN, SPEC, 100)
    expected = pipeline_answers(stage.store, SPEC, rows)
    replicas: set[int] = set()

    def merges_in_both_replicas() -> bool:
        n_before = len(calls(log_of(ISOLATED)))
        sizes = sizes_of_calls(f"{stage.url}/isolated", rows, expected, log_of(ISOLATED))
        replicas.update(pid for pid, _ in calls(log_of(ISOLATED))[n_before:])
        return max(sizes) > 4 and len(replicas) == 2

    wait_until(merges_in_both_replicas, "calls of more than 4 rows, in both replicas")


def sizes_of_calls(url: str, rows: list[dict[str, Any]], expected: Any, log: Path) -> list[int]:
    """Send the rows at once, each in a request of its own; how many rows each call of the model
    had.
    """
    n_before = len(calls(log))
    with ThreadPoolExecutor(len(rows)) as pool:
        found = list(pool.map(lambda row: _probability(url, row), rows))
    np.testing.assert_allclose(found, expected, atol=6e-5)
    sizes = [n_rows for _, n_rows in calls(log)[n_before:]]
    assert sum(sizes) == len(rows)
    return sizes


def _probability(url: str, row: dict[str, Any]) -> float:
    answer = requests.post(f"{url}/v1/predict", json=row, timeout=300)
    assert answer.status_code == 200, answer.text
    return float(answer.json()["churn_probability"])


@in_fast_mode
@pytest.mark.parametrize("prefix", ["/expensive", "/isolated"])
def test_one_failing_row_among_32_coalesced_hurts_nobody_else(stage: Any, prefix: str) -> None:
    """The row that makes the pipeline raise gets a 500 of its own; the 31 next to it get their
    answers.
    """
    rows = unseen_rows(CHURN, SPEC, 32)
    rows[17] = {**rows[17], "support_tickets_opened": POISON}
    with ThreadPoolExecutor(32) as pool:
        answers = list(
            pool.map(
                lambda row: requests.post(f"{stage.url}{prefix}/predict", json=row, timeout=300),
                rows,
            )
        )
    assert [answer.status_code for answer in answers] == [200] * 17 + [500] + [200] * 14
    assert answers[17].json()["code"] == "model_failed"
    assert answers[17].headers["X-Request-ID"] == answers[17].json()["request_id"]
    assert "poisoned" not in answers[17].text
    batch = requests.post(f"{stage.url}{prefix}/predict/batch", json=rows, timeout=300).json()
    assert (batch["succeeded"], batch["failed"]) == (31, 1)
    assert batch["predictions"][17]["status"] == "error"


@in_fast_mode
def test_each_process_opens_a_version_once(stage: Any, log_of: Any) -> None:
    """A server of one replica has opened its expensive version once, and so has each replica of the
    isolated one.
    """
    [server_pid] = [replica["pid"] for replica in stage.cluster.replicas("expensive", "Server")]
    version_pids = {
        replica["pid"] for replica in stage.cluster.replicas(f"churn-{ISOLATED}", "Version")
    }
    assert openings(log_of(EXPENSIVE)).count(server_pid) == 1
    opened = [pid for pid in openings(log_of(ISOLATED)) if pid in version_pids]
    assert sorted(opened) == sorted(version_pids)


@in_fast_mode
def test_coalescing_is_decided_by_the_measured_cost_or_by_the_table(
    stage: Any, log_of: Any
) -> None:
    """`auto` coalesces the expensive version and leaves a cheap one alone; `always` and `never` are
    obeyed.
    """
    state = stage.until_ready(
        "/expensive", lambda s: all(v["state"] == "ready" for v in s["versions"].values())
    )
    found = {name: version["coalesces"] for name, version in state["versions"].items()}
    assert found == {EXPENSIVE: True, "1.0.0": False, "1.1.0": True, SLOW: False}
    before = len(calls(log_of(SLOW)))
    headers = {"X-Model-Version": SLOW}
    with ThreadPoolExecutor(3) as pool:
        list(
            pool.map(
                lambda _: requests.post(
                    f"{stage.url}/expensive/predict", json=LEAVING, headers=headers, timeout=300
                ),
                "abc",
            )
        )
    stage.until_ready("/expensive")
    assert {n_rows for _, n_rows in calls(log_of(SLOW))[before:]} == {1}


@in_fast_mode
def test_a_candidate_over_its_deadline_is_answered_for_by_stable(stage: Any) -> None:
    """0.3 s is more than candidate_deadline_ms: stable answers in time."""
    answer = requests.post(
        f"{stage.url}/expensive/predict",
        json=LEAVING,
        headers={"X-Model-Version": SLOW},
        timeout=300,
    )
    assert (answer.status_code, answer.headers["X-Model-Version"]) == (200, EXPENSIVE)


@in_fast_mode
@pytest.mark.parametrize(
    ("limits", "status", "code"),
    [
        (
            {"deadline_ms": 5, "candidate_deadline_ms": 1, "max_wait_ms": 60_000},
            504,
            "deadline_exceeded",
        ),
        ({"max_rows_under_way": 1, "retry_after_s": 7}, 429, "overloaded"),
    ],
    ids=["deadline", "queue limit"],
)
def test_limits_of_the_table_are_kept_under_load(
    stage: Any, limits: dict[str, int], status: int, code: str
) -> None:
    """A model call of 20 ms against a deadline of 5; sixteen clients where one row may be under
    way.
    """
    stage.deploy(server("churn", "/", stage.store, {"stable": EXPENSIVE, "limits": limits}))
    stage.until_ready("", lambda s: s["stable"] == EXPENSIVE)
    refused = wait_until(lambda: refused_of_a_burst(stage, status), f"answers with {status}")
    assert refused[0].json()["code"] == code
    assert refused[0].headers.get("Retry-After") == ("7" if status == 429 else None)
    stage.deploy()
    stage.until_ready("", lambda s: s["stable"] == "1.0.0")


@in_fast_mode
def test_who_would_wait_too_long_for_a_version_is_told_so_at_once(stage: Any) -> None:
    """A model call of 0.3 s is waited for, and not the calls of sixteen clients one after the
    other.
    """
    table = {
        "stable": SLOW,
        "versions": {SLOW: {"coalesce": "never"}},
        "limits": LIMITS | {"max_wait_ms": 100, "retry_after_s": 7},
    }
    stage.deploy(server("churn", "/", stage.store, table))
    stage.until_ready("", lambda s: s["stable"] == SLOW)
    refused = wait_until(lambda: refused_of_a_burst(stage, 429), "answers with 429")
    assert {answer.json()["code"] for answer in refused} == {"overloaded"}
    assert {answer.headers["Retry-After"] for answer in refused} == {"7"}
    stage.deploy()
    stage.until_ready("", lambda s: s["stable"] == "1.0.0")


def refused_of_a_burst(stage: Any, status: int) -> list[requests.Response]:
    """Sixteen clients at once; the answers with this status, where any other must be 200."""
    url = f"{stage.url}/predict"
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: requests.post(url, json=LEAVING, timeout=300), range(32)))
    assert {answer.status_code for answer in answers} <= {200, status}
    return [answer for answer in answers if answer.status_code == status]


def test_ray_refuses_what_is_over_its_own_queue_limit(stage: Any) -> None:
    """One request at a time and one that waits: the others get Ray's own 429 with Retry-After."""
    limits = {"max_ongoing_requests": 1, "max_queued_requests": 1}
    backpressure = {"status_code": 429, "retry_after_s": 3}
    stage.deploy(
        server(
            "churn",
            "/",
            stage.store,
            {"stable": EXPENSIVE, "limits": LIMITS},
            backpressure_config=backpressure,
            **limits,
        )
    )
    stage.until_ready("", lambda s: s["stable"] == EXPENSIVE)
    refused = wait_until(lambda: refused_of_a_burst(stage, 429), "answers with 429")
    assert {answer.headers["Retry-After"] for answer in refused} == {"3"}
    stage.deploy()
    stage.until_ready("", lambda s: s["stable"] == "1.0.0")


def test_ray_gives_up_after_the_callers_timeout(stage: Any) -> None:
    """`x-request-timeout-seconds` shortens request_timeout_s: a model call of 0.3 s is not waited
    for.
    """
    sent = {"X-Request-Timeout-Seconds": "0.1", "X-Model-Version": SLOW}
    table = {"stable": "1.0.0", "versions": {SLOW: {}}, "limits": LIMITS}
    stage.deploy(server("churn", "/", stage.store, table))
    stage.until_ready("", lambda s: s["versions"].get(SLOW, {}).get("state") == "ready")
    url = f"{stage.url}/predict"
    assert requests.post(url, json=LEAVING, headers=sent, timeout=300).status_code == 408
    del sent["X-Request-Timeout-Seconds"]
    assert (
        requests.post(url, json=LEAVING, headers=sent, timeout=300).headers["X-Model-Version"]
        == SLOW
    )
    stage.deploy()
    stage.until_ready("", lambda s: s["versions"].keys() == {"1.0.0"})


@in_fast_mode
def test_what_was_counted_is_exported(stage: Any) -> None:
    """Rows by version, fallbacks and failed rows arrive at Ray's own metrics endpoint."""
    rows = unseen_rows(CHURN, SPEC, 3)
    rows[1] = {**rows[1], "support_tickets_opened": POISON}
    before = _exported(stage)
    assert (
        requests.post(f"{stage.url}/expensive/predict/batch", json=rows, timeout=300).json()[
            "failed"
        ]
        == 1
    )
    requests.post(
        f"{stage.url}/expensive/predict",
        json=LEAVING,
        headers={"X-Model-Version": SLOW},
        timeout=300,
    )
    wanted = {("rows", EXPENSIVE): 4, ("failed_rows", EXPENSIVE): 1, ("fallbacks", SLOW): 1}
    wait_until(
        lambda: all(
            _exported(stage).get(key, 0) >= before.get(key, 0) + n for key, n in wanted.items()
        ),
        f"{wanted} more than {before}",
    )


def _exported(stage: Any) -> dict[tuple[str, str], float]:
    """(event, version) → count of the application `expensive`."""
    text = requests.get(f"http://127.0.0.1:{stage.cluster.metrics_port}/metrics", timeout=300).text
    lines = re.findall(r"^ray_sluice_events\S*\{(.*)\} (\S+)$", text, re.MULTILINE)
    found = [
        (dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for labels, value in lines
    ]
    return {
        (tags["event"], tags["version"]): value
        for tags, value in found
        if tags["application"] == "expensive"
    }
