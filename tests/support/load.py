"""Clients under which a test does what it does."""

import itertools
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import requests
from harness import wait_until

from serve_app.models import get_spec

ROW = get_spec("churn").examples[0].row.model_dump()
JSON = {"Content-Type": "application/json"}


class Load:
    """Clients that ask one after the other, each with routing keys of its own, until the end of a
    `with` block.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        n_clients: int,
        body: Any = ROW,
        pause_s: float = 0.0,
    ) -> None:
        self.statuses: Counter[int | str] = Counter()
        self.versions: defaultdict[str, list[str]] = defaultdict(list)  # by routing key, in order
        self._url = url if callable(url) else lambda: url
        self._body = json.dumps(body)
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(n_clients)]

    def call(self, client: int, n: int) -> tuple[str, str]:
        """The routing key and the body of a client's n-th request."""
        return f"{client}-{n}", self._body

    @property
    def n_requests(self) -> int:
        """How many were answered, or failed."""
        with self._lock:
            return self.statuses.total()

    @property
    def answered_by(self) -> set[str]:
        """Every version that answered."""
        with self._lock:
            return {version for versions in self.versions.values() for version in versions}

    def until(self, n: int) -> None:
        """Wait for n more answers."""
        wanted = self.n_requests + n
        wait_until(lambda: self.n_requests >= wanted, f"{n} more answers")

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, client: int) -> None:
        for n in itertools.count():
            key, body = self.call(client, n)
            status, version = self._answer(key, body)
            with self._lock:
                self.statuses[status] += 1
                self.versions[key].append(version)
            if self._stop.wait(self._pause_s):
                return

    def _answer(self, key: str, body: str) -> tuple[int | str, str]:
        headers = JSON | {"X-Routing-Key": key}
        try:
            answer = requests.post(self._url(), data=body, headers=headers, timeout=60)
        except requests.RequestException as error:
            return repr(error)[:200], ""
        if not answer.ok:
            return f"{answer.status_code} {answer.text[:200]}", ""
        return answer.status_code, answer.headers.get("X-Model-Version", "")
