"""A reader's folder after README, for all tests of the docs that run something."""

import os
from collections.abc import Iterator

import pytest
from clone import Clone, make_clone
from documents import ROOT, blocks_of


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """After everything that README marks with `run`: it has the versions 2.0.0 and 1.1.0 too."""
    clone = make_clone(tmp_path_factory.mktemp("clone"))
    kept = {name: os.environ.pop(name, None) for name in ("MODEL_PATH", "STATE_PATH")}
    for block in blocks_of(ROOT / "README.md"):
        if block.tags == ("run",):
            clone.run(block)
    yield clone
    os.environ.update({name: value for name, value in kept.items() if value is not None})
