"""The peers: MLServer, BentoML and LitServe, with the same pipeline and the same compiled model.

Each is in a virtual environment of its own below `.run/bench`, installed from PyPI when it is first
asked for. They answer with bare probabilities and check no field: less work than the others do.
"""

import json
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.contender import Contender, Dialect, Launch
from benchmarks.errors import Skipped
from benchmarks.place import ROOT, Place, free_port
from benchmarks.question import Rows, encode

VENVS = ROOT / ".run" / "bench"
SHARED = ("onnxruntime", "pandas", "joblib", "uvloop", "httptools")
# From the place, the bundle and the runtime.
Start = Callable[[Place, Path, str], Launch]


def _install(package: str, library: str) -> None:
    """A virtual environment with this package. Raises Skipped with pip's last words."""
    folder = VENVS / library
    done = folder / "installed"
    if done.exists() and done.read_text() == package:
        return
    import sklearn

    venv.create(folder, with_pip=True, clear=True)
    command = [str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
    command += [package, *SHARED, f"scikit-learn=={sklearn.__version__}"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if found.returncode != 0:
        raise Skipped(f"{package} does not install here: {found.stderr.strip().splitlines()[-1:]}")
    done.write_text(package)


def _mlserver(place: Place, bundle: Path, runtime: str) -> Launch:
    folder = place.folder / "models"
    folder.mkdir()
    ports = {"http_port": place.port, "grpc_port": free_port(), "metrics_port": free_port()}
    # In its own process, without a worker behind a queue: that was the faster way here.
    settings = {"host": "127.0.0.1", "debug": False, "parallel_workers": 0, **ports}
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {
        "name": "churn",
        "implementation": "benchmarks.apps.mlserver_runtime.Churn",
        "max_batch_size": 256,
        "max_batch_time": 0.002,
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    command: list[str | Path] = [VENVS / "mlserver/bin/mlserver", "start", folder]
    return Launch(command, _model(bundle, runtime))


def _bentoml(place: Place, bundle: Path, runtime: str) -> Launch:
    command: list[str | Path] = [
        VENVS / "bentoml/bin/bentoml",
        "serve",
        "benchmarks.apps.bento_service:Churn",
    ]
    where = ["--host", "127.0.0.1", "--port", str(place.port), "--working-dir", str(ROOT)]
    return Launch([*command, *where], _model(bundle, runtime) | {"BENTOML_DO_NOT_TRACK": "True"})


def _litserve(place: Place, bundle: Path, runtime: str) -> Launch:
    command: list[str | Path] = [
        VENVS / "litserve/bin/python",
        "-m",
        "benchmarks.apps.lit_api",
        str(place.port),
    ]
    return Launch(command, _model(bundle, runtime))


def _model(bundle: Path, runtime: str) -> dict[str, str]:
    return {"BUNDLE": str(bundle), "RUNTIME": runtime}


def _numbers(rows: Rows) -> list[list[Any]]:
    return [list(row.values()) for row in rows]


def _tensor(rows: Rows) -> bytes:
    numbers = [float(value) for row in rows for value in row.values()]
    tensor = {
        "name": "rows",
        "shape": [len(rows), len(rows[0])],
        "datatype": "FP64",
        "data": numbers,
    }
    return encode({"inputs": [tensor]})


V2 = Dialect(
    lambda _: "/v2/models/churn/infer", _tensor, lambda body: json.loads(body)["outputs"][0]["data"]
)
ROWS = Dialect(lambda _: "/predict", lambda rows: encode({"rows": _numbers(rows)}), json.loads)


def _peers(
    library: str, package: str, title: str, start: Start, dialect: Dialect
) -> tuple[Contender, Contender]:
    """A peer with the pipeline, and the same with the compiled model."""

    def one(runtime: str, name: str, what: str) -> Contender:
        def launch(place: Place, bundle: Path) -> Launch:
            return start(place, bundle, runtime)

        return Contender(
            name, f"{title}, {what}", "peer", launch, dialect, lambda: _install(package, library)
        )

    fitted = one("sklearn", library, "scikit-learn")
    compiled = one("onnx", f"{library}-compiled", "compiled model")
    return fitted, compiled


PEERS: tuple[Contender, ...] = (
    *_peers("mlserver", "mlserver==1.7.1", "MLServer 1.7.1", _mlserver, V2),
    *_peers("bentoml", "bentoml==1.4.39", "BentoML 1.4", _bentoml, ROWS),
    *_peers("litserve", "litserve==0.2.19", "LitServe 0.2", _litserve, ROWS),
)
