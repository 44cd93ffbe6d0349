"""A short soak over real HTTP: a server that has warmed up grows no more with what it answers.

An hour of it is `python -m benchmarks.chaos --fault nothing --seconds 3600`.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from load import ROW
from resident import resident_mb

# As many as a quiet machine answers in some seconds, or in a minute.
N_REQUESTS = 40_000 if os.environ.get("SLUICE_LONG") else 2_000
N_CLIENTS = 4
ROWS_OF_A_BATCH = 20
# A replica that has warmed up may hold so much more, and no more with each request.
MAX_GROWTH_MB = 30


def ask(url: str, n_requests: int) -> set[int]:
    """Single rows and batches, by some keys; the statuses of the answers."""

    def of_one_client(client: int) -> set[int]:
        statuses = set()
        with requests.Session() as session:
            session.headers["X-Routing-Key"] = f"key-{client}"
            for i in range(n_requests // N_CLIENTS):
                many = i % 10 == 0
                path = "/v1/predict/batch" if many else "/v1/predict"
                body: Any = [ROW] * ROWS_OF_A_BATCH if many else ROW
                statuses.add(session.post(url + path, json=body, timeout=60).status_code)
        return statuses

    with ThreadPoolExecutor(N_CLIENTS) as pool:
        return set().union(*pool.map(of_one_client, range(N_CLIENTS)))


def test_a_server_that_has_warmed_up_grows_no_more(stage: Any) -> None:
    """In both modes; each request is answered."""
    assert ask(stage.url, N_REQUESTS // 4) == {200}
    pids = [replica["pid"] for replica in stage.cluster.replicas("churn", "Server")]
    before_mb = [resident_mb(pid) for pid in pids]
    assert ask(stage.url, N_REQUESTS) == {200}
    after_mb = [resident_mb(pid) for pid in pids]
    growth_mb = [after - before for before, after in zip(before_mb, after_mb, strict=True)]
    assert max(growth_mb) < MAX_GROWTH_MB, (before_mb, after_mb)
