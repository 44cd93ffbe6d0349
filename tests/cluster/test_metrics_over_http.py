"""What a running cluster exports is what alerts and dashboard ask for."""

from pathlib import Path
from typing import Any

import requests
from harness import wait_until
from observed import exported, names_used
from rollout_app import ROW, RolloutApp
from stage import GOOD, LIMITS, in_fast_mode, server

from serve_app.models import get_spec

# A counter is there from the first time on that something is counted. Nobody's rate is used up
# here, and no candidate is late: that these are read and exported is seen without a cluster.
MAY_BE_MISSING = {"ray_sluice_rate_limited_total", "ray_sluice_shadow_missed_total"}
# Told by another test, of a model that has texts, which churn has not.
OF_DRIFT = {
    "ray_sluice_drift_psi",
    "ray_sluice_drift_alarm",
    "ray_sluice_field_missing_ratio",
    "ray_sluice_field_out_of_range_ratio",
    "ray_sluice_field_unseen_ratio",
}
DROPPED = "ray_sluice_prediction_log_dropped_total"
REFUSED = {**ROW, "nps_score": 99}
ORDER = get_spec("delivery_time").examples[0].row.model_dump(mode="json")
# More than drift needs.
N_ROWS = 60


@in_fast_mode
def test_each_metric_that_an_alert_or_the_dashboard_names_is_exported(
    stage: Any, tmp_path: Path
) -> None:
    """A rollout in shadow, good rows and refused ones, and a log that cannot be written at first:
    after that no graph but those of drift is empty.
    """
    wanted = names_used() - MAY_BE_MISSING - OF_DRIFT
    # In the place of a folder a file, which makes the log drop rows until it is gone.
    in_the_way = tmp_path / "churn" / "measured"
    in_the_way.parent.mkdir()
    in_the_way.touch()
    app = RolloutApp(stage, "measured", stage.store, "in_server", log=tmp_path)
    app.begin(GOOD, steps=["shadow", 100], min_requests=1_000_000)
    try:
        app.until(status="running", share="shadow")

        def is_complete() -> bool:
            for n in range(20):
                headers = {"X-Routing-Key": f"key {n}"}
                answer = requests.post(
                    f"{app.url}/v1/predict", json=ROW, headers=headers, timeout=300
                )
                assert answer.status_code == 200
            label = {"prediction_id": answer.json()["prediction_id"], "actual": 1}
            told = requests.post(f"{app.url}/v1/feedback", json=label, timeout=300)
            assert told.status_code == 200, told.text
            assert (
                requests.post(f"{app.url}/v1/predict", json=REFUSED, timeout=300).status_code == 422
            )
            found = exported(stage).keys()
            if DROPPED in found and in_the_way.is_file():
                in_the_way.unlink()
            return wanted <= found

        wait_until(is_complete, f"{wanted} at Ray's agent")
        found = exported(stage)
    finally:
        app.end()
    of_app = [
        labels
        for labels in found["ray_sluice_rejected_total"]
        if labels["application"] == "measured"
    ]
    assert {(one["model"], one["field"], one["reason"]) for one in of_app} == {
        ("churn", "nps_score", "is out of range")
    }
    assert not [
        name
        for name, series in found.items()
        for labels in series
        if name.startswith("ray_sluice") and labels.get("otel_metric_overflow")
    ]


@in_fast_mode
def test_each_metric_of_drift_that_an_alert_or_the_dashboard_names_is_exported(stage: Any) -> None:
    """The same order again and again differs from training."""
    assert names_used() >= OF_DRIFT
    table = {"stable": "1.0.0", "limits": LIMITS}
    url = f"{stage.url}/orders/v1"

    def serve(n_replicas: int) -> None:
        stage.deploy(
            server(
                "orders", "/orders", stage.store, table, "delivery_time", num_replicas=n_replicas
            )
        )

    def is_counted() -> bool:
        found = requests.get(f"{url}/drift", timeout=300).json()
        return "1h" in found["versions"]["1.0.0"]["windows"]

    def has_all() -> bool:
        found = exported(stage)
        return all(
            any(one["application"] == "orders" for one in found.get(name, ())) for name in OF_DRIFT
        )

    try:
        serve(1)
        stage.until_ready("/orders")
        answer = requests.post(f"{url}/predict/batch", json=[ORDER] * N_ROWS, timeout=300)
        assert answer.status_code == 200, answer.text
        wait_until(is_counted, "the rows at the coordinator")
        # A server looks at drift when it starts, and then once a minute: this one has rows to see.
        serve(2)
        wait_until(has_all, f"{OF_DRIFT} at Ray's agent")
        alarms = exported(stage)["ray_sluice_drift_alarm"]
        assert {one["model"] for one in alarms if one["application"] == "orders"} == {
            "delivery_time"
        }
    finally:
        stage.deploy()
