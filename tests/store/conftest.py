"""An S3 server for the tests of this folder."""

import uuid
from collections.abc import Iterator

import pytest
from s3 import running_s3

from benchmarks.chaos.store import BUCKET, StoreProxy


@pytest.fixture(scope="session")
def server() -> Iterator[StoreProxy]:
    """The S3 server of all tests here."""
    with running_s3() as proxy:
        yield proxy


@pytest.fixture
def proxy(server: StoreProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreProxy]:
    """The server behind a proxy that lets all pass, and clients of object stores in this process
    pointed at it.
    """
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MODEL_PATH", raising=False)
    server.asked.clear()
    yield server
    server.way = "pass"


@pytest.fixture
def uri() -> str:
    """A place in the bucket that no other test uses."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"
