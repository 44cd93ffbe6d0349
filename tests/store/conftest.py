"""An S3 server for the tests of this folder, and trained bundles to put there."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from s3 import BUCKET, ROOT, Gate, running_s3

from serve_app.bundle.store import FolderStore


@pytest.fixture(scope="session")
def server() -> Iterator[Gate]:
    """The S3 server of all tests here."""
    with running_s3() as gate:
        yield gate


@pytest.fixture
def gate(server: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """The server with its gate open, and clients of object stores in this process pointed at it."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MODEL_PATH", raising=False)
    server.asked.clear()
    yield server
    server.way = "pass"


@pytest.fixture
def uri(request: pytest.FixtureRequest) -> str:
    """A place in the bucket that no other test uses."""
    return f"s3://{BUCKET}/{abs(hash(request.node.nodeid))}"


@pytest.fixture(scope="session")
def local() -> FolderStore:
    """The versions that `make models` trained, or the same trained now."""
    store = FolderStore(ROOT / "model_store")
    if "1.0.0" not in store.versions("churn"):
        command = [
            sys.executable,
            "-m",
            "training",
            "churn",
            "--version",
            "1.0.0",
            "--store",
            store.uri,
        ]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return store
