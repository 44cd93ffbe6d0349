"""The page of wiring, without Ray: what a server answers reaches the coordinator's end."""

import asyncio
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import client_of, example_rows, table
from keyring import key_of, write_keys
from replica_context import be_a_replica
from toy_runtime import toy, write_toy

from serve_app.bundle.loading import Verified
from serve_app.bundle.runtimes.registry import RUNTIMES
from serve_app.bundle.store import FolderStore
from serve_app.cluster.report import Inbox, Reply, Report
from serve_app.errors import SettingsError
from serve_app.http.edge import door_in_front, put_in_front
from serve_app.models import get_spec
from serve_app.settings import ServerArgs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported

    from serve_app.app import coordinator_parts, server_parts

ROW = example_rows(get_spec("churn"))[0]
pytestmark = pytest.mark.usefixtures("collected")


class Handle:
    """The coordinator's method `report`, called as Ray does."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.reports: list[Report] = []

    async def remote(self, report: Report) -> Reply:
        """Hand it over."""
        self.reports.append(report)
        return self.inbox.receive(report)


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> list[Verified]:
    """What would be opened in a child process, which does not know the toy."""
    found: list[Verified] = []
    monkeypatch.setattr("serve_app.app.prove_first", found.append)
    return found


@pytest.fixture
def args(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proven: list[Verified]
) -> Iterator[ServerArgs]:
    """Arguments of a server whose store has a version; Ray says which application it is of."""
    be_a_replica(monkeypatch, app_name="churn")
    monkeypatch.setitem(RUNTIMES, "toy", toy())
    for name in ("MODEL_PATH", "STATE_PATH", "KEYS_PATH"):
        monkeypatch.delenv(name, raising=False)
    write_toy(FolderStore(tmp_path / "store"))
    yield ServerArgs(model="churn", store=str(tmp_path / "store"), state=str(tmp_path / "state"))
    put_in_front(None)


async def test_an_answer_is_heard_reported_and_answered_by_the_coordinator(
    args: ServerArgs, proven: list[Verified]
) -> None:
    """The rollout is an observer of the router and a part of the report, at both ends."""
    inbox, _ = coordinator_parts(args)
    report = Handle(inbox)
    coordinator: Any = SimpleNamespace(report=report)
    parts = server_parts(args, coordinator)
    assert door_in_front() is parts.app.state.door, "the fast path has the door of this server"
    await parts.versions.start(table())
    assert [found.manifest.version for found in proven] == ["1.0.0"], "not opened here alone"
    async with client_of(parts.app) as client:
        for _ in range(3):
            assert (await client.post("/v1/predict", json=ROW)).status_code == 200
        assert (await client.get("/v1/rollout")).status_code != 404, "its routes are there"
    assert await parts.heartbeat.beat()
    [told] = report.reports
    assert told.parts["rollout"].n_rows == 3
    assert inbox.receive(told).parts.keys() == {"rollout", "rates"}


async def test_a_server_asks_for_the_keys_of_its_file(args: ServerArgs, tmp_path: Path) -> None:
    """And follows the file while it runs; a first one that is broken keeps it from starting."""
    path = write_keys(tmp_path / "keys.yaml")
    keyed = args.model_copy(update={"auth": str(path)})
    coordinator: Any = SimpleNamespace(report=Handle(coordinator_parts(args)[0]))
    parts = server_parts(keyed, coordinator)
    await parts.versions.start(table())
    async with client_of(parts.app) as client:
        assert (await client.post("/v1/predict", json=ROW)).status_code == 401
        headers = {"X-API-Key": key_of("shop")}
        assert (await client.post("/v1/predict", json=ROW, headers=headers)).status_code == 200
        path.write_text("keys: []")
        following = asyncio.create_task(parts.follow_keys_forever())

        async with asyncio.timeout(60):
            while True:
                answer = await client.post("/v1/predict", json=ROW, headers=headers)
                if answer.status_code == 401:
                    break
                await asyncio.sleep(0.05)
        following.cancel()
    path.write_text("keys: 3")
    with pytest.raises(SettingsError, match="expected a mapping with one key"):
        server_parts(keyed, coordinator)


@pytest.mark.parametrize("docs", [True, False])
async def test_the_document_of_the_interface_is_there_before_a_client_asks(
    args: ServerArgs, docs: bool
) -> None:
    """It takes 70 ms to make, in which nobody else is answered; where nobody sees it, it is not."""
    coordinator: Any = SimpleNamespace(report=Handle(coordinator_parts(args)[0]))
    parts = server_parts(args.model_copy(update={"docs": docs}), coordinator)
    await parts.versions.start(table())
    parts.describe()
    assert bool(parts.app.openapi_schema) == docs


async def test_the_rate_of_a_key_is_counted_and_shared_out(
    args: ServerArgs, tmp_path: Path
) -> None:
    """The key comes before the rate, and the rate is a part of the report, at both ends."""
    path = write_keys(tmp_path / "keys.yaml")
    keyed = args.model_copy(update={"auth": str(path)})
    report = Handle(coordinator_parts(args)[0])
    coordinator: Any = SimpleNamespace(report=report)
    parts = server_parts(keyed, coordinator)
    await parts.versions.start(table())
    async with client_of(parts.app, headers={"X-API-Key": key_of("shop")}) as client:
        answer = await client.post("/v1/predict", json=ROW)
    assert answer.status_code == 200
    assert answer.headers["ratelimit-policy"] == '"rows";q=100;w=2'
    assert await parts.heartbeat.beat()
    [told] = report.reports
    assert told.parts["rates"].wants.keys() == {"shop"}
