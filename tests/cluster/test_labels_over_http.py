"""Labels on a real cluster: an id of an answer comes back with what came true, and counts."""

from pathlib import Path
from typing import Any

import requests
from harness import wait_until
from stage import LIMITS, server

from serve_app.models import get_spec

ROW = get_spec("churn").examples[0].row.model_dump()


def test_labels_of_two_replicas_become_one_number(stage: Any, tmp_path: Path) -> None:
    """In both modes; the coordinator hears of them within seconds, and each counts once."""
    table = {"stable": "1.0.0", "limits": LIMITS}
    labelled = server("labelled", "/labelled", stage.store, table)
    labelled["args"]["state"] = str(tmp_path)
    labelled["deployments"][0]["num_replicas"] = 2
    url = f"{stage.url}/labelled"
    try:
        stage.deploy(labelled)
        stage.until_ready("/labelled")
        rows = requests.post(f"{url}/v1/predict/batch", json=[ROW] * 20, timeout=60).json()
        body = [{"prediction_id": one["prediction_id"], "actual": 1} for one in rows["predictions"]]
        for _ in range(5):
            # Whichever replica it reaches has the same secret.
            answer = requests.post(f"{url}/v1/feedback", json=body, timeout=60).json()
            assert answer["succeeded"] == 20

        def counted() -> Any:
            found = requests.get(f"{url}/v1/quality", timeout=60)
            view = found.json() if found.status_code == 200 else {}
            return view if view.get("n_duplicates") == 80 else None

        view = wait_until(counted, "all labels are counted")
        assert view["n_labels"] == 20
        assert view["versions"][0]["windows"][0]["realised"]["recall_1"]["n"] == 20
        wait_until(lambda: list(tmp_path.rglob("quality.json")), "they are kept")
    finally:
        stage.deploy()
