"""What is known after an answer, where stable is an application of its own."""

from pathlib import Path
from typing import Any

import requests
from harness import wait_until
from observed import exported
from stage import ISOLATED, LIMITS, in_fast_mode, server

from serve_app.models import get_spec
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.reading import logged

ROW = get_spec("churn").examples[0].row.model_dump()
N_ROWS = 60


@in_fast_mode
def test_answers_of_an_isolated_version_reach_drift_log_labels_and_metrics(
    stage: Any, tmp_path: Path
) -> None:
    """As those of a version in the server do, each row once, and under its name."""
    table = {
        "stable": ISOLATED,
        "versions": {ISOLATED: {"placement": "isolated"}},
        "limits": LIMITS,
    }
    monitored = server("monitored", "/monitored", stage.store, table)
    monitored["args"] |= {"state": str(tmp_path / "state"), "log": str(tmp_path / "log")}
    url = f"{stage.url}/monitored/v1"

    def got(path: str) -> Any:
        found = requests.get(f"{url}/{path}", timeout=60)
        return found.json() if found.status_code == 200 else {}

    try:
        stage.deploy(monitored)
        stage.until_ready("/monitored")
        answer = requests.post(f"{url}/predict/batch", json=[ROW] * N_ROWS, timeout=60)
        assert answer.status_code == 200, answer.text
        ids = [one["prediction_id"] for one in answer.json()["predictions"]]
        labels = [{"prediction_id": name, "actual": 1} for name in ids]
        told = requests.post(f"{url}/feedback", json=labels, timeout=60).json()
        assert told["succeeded"] == N_ROWS

        def drift() -> Any:
            return got("drift").get("versions", {}).get(ISOLATED, {}).get("windows", {}).get("1h")

        hour = wait_until(drift, "drift")
        assert hour["n_rows"] == N_ROWS
        assert hour["n_drifting"] > 0
        quality = wait_until(lambda: got("quality").get("versions"), "quality")
        [version] = quality
        assert version["version"] == ISOLATED
        today = version["windows"][0]
        assert (today["n_predictions"], today["n_labels"]) == (N_ROWS, N_ROWS)
        place = LogPlace(str(tmp_path / "log"))
        lines = wait_until(lambda: list(logged(place, "churn")), "the log")
        assert {line.version for line in lines} == {ISOLATED}
        assert [name for line in lines for name in line.ids] == ids

        def versions_of(metric: str) -> set[str]:
            series = exported(stage).get(metric, [])
            return {one["version"] for one in series if one["application"] == "monitored"}

        for metric in ("ray_sluice_predictions_total", "ray_sluice_labels_total"):
            wait_until(lambda metric=metric: versions_of(metric) == {ISOLATED}, metric)
    finally:
        stage.deploy()
