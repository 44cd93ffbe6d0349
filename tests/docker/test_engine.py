"""The image's test itself, with a program in the place of the engine."""

import importlib
import os
import subprocess
from pathlib import Path
from types import ModuleType, SimpleNamespace
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
    """The folder's own date is that of the build; those of the files inside count. What an engine
    without systemd says of health checks does not.
    """
    # Run as if in the container: the last word is bash's.
    says = "echo time=$EPOCHREALTIME level=error >&2"
    made: Any = engine.Engine(program(tmp_path, f'{says}; bash -c "${{@: -1}}"'))
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


@pytest.mark.parametrize(("uid", "user"), [(1_000, "1000:0"), (0, "123456:0")])
def test_what_training_writes_can_be_removed_by_whoever_calls_the_image_test(
    monkeypatch: pytest.MonkeyPatch, engine: ModuleType, uid: int, user: str
) -> None:
    """Root removes every file, and lets an unknown user write them."""
    assert engine.ROOT == ROOT
    checks = importlib.import_module("library_checks")
    monkeypatch.setattr(os, "getuid", lambda: uid)
    called: list[str] = []

    def call(*words: str, timeout_s: float) -> str:
        called.extend(words)
        [mount] = [word for word in words if word.endswith(":/models")]
        bundle = Path(mount.removesuffix(":/models")) / "delivery_time" / "1.2.0"
        bundle.mkdir(parents=True)
        for name in ("manifest.json", "model.onnx", "report.html"):
            (bundle / name).touch()
        return ""

    checks.training(SimpleNamespace(build=lambda target: f"sluice:{target}", call=call))
    users = [called[i + 1] for i, word in enumerate(called) if word == "--user"]
    # Of an option that comes twice engines take the later one.
    assert users[-1] == user
    assert called.index("--user") < called.index("sluice:train"), "an option of the engine's"


def test_what_an_engine_could_not_write_has_no_size(tmp_path: Path, engine: ModuleType) -> None:
    """A failed `save` would count as 0 MB, and be below every mark."""
    made: Any = engine.Engine(program(tmp_path, "echo half; exit 3"))
    with pytest.raises(AssertionError, match="save sluice:serve: exit code 3"):
        made.packed_mb("sluice:serve")
    with pytest.raises(AssertionError, match="exit code 3"):
        made.folder_mb("sluice:serve", "/opt/code")


def test_a_packer_that_is_not_there_packs_nothing(tmp_path: Path, engine: ModuleType) -> None:
    """`wc` alone would say 0 bytes, and no error."""
    made: Any = engine.Engine(program(tmp_path, "true"))
    with pytest.raises(subprocess.CalledProcessError):
        made.packed_mb("sluice:serve", "no-such-packer")


def test_a_folder_that_cannot_be_read_has_no_sum(tmp_path: Path, engine: ModuleType) -> None:
    """Two sums of nothing would be equal."""
    made: Any = engine.Engine(program(tmp_path, 'bash -c "${@: -1}"'))
    (tmp_path / "empty").mkdir()
    with pytest.raises(AssertionError, match="exit code"):
        made.folder_sum("tag", str(tmp_path / "empty"))
