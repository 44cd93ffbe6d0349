"""The image's test itself, with a program in the place of the engine."""

import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of docker/ that calls an engine."""
    monkeypatch.syspath_prepend(ROOT / "docker")
    return importlib.import_module("engine")


def program(folder: Path, text: str) -> str:
    """A program that is called as an engine."""
    path = folder / "engine"
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_the_sum_of_a_folder_is_that_of_what_is_inside(tmp_path: Path, engine: ModuleType) -> None:
    """The folder's own date is that of the build; those of the files inside count."""
    # Run as if in the container: the last word is bash's.
    made: Any = engine.Engine(program(tmp_path, 'bash -c "${@: -1}"'))
    folder = tmp_path / "opt" / "sluice"
    (folder / "lib").mkdir(parents=True)
    for name in ("lib/a.py", ".hidden"):
        (folder / name).write_text("x = 1\n")
        os.utime(folder / name, (1_000, 1_000))
    os.utime(folder / "lib", (1_000, 1_000))
    sums = []
    for date_s in (2_000, 3_000):
        os.utime(folder, (date_s, date_s))
        sums.append(made.folder_sum("tag", str(folder)))
    assert sums[0] == sums[1]
    assert made.folder_mb("tag", str(folder)) > 0
    for name in ("lib/a.py", ".hidden"):
        os.utime(folder / name, (2_000, 2_000))
        sums.append(made.folder_sum("tag", str(folder)))
    assert len(set(sums)) == 3
