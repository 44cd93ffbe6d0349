"""FastAPI under uvicorn: as the tutorials do it, and as the limit of the Python stack."""

import os
import sys
from pathlib import Path

from benchmarks.contender import SLUICE, Contender, Launch
from benchmarks.place import Place


def uvicorn(app: str, place: Place, bundle: Path, n_workers: int) -> Launch:
    """Start uvicorn, which takes uvloop and httptools by itself where they are installed."""
    command = [sys.executable, "-m", "uvicorn", app, "--workers", str(n_workers)]
    command += ["--host", "127.0.0.1", "--port", str(place.port), "--no-access-log"]
    return Launch(command, {"BUNDLE": str(bundle)})


def _tutorial(place: Place, bundle: Path) -> Launch:
    return uvicorn("benchmarks.apps.tutorial:app", place, bundle, n_workers=1)


def _compiled(place: Place, bundle: Path) -> Launch:
    return uvicorn(
        "benchmarks.apps.compiled:app", place, bundle, n_workers=len(os.sched_getaffinity(0))
    )


TUTORIAL = Contender(
    "fastapi-tutorial", "FastAPI as the tutorials do it", "fastapi", _tutorial, SLUICE
)
COMPILED = Contender(
    "fastapi-compiled", "FastAPI + compiled model, a worker a core", "fastapi", _compiled, SLUICE
)
