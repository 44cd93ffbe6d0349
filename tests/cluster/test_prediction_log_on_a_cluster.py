"""The prediction log of real replicas: two that answer, one that is killed, and one update."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import requests
from harness import wait_until
from stage import LIMITS, in_fast_mode, server

from serve_app.models import get_spec
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.reading import logged, rows_of

SPEC = get_spec("churn")
ROW = SPEC.examples[0].row.model_dump(mode="json")


def ids_of(place: LogPlace) -> list[str]:
    """All ids that are in the log now."""
    return [name for line in logged(place, "churn") for name in line.ids]


@pytest.mark.real_time
@in_fast_mode
def test_the_log_has_the_answers_of_all_replicas_after_a_kill_and_after_an_end(
    stage: Any, tmp_path: Path
) -> None:
    """What was written before a kill stays; what a replica has when it is ended is written."""
    table = {"stable": "1.0.0", "limits": LIMITS, "log": {"leave_out": ["nps_score"]}}
    keeping = server("keeping", "/keeping", stage.store, table, num_replicas=2)
    keeping["args"]["log"] = str(tmp_path / "log")
    place = LogPlace(str(tmp_path / "log"))
    url = f"{stage.url}/keeping/v1/predict"

    def ask(n: int) -> list[str]:
        ids = []
        for _ in range(n):
            # Connections of their own, so that both replicas are asked.
            answer = requests.post(url, json=ROW, timeout=60)
            assert answer.status_code == 200, answer.text
            ids.append(answer.json()["prediction_id"])
        return ids

    try:
        stage.deploy(keeping)
        stage.until_ready("/keeping")
        wait_until(lambda: len(stage.cluster.replicas("keeping", "Server")) == 2, "two replicas")
        asked = ask(40)
        wait_until(lambda: set(ids_of(place)) >= set(asked), "all answers in the log")
        row = {name: value for name, value in ROW.items() if name != "nps_score"}
        lines = list(logged(place, "churn"))
        assert all(found == row for line in lines for found in rows_of(line, SPEC.contract))
        killed = stage.cluster.replicas("keeping", "Server")[0]
        os.kill(killed["pid"], signal.SIGKILL)
        assert set(ids_of(place)) >= set(asked)
        stage.until_ready("/keeping")
        wait_until(lambda: len(stage.cluster.replicas("keeping", "Server")) == 2, "two again")
        asked += ask(20)
    finally:
        stage.deploy()
    wait_until(lambda: set(ids_of(place)) >= set(asked), "what was answered last")
    assert len(ids_of(place)) == len(set(ids_of(place)))
