"""What tests of versions that coalesce share: Ray's batch queue is a part of them."""

import pytest


@pytest.fixture(autouse=True)
def _collected(collected: None) -> None:
    """In all tests of this room."""
