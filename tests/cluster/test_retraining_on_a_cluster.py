"""From a world that changes to a version that knows it: what a night of the job does, for real."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from harness import BIN, PATIENCE_S, ROOT, wait_until
from other_world import customers, write_labels
from stage import LIMITS, in_fast_mode, server

from serve_app.bundle.loading import load
from serve_app.bundle.store import FolderStore
from serve_app.commands.exit_codes import ExitCode
from serve_app.models import get_spec

SPEC = get_spec("churn")
N_ROWS = 1_500
N_A_REQUEST = 100


@pytest.fixture
def store_of_its_own(stage: Any, tmp_path: Path) -> FolderStore:
    """A store that has churn 1.0.0 alone, which the job may write."""
    store = FolderStore(tmp_path / "store")
    folder = stage.store.root / "churn" / "1.0.0"
    store.write("churn", "1.0.0", {path.name: path.read_bytes() for path in folder.iterdir()})
    return store


def run(*words: Any) -> tuple[int, str]:
    """A command as a person or a job runs it: its exit code, and all that it says."""
    names = ("MODEL_PATH", "LOG_PATH", "LABELS_PATH", "SLUICE_API_KEY")
    env = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@in_fast_mode
def test_labels_ask_for_a_version_that_is_trained_on_the_log_and_begins_in_shadow(
    stage: Any, store_of_its_own: FolderStore, tmp_path: Path
) -> None:
    """Served, logged, labelled, judged, trained, proven, and let in."""
    store = store_of_its_own
    table = {"stable": "1.0.0", "limits": LIMITS}
    aging = server("aging", "/aging", store, table)
    aging["args"] |= {"state": str(tmp_path / "state"), "log": str(tmp_path / "log")}
    url = f"{stage.url}/aging"
    sluice = BIN / "sluice"
    labels = tmp_path / "labels.csv"
    try:
        stage.deploy(aging)
        stage.until_ready("/aging")
        rows, actual = customers(N_ROWS, 31)
        ids: list[str] = []
        for begin in range(0, N_ROWS, N_A_REQUEST):
            body = rows[begin : begin + N_A_REQUEST]
            answer = requests.post(f"{url}/v1/predict/batch", json=body, timeout=60).json()
            ids += [one["prediction_id"] for one in answer["predictions"]]
        write_labels(labels, ids, actual)

        def n_rows() -> int:
            found = requests.get(f"{url}/v1/drift", timeout=60).json()
            return int(found["versions"]["1.0.0"]["windows"].get("24h", {}).get("n_rows", 0))

        wait_until(lambda: n_rows() == N_ROWS, "all rows are counted")
        monitor = [sluice, "monitor", "churn", "--url", url]
        code, said = run(*monitor)
        assert code == ExitCode.OK, said
        code, said = run(sluice, "label", "churn", labels, "--url", url)
        assert code == ExitCode.OK, said

        def n_labels() -> int:
            found = requests.get(f"{url}/v1/quality", timeout=60)
            return int(found.json().get("n_labels", 0)) if found.status_code == 200 else 0

        wait_until(lambda: n_labels() == N_ROWS, "all labels are counted")
        assert run(*monitor)[0] == ExitCode.OK, "rows of less than a week"
        code, said = run(*monitor, "--least-days", 0)
        assert code == ExitCode.RETRAIN, said
        assert "by labels of the last 7 days" in said

        block = tmp_path / "rollout.yaml"
        job = [sys.executable, "-m", "training", "retrain", "churn", "--if-needed", "--url", url]
        job += ["--least-days", 0]
        job += ["--labels", labels, "--log", tmp_path / "log", "--store", store.uri, "--out", block]
        # The last half second of answers may not be in the log yet.
        wait_until(lambda: _n_logged(tmp_path / "log") == N_ROWS, "all rows are logged")
        code, said = run(*job)
        assert code == ExitCode.OK, said
        assert load(store, SPEC, "1.1.0").manifest.version == "1.1.0"
        code, said = run(*job)
        assert (code, "1.1.0 was made" in said) == (ExitCode.OK, True), said

        aging["deployments"][0]["user_config"] = {
            "limits": LIMITS,
            **yaml.safe_load(block.read_text()),
        }
        stage.deploy(aging)
        stage.until_ready("/aging", lambda state: _is_ready(state, "1.1.0"))

        def share() -> Any:
            return requests.get(f"{url}/v1/rollout", timeout=60).json().get("share")

        wait_until(lambda: share() == "shadow", "the new version scores what stable answers")
        code, said = run(*job)
        assert (code, "the rollout of 1.1.0 is running" in said) == (ExitCode.OK, True), said
    finally:
        stage.deploy()


def _is_ready(state: Any, version: str) -> bool:
    return bool(state["versions"].get(version, {}).get("state") == "ready")


def _n_logged(folder: Path) -> int:
    from serve_app.monitoring.log.place import LogPlace
    from serve_app.monitoring.log.reading import logged

    return sum(len(line) for line in logged(LogPlace(str(folder)), "churn"))
