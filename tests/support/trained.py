"""The versions that `make models` trains, for every test that wants a real bundle."""

import subprocess
import sys
from pathlib import Path

from serve_app.bundle.store import FolderStore

ROOT = Path(__file__).parents[2]
MODELS = ("churn", "delivery_time")


def trained_store() -> FolderStore:
    """The repository's own store, with 1.0.0 of both models trained now where it is missing."""
    store = FolderStore(ROOT / "model_store")
    for model in MODELS:
        if "1.0.0" not in store.versions(model):
            words = [model, "--version", "1.0.0", "--store", store.uri]
            command = [sys.executable, "-m", "training", *words]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return store
