"""API keys on a real cluster: asked for through the proxy, followed while it serves, and paths that
mean another one.
"""

import http.client
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from harness import wait_until
from keyring import entry, key_of, write_keys
from stage import LIMITS, in_fast_mode, server

from serve_app.models import get_spec

ROW = get_spec("churn").examples[0].row.model_dump()


def status_of(url: str, id_: str | None, path: str = "/v1/predict", **headers: str) -> int:
    """What a request with the key of this id is told."""
    if id_ is not None:
        headers["X-API-Key"] = key_of(id_)
    if path.endswith("predict"):
        return requests.post(url + path, json=ROW, headers=headers, timeout=300).status_code
    return requests.get(url + path, headers=headers, timeout=300).status_code


@in_fast_mode
def test_a_server_asks_for_keys_and_follows_their_file(stage: Any, tmp_path: Path) -> None:
    """In front of Ray (predictions) and behind it (all else) alike, without a new process."""
    path = write_keys(tmp_path / "keys.yaml", entry("shop", "predict"), entry("ops", "admin"))
    keyed = server("keyed", "/keyed", stage.store, {"stable": "1.0.0", "limits": LIMITS})
    keyed["args"]["auth"] = str(path)
    url = f"{stage.url}/keyed"
    try:
        stage.deploy(keyed)
        stage.until_ready("/keyed")
        for id_, expected in ((None, 401), ("nobody", 401), ("shop", 200), ("ops", 200)):
            assert status_of(url, id_) == expected
        headers = {"X-Model-Version": "1.0.0"}
        assert status_of(url, "shop", **headers) == 403
        assert status_of(url, "ops", **headers) == 200
        for id_, expected in ((None, 401), ("shop", 403), ("ops", 404)):
            # No rollout stands in the table, which an admin is told.
            assert status_of(url, id_, "/v1/rollout") == expected
        write_keys(path, entry("next", "predict"), entry("ops", "admin"))
        wait_until(lambda: status_of(url, "shop") == 401, "the revoked key is refused")
        assert status_of(url, "next") == 200
        path.write_text("keys: 3")
        stage.until_ready("/keyed", lambda state: state["keys_error"])
        assert status_of(url, "next") == 200
    finally:
        stage.deploy()


@pytest.mark.parametrize("path", ["/v1/%72ollout/abort", "/v1/%70redict", "/hea%6Cth"])
def test_a_path_that_means_another_one_is_refused(stage: Any, path: str) -> None:
    """In both modes, as it comes through the proxy."""
    place = urlsplit(stage.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=300)
    try:
        # The client of the other tests would decode it.
        connection.request("POST", path, b"{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 400
        assert b"bad_path" in answer.read()
    finally:
        connection.close()
