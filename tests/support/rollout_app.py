"""A server with a rollout, and clients that go through it while it moves."""

import itertools
import json
import os
import random
import signal
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from faulty import MARK
from harness import wait_until
from load import Load
from stage import LIMITS, isolated, server

from serve_app.bundle.store import FolderStore
from serve_app.models import get_spec
from serve_app.settings import Rollout

# The statistics are proven without Ray; here a few requests show that all parts work together.
IS_LONG = bool(os.environ.get("SLUICE_LONG"))
N_REQUESTS = 10_000 if IS_LONG else 200
PAUSE_S = 0.0 if IS_LONG else 0.1
N_CLIENTS = 6
ROW = get_spec("churn").examples[1].row.model_dump()
PLAN = {"min_seconds": 1, "min_requests": 100 if IS_LONG else 20, "bake_seconds": 1}
RAILS = {"slow_ms": 5_000, "max_disagreement_percent": 25}
OVER = ("aborted", "finished", "rolled_back")


class RolloutLoad(Load):
    """Clients whose rows differ; a share of them is marked, which a faulty version fails on."""

    def __init__(
        self,
        url: str | Callable[[], str],
        marked_share: float = 0.0,
        pause_s: float = PAUSE_S,
    ) -> None:
        super().__init__(url, N_CLIENTS, pause_s=pause_s)
        self._marked_share = marked_share
        self._random = [random.Random(client) for client in range(N_CLIENTS)]

    def call(self, client: int, n: int) -> tuple[str, str]:
        """Every third request is of one of a few keys that come again and again."""
        key = f"{client}-{n}" if n % 3 else f"{client}-again-{n // 3 % 4}"
        rng = self._random[client]
        mark = MARK if rng.random() < self._marked_share else 0.0
        return key, json.dumps(ROW | {"monthly_spend_usd": rng.randint(1_000, 90_000) / 100 + mark})


class RolloutApp:
    """The application `name` with two server replicas, whose tables let a candidate in."""

    def __init__(
        self,
        stage: Any,
        name: str,
        store: FolderStore,
        placement: str,
        log: Path | None = None,
    ) -> None:
        self.stage = stage
        self.placement = placement
        self.name = name
        self.url = f"{stage.url}/{name}"
        self._store = store
        self._log = log
        self._state = str(store.root / f"state-{name}-{uuid.uuid4().hex}")
        self._number = itertools.count()

    def begin(
        self,
        candidate: str,
        options: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] = LIMITS,
        **plan: Any,
    ) -> None:
        """Deploy a table with a new rollout of this candidate.

        `options` are those of the candidate's own application, where it is isolated; `limits` are
        those of the table.
        """
        # The log knows what it has seen: a plan that differs from all before is a new rollout.
        rails = {"alpha": 0.01 + next(self._number) / 1e6} | RAILS | plan.pop("guardrails", {})
        rollout = {"stable": "1.0.0", "candidate": candidate, **PLAN, **plan, "guardrails": rails}
        self._deployed = candidate, options, limits, rollout
        self.deploy_again()

    def deploy_again(self) -> None:
        """Deploy the same file as last time."""
        candidate, options, limits, rollout = self._deployed
        expected = Rollout.model_validate(rollout).id
        table: dict[str, Any] = {"rollout": rollout, "limits": dict(limits)}
        more = []
        if self.placement == "isolated":
            table["versions"] = {candidate: {"placement": "isolated"}}
            more.append(
                isolated(candidate, self._store, **{"num_replicas": 1} | dict(options or {}))
            )
        app = server(self.name, f"/{self.name}", self._store, table, num_replicas=2)
        app["args"]["state"] = self._state
        if self._log is not None:
            app["args"]["log"] = str(self._log)
        self.stage.deploy(app, *more, running=False)
        wait_until(lambda: self.view().get("rollout") == expected, f"the rollout {expected}")

    def end(self) -> None:
        """Take it away."""
        self.stage.deploy()

    def logged(self) -> list[str]:
        """The kinds of the events in the log of the rollout, as its files lie there."""
        folder = Path(self._state, "churn", self.name, self.view()["rollout"])
        files = sorted(folder.glob("*.json"))
        return [str(json.loads(path.read_text())["kind"]) for path in files]

    def view(self) -> dict[str, Any]:
        """`GET /v1/rollout`, or the problem."""
        found: dict[str, Any] = requests.get(f"{self.url}/v1/rollout", timeout=30).json()
        return found

    def command(self, action: str) -> requests.Response:
        """`POST /v1/rollout/<action>`."""
        return requests.post(f"{self.url}/v1/rollout/{action}", json={"by": "test"}, timeout=30)

    def until(self, **wanted: Any) -> dict[str, Any]:
        """The view once it shows these values."""

        def view() -> dict[str, Any] | None:
            found = self.view()
            return found if all(found.get(key) == value for key, value in wanted.items()) else None

        found: dict[str, Any] = wait_until(view, f"{self.name}: {wanted}")
        return found

    def version_of(self, key: str) -> str:
        """Who answers this routing key."""
        headers = {"X-Routing-Key": key}
        answer = requests.post(f"{self.url}/v1/predict", json=ROW, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["model_version"])

    def until_followed(self, keys: Sequence[str]) -> dict[str, str]:
        """Wait until both servers give the candidate its share: keys get the same version twice."""

        def settled() -> dict[str, str] | None:
            first = {key: self.version_of(key) for key in keys}
            # Backwards, since requests go to the two servers in turn: each key meets the other one.
            again = {key: self.version_of(key) for key in reversed(keys)}
            return first if first == again and len(set(first.values())) == 2 else None

        found: dict[str, str] = wait_until(settled, "both servers follow")
        return found

    def versions_of(self, n_keys: int) -> set[str]:
        """All who answer these many keys."""
        return {self.version_of(f"key-{n}") for n in range(n_keys)}

    def pids(self, deployment: str, application: str = "") -> list[int]:
        """Of the running replicas."""
        replicas = self.stage.cluster.replicas(application or self.name, deployment)
        return [replica["pid"] for replica in replicas]

    def processes_of(self, deployment: str, application: str) -> list[int]:
        """Of the replicas that run or start, as soon as Ray has given them a process."""
        title = f"ray::ServeReplica:{application}:{deployment}"
        running = self.stage.cluster.processes()
        return [pid for pid, command in running.items() if command.startswith(title)]

    def kill(self, deployment: str) -> None:
        """Kill one replica, and wait until Ray has another in its place."""
        before = self.pids(deployment)
        kill(before[0])

        def is_replaced() -> bool:
            now = self.pids(deployment)
            return len(now) == len(before) and before[0] not in now

        wait_until(is_replaced, f"another replica of {deployment}")

    def run(
        self,
        marked_share: float = 0.0,
        meanwhile: Callable[[], None] = lambda: None,
        over: Sequence[str] = OVER,
    ) -> tuple[Load, dict[str, Any]]:
        """Clients until the rollout is `over` and N_REQUESTS are answered; what they saw, and the
        view.
        """

        def is_over() -> bool:
            meanwhile()
            return self.view().get("status") in over

        with RolloutLoad(f"{self.url}/v1/predict", marked_share) as load:
            wait_until(is_over, "the end of the rollout")
            load.until(N_CLIENTS)
            wait_until(lambda: load.n_requests >= N_REQUESTS, f"{N_REQUESTS} requests")
        return load, self.view()


def kill(pid: int) -> None:
    """At once, by id."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def shares(view: Mapping[str, Any]) -> list[Any]:
    """The shares that were entered, in order."""
    return [event["share"] for event in view["events"] if event["kind"] == "entered"]
