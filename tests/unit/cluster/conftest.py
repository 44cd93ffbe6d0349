"""What tests of versions that coalesce share: Ray's batch queue is a part of them."""

import gc
from collections.abc import AsyncIterator

import pytest


@pytest.fixture(autouse=True)
async def _collected() -> AsyncIterator[None]:
    """Ray's batch queue asks for the event loop when it is collected: within the test, while there
    is one.
    """
    yield
    gc.collect()
