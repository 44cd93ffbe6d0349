"""A replica of an isolated version: one version, reached by a handle, whose settings change in
operation.
"""

import asyncio
import os
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import until
from replica_context import be_a_replica
from toy_runtime import toy, write_toy

from serve_app.bundle.loading import Verified
from serve_app.bundle.predictor import Cost
from serve_app.bundle.runtimes.registry import RUNTIMES
from serve_app.bundle.store import FolderStore
from serve_app.contract.block import Block, Layout
from serve_app.models import get_spec
from serve_app.settings import Batch, VersionArgs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported
    from ray import serve

    from serve_app.app import opened_version
    from serve_app.cluster.placements import IsolatedApplication
    from serve_app.cluster.version import Version

CHURN = get_spec("churn")
VERSION = "9.8.7-replica"


@pytest.fixture
def replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Version:
    """A replica without Ray: it is told who it is, and keeps this process's niceness."""
    be_a_replica(monkeypatch, replica_id=SimpleNamespace(unique_id="replica-1"))
    monkeypatch.setattr(os, "nice", lambda _: 0)
    monkeypatch.setitem(RUNTIMES, "toy", toy())
    # A child process does not know the toy.
    proven: list[Verified] = []
    monkeypatch.setattr("serve_app.app.prove_first", proven.append)
    write_toy(FolderStore(tmp_path), VERSION)
    made = Version(opened_version, VersionArgs(model="churn", version=VERSION, store=str(tmp_path)))
    assert [found.manifest.version for found in proven] == [VERSION], "not opened here alone"
    return made


def threads() -> int:
    """How many threads of the version live."""
    return sum(thread.name.startswith(VERSION) for thread in threading.enumerate())


def test_an_isolated_version_has_nothing_to_answer_http_with(replica: Version) -> None:
    """In the fast mode its replicas have HTTP ports that no door guards: Ray finds nothing there
    that it could call.
    """
    assert not callable(replica)
    assert not hasattr(replica, "__serve_build_asgi_app__")


async def test_new_settings_close_what_they_replace(replica: Version) -> None:
    """Each change of `user_config` would leave a thread and a batch queue behind."""
    block = Layout(CHURN.contract).block([CHURN.examples[0].row.model_dump()])
    for max_rows in (8, 16, 32):
        await replica.reconfigure({"coalesce": "always", "batch": {"max_rows": max_rows}})
        name, scores = await replica.score(block)
        assert name == "replica-1"
        assert len(scores) == 1
    await until(lambda: threads() == 1, 30)
    await replica.reconfigure({})
    await until(lambda: threads() == 0, 30)


async def test_a_server_knows_by_what_a_replica_costs_how_long_its_rows_would_wait(
    replica: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica alone has proven the bundle; without its cost no queue would be too long until
    calls had taken too long.
    """
    cost = Cost(call_ms=10.0, row_ms=10.0)
    described = await replica.describe()
    assert described["cost"].call_ms > 0

    async def describe() -> Any:
        return described | {"cost": cost}

    under_way: list[asyncio.Future[Any]] = []

    def score(_: Block) -> "asyncio.Future[Any]":
        under_way.append(asyncio.get_running_loop().create_future())
        return under_way[-1]

    handle = SimpleNamespace(
        describe=SimpleNamespace(remote=describe), score=SimpleNamespace(remote=score)
    )
    monkeypatch.setattr(serve, "get_app_handle", lambda name: handle)
    application = IsolatedApplication(lambda: 60.0, "churn-1.1.0")
    found = await application.describe()
    assert found.cost == cost
    version = application.scorer(Batch(max_rows=64))
    block = Layout(CHURN.contract).block([CHURN.examples[0].row.model_dump()] * 10)
    tasks = []
    for waits_s in (0.0, 0.0, 0.0, 0.1):
        assert version.wait_s(1) == pytest.approx(waits_s)
        tasks.append(asyncio.ensure_future(version.score(block, 60.0)))
        await asyncio.sleep(0.01)
    assert len(under_way) == 2
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
