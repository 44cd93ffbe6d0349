"""The versions that `make models` trained, for every test that needs a real one; and what their
pipelines say.
"""

import io
import subprocess
import sys
from typing import Any

import joblib
import pandas as pd
from harness import ROOT, one_at_a_time

from serve_app.bundle.manifest import PIPELINE
from serve_app.bundle.store import FolderStore

MODELS = ("churn", "delivery_time")
VERSION = "1.0.0"


def trained_store() -> FolderStore:
    """The project's own store; a version that is missing there is trained now, by one process for
    all.
    """
    store = FolderStore(ROOT / "model_store")
    with one_at_a_time():
        for model in MODELS:
            if VERSION not in store.versions(model):
                command = [sys.executable, "-m", "training", model]
                command += ["--version", VERSION, "--store", store.uri]
                subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return store


def unseen_rows(training: Any, spec: Any, n_rows: int) -> list[dict[str, Any]]:
    """Rows of the recipe that no training saw."""
    names = [feature.name for feature in spec.contract]
    rows: list[dict[str, Any]] = training.make_rows(n_rows, 7_654_321)[names].to_dict("records")
    return rows


def pipeline_answers(store: Any, spec: Any, rows: list[dict[str, Any]]) -> Any:
    """What the fitted pipeline itself says: (n_rows,) probabilities, or values of a regressor."""
    pipeline = joblib.load(io.BytesIO(store.read(spec.name, VERSION, PIPELINE)))
    data = pd.DataFrame(rows)
    if spec.kind == "binary_classifier":
        return pipeline.predict_proba(data)[:, 1]
    return pipeline.predict(data)
