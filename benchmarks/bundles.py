"""A store with versions of churn that are hard to serve, made once and kept below `.run/bench`."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import joblib
import sklearn
from rich.console import Console

from benchmarks import estimators
from benchmarks.errors import BenchmarkError
from benchmarks.place import ROOT
from serve_app.models.churn import SPEC
from training.compilation.direct import convert
from training.models import churn

STABLE = "1.0.0"
FOREST = "5.0.0"
UNCOMPILED = "6.0.0"
WAITING = "7.0.0"
COMPUTING = "8.0.0"
CONVERTED = "converted.onnx"
TRAINED = ROOT / "model_store" / "churn" / STABLE
N_ROWS = 20_000
N_HOLDOUT = 2_000
PIPELINES: dict[str, Callable[[], Any]] = {
    FOREST: estimators.forest,
    UNCOMPILED: estimators.uncompilable,
    WAITING: lambda: estimators.Slow(churn.pipeline(), computes=False),
    COMPUTING: lambda: estimators.Slow(churn.pipeline(), computes=True),
}


def trained() -> Path:
    """Find the bundle that `make models` trains. Raises BenchmarkError."""
    if not (TRAINED / "manifest.json").exists():
        raise BenchmarkError(f"found no {TRAINED}: make models trains it")
    return TRAINED


@contextmanager
def kept() -> Iterator[Path]:
    """A copy of the trained bundle, so that another training does not change a run under way."""
    with TemporaryDirectory(prefix="slb-store-") as store:
        folder = shutil.copytree(trained(), Path(store) / "churn" / STABLE)
        add_converted(folder)
        yield folder


def add_converted(folder: Path) -> None:
    """Write `converted.onnx` next to a bundle's own graph: the model as the converter makes it.

    The others serve that, as people who have no Sluice do. Our graph wants numbers coded first.
    """
    pipeline = joblib.load(folder / "pipeline.joblib")
    (folder / CONVERTED).write_bytes(convert(pipeline, SPEC))


def hard_store(versions: Iterable[str], console: Console) -> Path:
    """Make the folder `churn` of a store with 1.0.0 and these versions. Raises BenchmarkError."""
    folder = ROOT / ".run" / "bench" / f"store-{sklearn.__version__}" / "churn"
    shutil.rmtree(folder / STABLE, ignore_errors=True)
    shutil.copytree(trained(), folder / STABLE)
    add_converted(folder / STABLE)
    for version in versions:
        if not (folder / version / "manifest.json").exists():
            console.print(f"making churn {version} …")
            _make(version, folder.parent)
            if version == FOREST:
                add_converted(folder / version)
    return folder


def _make(version: str, store: Path) -> None:
    names = list(churn.DIRECTIONS)
    rows = churn.make_rows(N_ROWS, 1)
    holdout = churn.make_rows(N_HOLDOUT, 2)
    with TemporaryDirectory(prefix="slb-fit-") as folder:
        pipeline = Path(folder) / "pipeline.joblib"
        data = Path(folder) / "holdout.csv"
        joblib.dump(PIPELINES[version]().fit(rows[names], rows["churned"]), pipeline)
        holdout[[*names, "churned"]].to_csv(data, index=False)
        command: list[str | Path] = [sys.executable, "-m", "training", "bundle", "churn"]
        command += ["--pipeline", pipeline, "--data", data, "--version", version, "--store", store]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"churn {version} was not bundled: {done.stderr.strip()[-600:]}")
