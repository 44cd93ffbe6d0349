"""What a running cluster exports is what alerts and dashboard ask for."""

import re
from pathlib import Path
from typing import Any

import requests
from harness import wait_until
from observed import names_used
from rollout_app import ROW, RolloutApp
from stage import GOOD, in_fast_mode

# A counter is there from the first time on that something is counted. Nobody's rate is used up
# here, and no candidate is late: that these are read and exported is seen without a cluster.
# Drift wants a bundle with a reference and enough rows.
MAY_BE_MISSING = {
    "ray_sluice_rate_limited_total",
    "ray_sluice_shadow_missed_total",
    "ray_sluice_drift_psi",
    "ray_sluice_drift_alarm",
    "ray_sluice_field_missing_ratio",
    "ray_sluice_field_out_of_range_ratio",
    "ray_sluice_field_unseen_ratio",
}
DROPPED = "ray_sluice_prediction_log_dropped_total"
REFUSED = {**ROW, "nps_score": 99}


def exported(stage: Any) -> dict[str, list[dict[str, str]]]:
    """The labels of all series, by metric, as Prometheus would get them."""
    text = requests.get(f"http://127.0.0.1:{stage.cluster.metrics_port}/metrics", timeout=60).text
    found: dict[str, list[dict[str, str]]] = {}
    for name, labels in re.findall(r"^([a-zA-Z_:][\w:]*)\{(.*)\} \S+$", text, re.MULTILINE):
        found.setdefault(name, []).append(dict(re.findall(r'(\w+)="([^"]*)"', labels)))
    return found


@in_fast_mode
def test_each_metric_that_an_alert_or_the_dashboard_names_is_exported(
    stage: Any, tmp_path: Path
) -> None:
    """A rollout in shadow, good rows and refused ones, and a log that cannot be written at first:
    after that no graph is empty.
    """
    wanted = names_used() - MAY_BE_MISSING
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
                    f"{app.url}/v1/predict", json=ROW, headers=headers, timeout=60
                )
                assert answer.status_code == 200
            label = {"prediction_id": answer.json()["prediction_id"], "actual": 1}
            told = requests.post(f"{app.url}/v1/feedback", json=label, timeout=60)
            assert told.status_code == 200, told.text
            assert (
                requests.post(f"{app.url}/v1/predict", json=REFUSED, timeout=60).status_code == 422
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
