"""What all unit tests share: the routes of each registered model over a fake backend.

They need no Ray, no trained model and no network: a test that reaches for one fails.
"""

import gc
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import Api, serving

from serve_app.contract import ModelSpec
from serve_app.models import MODELS, get_spec

MODEL_STORE = str(Path(__file__).parents[2] / "model_store")
READS = ("open", "os.listdir", "os.scandir")
# A test may talk to a server of its own; asyncio connects sockets without an address.
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _Watch:
    """Python tells an audit hook of every connection, process and file.

    A hook cannot be taken away again, so it is switched on and off.
    """

    is_on = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        if event == "socket.connect" and str(args[1][0]) not in LOOPBACK:
            raise AssertionError(f"a unit test needs no network, found a connection to {args[1]}")
        if event == "subprocess.Popen" and "gcs_server" in str(args[1]):
            raise AssertionError("a unit test needs no Ray, found one that starts")
        if event == "subprocess.Popen" and MODEL_STORE in str(args[1]):
            raise AssertionError("a unit test needs no trained model, found a process with one")
        if event in READS and is_in_store(args[0]):
            raise AssertionError(f"a unit test needs no trained model, found {args[0]} opened")


def is_in_store(path: Any) -> bool:
    """Whether a path, from wherever it starts, leads into the project's store."""
    if not isinstance(path, str | bytes | os.PathLike):
        # A file that is open already has a number only.
        return False
    try:
        # Not pathlib: this runs for each file that is opened.
        whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
    except FileNotFoundError:
        # The working directory is gone, so nothing can be opened from it.
        return False
    return whole.startswith(MODEL_STORE)


_watch = _Watch()
sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """No network, no Ray and no trained model while a unit test runs."""
    _watch.is_on = True
    yield
    _watch.is_on = False


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """A replica sends our lines where Ray's go; afterwards pytest sees them again."""
    ours = logging.getLogger("serve_app")
    handlers = ours.handlers
    propagate = ours.propagate
    level = ours.level
    yield
    ours.handlers = handlers
    ours.propagate = propagate
    ours.setLevel(level)


@pytest.fixture
async def collected() -> AsyncIterator[None]:
    """Ray's batch queue asks for the event loop when it is collected: within the test, while there
    is one.
    """
    yield
    gc.collect()


@pytest.fixture(params=MODELS)
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    """Each registered model."""
    return get_spec(request.param)


@pytest.fixture
async def api(spec: ModelSpec) -> AsyncIterator[Api]:
    """The routes of each registered model."""
    async with serving(spec) as found:
        yield found


@pytest.fixture
async def churn_api() -> AsyncIterator[Api]:
    """The routes of one model, for what does not depend on the model."""
    async with serving(get_spec("churn")) as found:
        yield found
