"""A server with a rollout, and clients that go through it while it moves."""

import itertools
import json
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import requests
from faulty import MARK
from harness import wait_until
from stage import isolated, server

from serve_app.bundle.store import FolderStore
from serve_app.models import get_spec

N_REQUESTS = 10_000 if os.environ.get("SLUICE_LONG") else 2_000
N_CLIENTS = 6
ROW = get_spec("churn").examples[1].row.model_dump()
PLAN = {"min_seconds": 1, "min_requests": 100, "bake_seconds": 1}
RAILS = {"slow_ms": 1_000, "max_disagreement_percent": 25}
LIMITS = {
    "candidate_deadline_ms": 1_500,
    "deadline_ms": 5_000,
}  # on a busy machine nothing sound may look late
FOLLOWED_S = 2.0  # by then every server follows what was decided
OVER = ("aborted", "finished", "rolled_back")


class Clients:
    """What `N_CLIENTS` clients saw, each asking one after the other with routing keys of its own."""

    def __init__(self, url: str, marked_share: float, pause_s: float = 0.0) -> None:
        self.statuses: Counter[int | str] = Counter()
        self.versions: defaultdict[str, list[str]] = defaultdict(list)  # by routing key, in order
        self._url, self._marked_share, self._pause_s = url, marked_share, pause_s
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(N_CLIENTS)]

    @property
    def n_requests(self) -> int:
        """How many were answered, or failed."""
        return self.statuses.total()

    def _ask(self, client: int) -> None:
        rng = random.Random(client)
        with requests.Session() as session:
            for n in itertools.count():
                if self._stop.is_set():
                    return
                # Every tenth request is of one of a few keys that come again and again.
                key = f"{client}-{n}" if n % 10 else f"{client}-again-{n // 10 % 20}"
                mark = MARK if rng.random() < self._marked_share else 0.0
                row = ROW | {"monthly_spend_usd": rng.randint(1_000, 90_000) / 100 + mark}
                try:
                    answer = session.post(
                        self._url, json=row, headers={"X-Routing-Key": key}, timeout=15
                    )
                    self.statuses[
                        answer.status_code
                        if answer.ok
                        else f"{answer.status_code} {answer.text[:200]}"
                    ] += 1
                    self.versions[key].append(answer.json().get("model_version", ""))
                except (requests.RequestException, ValueError) as error:
                    self.statuses[repr(error)[:200]] += 1
                time.sleep(self._pause_s)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """For a `with` block."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(30)


class Gate:
    """The application `name` with two server replicas."""

    def __init__(self, stage: Any, name: str, folder: FolderStore, placement: str) -> None:
        self.stage, self.name, self.placement = stage, name, placement
        self._state = str(folder.root / f"state-{name}-{stage.cluster.mode}")
        self._store = folder
        self.url = f"{stage.url}/{name}"

    def applications(self, table: Mapping[str, Any], **options: Any) -> list[dict[str, Any]]:
        """The server and, where the table has one isolated, the candidate with these options."""
        app = server(self.name, f"/{self.name}", self._store, table, num_replicas=2)
        app["args"]["state"] = self._state
        apart = [
            v
            for v, entry in table.get("versions", {}).items()
            if entry.get("placement") == "isolated"
        ]
        options = {"num_replicas": 1} | options
        return [app, *(isolated(version, self._store, **options) for version in apart)]

    def begin(self, candidate: str, apart: Mapping[str, Any] | None = None, **plan: Any) -> None:
        """Deploy a table whose rollout lets this candidate in; `apart`: options of its own application."""
        rails = RAILS | plan.pop("guardrails", {})
        rollout = {"stable": "1.0.0", "candidate": candidate, **PLAN, **plan, "guardrails": rails}
        table: dict[str, Any] = {"rollout": rollout, "limits": dict(LIMITS)}
        if self.placement == "isolated":
            table["versions"] = {candidate: {"placement": "isolated"}}
        self.stage.deploy(*self.applications(table, **(apart or {})), running=False)
        wait_until(
            lambda: self.view().get("candidate") == candidate, 60, f"the rollout of {candidate}"
        )

    def end(self) -> None:
        """Take it away."""
        self.stage.deploy()

    def view(self) -> dict[str, Any]:
        """`GET /v1/rollout`, or the problem."""
        found: dict[str, Any] = requests.get(f"{self.url}/v1/rollout", timeout=10).json()
        return found

    def command(self, action: str) -> requests.Response:
        """`POST /v1/rollout/<action>`."""
        return requests.post(f"{self.url}/v1/rollout/{action}", json={"by": "test"}, timeout=10)

    def until(self, timeout_s: float = 60, **wanted: Any) -> dict[str, Any]:
        """The view once it shows these values."""
        found: dict[str, Any] = wait_until(
            lambda: view if all((view := self.view()).get(k) == v for k, v in wanted.items()) else None,
            timeout_s, f"{self.name}: {wanted}, last {self._brief()}",
        )  # fmt: skip
        return found

    def _brief(self) -> str:
        view = self.view()
        return json.dumps(
            {
                key: view.get(key)
                for key in ("status", "share", "reason", "waits_for", "trouble", "detail")
            }
        )

    def version_of(self, key: str) -> str:
        """Who answers this routing key."""
        headers = {"X-Routing-Key": key}
        answer = requests.post(f"{self.url}/v1/predict", json=ROW, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["model_version"])

    def pids(self, deployment: str, application: str = "") -> list[int]:
        """Of the running replicas."""
        return [
            replica["pid"]
            for replica in self.stage.cluster.replicas(application or self.name, deployment)
        ]

    def kill(self, deployment: str) -> None:
        """One replica, and wait until Ray has another in its place."""
        before = self.pids(deployment)
        kill(before[0])
        wait_until(
            lambda: self._is_replaced(deployment, before), 60, f"another replica of {deployment}"
        )

    def _is_replaced(self, deployment: str, before: list[int]) -> bool:
        now = self.pids(deployment)
        return len(now) == len(before) and before[0] not in now

    def run(
        self, marked_share: float = 0.0, meanwhile: Callable[[], None] = lambda: None
    ) -> tuple[Clients, dict[str, Any]]:
        """Clients until the rollout is over and N_REQUESTS are answered."""
        clients = Clients(f"{self.url}/v1/predict", marked_share)

        def is_over() -> bool:
            meanwhile()
            return self.view().get("status") in OVER

        with clients.asking():
            wait_until(is_over, 120, f"the end of the rollout, last {self._brief()}")
            time.sleep(FOLLOWED_S)
            wait_until(lambda: clients.n_requests >= N_REQUESTS, 120, f"{N_REQUESTS} requests")
        return clients, self.view()


def kill(pid: int) -> None:
    """At once, by id."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def shares(view: Mapping[str, Any]) -> list[Any]:
    """The shares that were entered, in order."""
    return [event["share"] for event in view["events"] if event["kind"] == "entered"]
