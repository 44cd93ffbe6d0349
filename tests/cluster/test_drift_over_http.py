"""Drift on a real cluster: two servers count, the coordinator sums, and a new one goes on."""

from pathlib import Path
from typing import Any

import requests
from harness import wait_until
from stage import LIMITS, in_fast_mode, server
from typer.testing import CliRunner

from serve_app.commands.main import app
from serve_app.models import get_spec

ROW = get_spec("churn").examples[0].row.model_dump()
N_REQUESTS = 40
N_ROWS = 10


@in_fast_mode
def test_rows_of_all_servers_are_counted_once_and_named_when_they_differ(
    stage: Any, tmp_path: Path
) -> None:
    """The same row again and again is not what training had; a report names it too."""
    table = {"stable": "1.0.0", "limits": LIMITS}
    drifting = server("drifting", "/drifting", stage.store, table, num_replicas=2)
    # Its own: what an earlier run counted within the hour would be in the window too.
    drifting["args"]["state"] = str(tmp_path / "state")
    url = f"{stage.url}/drifting/v1"
    try:
        stage.deploy(drifting)
        stage.until_ready("/drifting")
        for _ in range(N_REQUESTS):
            answer = requests.post(f"{url}/predict/batch", json=[ROW] * N_ROWS, timeout=60)
            assert answer.status_code == 200

        def hour() -> dict[str, Any]:
            found = requests.get(f"{url}/drift", timeout=60)
            assert found.status_code == 200, found.text
            windows = found.json()["versions"]["1.0.0"]["windows"]
            return dict(windows.get("1h", {}))

        wait_until(lambda: hour().get("n_rows") == N_REQUESTS * N_ROWS, "all rows, once")
        assert hour()["n_drifting"] > 0
        assert hour()["worst"]
        page = tmp_path / "page.html"
        words = ["report", "churn", "--url", f"{stage.url}/drifting", "--out", str(page)]
        reported = CliRunner().invoke(app, words)
        assert reported.exit_code == 0, reported.output
        assert " has drifted</figcaption>" in page.read_text()
    finally:
        stage.deploy()
