"""What the tests of the commands share that need a real bundle."""

import pytest
from trained import trained_store

from serve_app.bundle.store import FolderStore


@pytest.fixture(scope="session", name="trained_store")
def _trained_store() -> FolderStore:
    """The versions that `make models` trained; tests read them only."""
    return trained_store()
