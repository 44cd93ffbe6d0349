"""The versions that `make models` trained, for every test that needs a real one."""

import subprocess
import sys

from harness import ROOT, one_at_a_time

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
