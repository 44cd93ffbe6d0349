"""Hostile requests over real HTTP, through Ray's own proxy and through HAProxy.

No 5xx, no echo, and the next request is served.
"""

import itertools
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from hostile import hostile_requests
from hostile_request import Hostile, good_row
from keyring import entry, key_of, write_keys
from raw_requests import asked_over_tcp
from resident import resident_mb
from stage import LIMITS, in_fast_mode, server

from serve_app.models import get_spec

SPEC = get_spec("churn")
IS_LONG = bool(os.environ.get("SLUICE_LONG"))
N_CLIENTS = 4
N_LONG = 100_000
# A replica that has served for a while may hold so much more, and no more with each request.
MAX_GROWTH_MB = 30
# What a proxy refuses before our code sees it.
OF_PROXIES = (400, 404, 405, 408, 411, 413, 414, 431)
# A connection that ends without a word, where a length is a lie or a body is long.
ENDED = 0
KB = 1024
# The table of the stage has no rollout, so whoever asks for it is told that there is none.
NO_ROLLOUT = (404,)


def faults_of(stage: Any, hostile: Iterable[Hostile]) -> list[str]:
    """What is wrong with the answers; nothing, one hopes."""
    url = urlsplit(stage.url)

    def ask(request: Hostile) -> str:
        answer = asked_over_tcp(str(url.hostname), int(url.port or 80), request)
        may_end = b"content-length" in dict(request.headers) or len(request.body) > 64 * KB
        return answer.fault(request, (*OF_PROXIES, *NO_ROLLOUT, *([ENDED] if may_end else [])))

    with ThreadPoolExecutor(N_CLIENTS) as pool:
        return [fault for fault in pool.map(ask, hostile) if fault]


@in_fast_mode
def test_where_keys_are_asked_for_a_stranger_gets_no_more(stage: Any, tmp_path: Path) -> None:
    """A 401 is an answer as well: no 5xx, no echo."""
    path = write_keys(tmp_path / "keys.yaml", entry("ops", "admin"))
    keyed = server("keyed", "/keyed", stage.store, {"stable": "1.0.0", "limits": LIMITS})
    keyed["args"]["auth"] = str(path)
    try:
        stage.deploy(keyed)
        stage.until_ready("/keyed")
        hostile = [
            replace(
                request,
                target="/keyed" + request.target,
                statuses=(*request.statuses, 401),
                headers=((b"x-api-key", key_of("nobody").encode()), *request.headers),
            )
            for request in hostile_requests(SPEC)
            if not request.in_rows and request.target.startswith("/")
        ]
        assert faults_of(stage, hostile) == []
    finally:
        stage.deploy()


def test_hostile_requests_get_a_4xx_and_the_next_one_is_served(stage: Any) -> None:
    """Each on a connection of its own, with the bytes as they are; of hostile cells every tenth,
    since a proxy does not look into rows.
    """
    hostile = hostile_requests(SPEC)
    in_rows = [request for request in hostile if request.in_rows]
    others = [request for request in hostile if not request.in_rows]
    pids = [replica["pid"] for replica in stage.cluster.replicas("churn", "Server")]
    assert faults_of(stage, [*others, *in_rows[::10]]) == []
    answer = requests.post(f"{stage.url}/v1/predict", json=good_row(SPEC), timeout=60)
    assert answer.status_code == 200
    assert [replica["pid"] for replica in stage.cluster.replicas("churn", "Server")] == pids
    if IS_LONG:
        before_mb = [resident_mb(pid) for pid in pids]
        assert faults_of(stage, itertools.islice(itertools.cycle(hostile), N_LONG)) == []
        after_mb = [resident_mb(pid) for pid in pids]
        growth_mb = [after - before for before, after in zip(before_mb, after_mb, strict=True)]
        assert max(growth_mb) < MAX_GROWTH_MB, (before_mb, after_mb)
