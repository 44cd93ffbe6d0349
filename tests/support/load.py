"""Clients under which a test does what it does."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import requests

from serve_app.models import get_spec

ROW = get_spec("churn").examples[0].row.model_dump()
JSON = {"Content-Type": "application/json"}


class Load:
    """Clients that ask one after the other until the end of a `with` block; counts statuses."""

    def __init__(self, url: str | Callable[[], str], n_clients: int, body: Any = ROW) -> None:
        self.statuses: Counter[int | str] = Counter()
        self._body = json.dumps(body)
        self._url = url if callable(url) else lambda: url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(n_clients)]

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                answer = requests.post(self._url(), data=self._body, headers=JSON, timeout=15)
                status: int | str = (
                    answer.status_code if answer.ok else f"{answer.status_code} {answer.text[:200]}"
                )
            except requests.RequestException as error:
                status = repr(error)[:200]
            self.statuses[status] += 1

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def until(self, n: int) -> None:
        """Wait for n more answers."""
        wanted, until_s = self.statuses.total() + n, time.monotonic() + 60
        while self.statuses.total() < wanted and time.monotonic() < until_s:
            time.sleep(0.05)
