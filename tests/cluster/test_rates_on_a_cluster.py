"""The rate of a key over two server replicas of a real cluster."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from harness import wait_until
from keyring import entry, key_of, write_keys
from stage import LIMITS, in_fast_mode, server

from serve_app.models import get_spec

IS_LONG = bool(os.environ.get("SLUICE_LONG"))
ROW = get_spec("churn").examples[0].row.model_dump()
RATE = 40
BURST = 20
N_ROWS = 5
N_CLIENTS = 4
PAUSE_S = 0.1
SETTLE_S = 10.0 if IS_LONG else 4.0
COUNT_S = 60.0 if IS_LONG else 6.0


@pytest.mark.real_time
@in_fast_mode
def test_two_replicas_together_answer_the_rate_of_a_key(stage: Any, tmp_path: Path) -> None:
    """Clients ask for several times as much. Two buckets that know nothing of each other would
    answer twice the rate, one that forgets its share half of it.
    """
    path = write_keys(
        tmp_path / "keys.yaml", entry("shop", "predict", rows_per_s=RATE, burst_rows=BURST)
    )
    table = {"stable": "1.0.0", "limits": LIMITS}
    rated = server("rated", "/rated", stage.store, table, num_replicas=2)
    rated["args"]["auth"] = str(path)
    url = f"{stage.url}/rated/v1/predict/batch"
    headers = {"X-API-Key": key_of("shop")}
    try:
        stage.deploy(rated)
        stage.until_ready("/rated")
        wait_until(lambda: len(stage.cluster.replicas("rated", "Server")) == 2, "two replicas")
        begin_s = time.monotonic() + SETTLE_S
        end_s = begin_s + COUNT_S

        def ask(_: int) -> int:
            n_answered = 0
            with requests.Session() as session:
                while time.monotonic() < end_s:
                    answer = session.post(url, json=[ROW] * N_ROWS, headers=headers, timeout=300)
                    assert answer.status_code in (200, 429)
                    if answer.status_code == 429:
                        assert answer.json()["code"] == "rate_limited"
                        assert int(answer.headers["Retry-After"]) >= 1
                    assert answer.headers["RateLimit-Policy"] == f'"rows";q={RATE};w=1'
                    if answer.status_code == 200 and begin_s <= time.monotonic() < end_s:
                        n_answered += N_ROWS
                    time.sleep(PAUSE_S)
            return n_answered

        with ThreadPoolExecutor(N_CLIENTS) as pool:
            n_answered = sum(pool.map(ask, range(N_CLIENTS)))
        # A request may leave a debt at either end of the time that is counted.
        slack = 2 * N_ROWS
        assert 0.9 * RATE * COUNT_S - slack <= n_answered <= 1.1 * RATE * COUNT_S + slack
    finally:
        stage.deploy()
