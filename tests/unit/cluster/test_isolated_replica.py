"""A replica of an isolated version: one version, reached by a handle, whose settings change in
operation.
"""

import os
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import until
from toy_runtime import toy, write_toy

from serve_app.bundle.loading import Verified
from serve_app.bundle.runtimes.registry import RUNTIMES
from serve_app.bundle.store import FolderStore
from serve_app.contract.block import Layout
from serve_app.models import get_spec
from serve_app.settings import VersionArgs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported
    from ray import serve

    from serve_app.cluster.version import Version

CHURN = get_spec("churn")
VERSION = "9.8.7-replica"


@pytest.fixture
def replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Version:
    """A replica without Ray: it is told who it is, and keeps this process's niceness."""
    context = SimpleNamespace(
        replica_id=SimpleNamespace(unique_id="replica-1"),
        _deployment_config=SimpleNamespace(max_ongoing_requests=1_000),
    )
    monkeypatch.setattr(serve, "get_replica_context", lambda: context)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    monkeypatch.setitem(RUNTIMES, "toy", toy())
    # A child process does not know the toy.
    proven: list[Verified] = []
    monkeypatch.setattr("serve_app.cluster.version.prove_first", proven.append)
    write_toy(FolderStore(tmp_path), VERSION)
    made = Version(VersionArgs(model="churn", version=VERSION, store=str(tmp_path)))
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
