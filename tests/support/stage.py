"""The applications and bundles that the cluster tests work on."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import joblib
import pytest
from faulty import Fault, Faulty
from probe import Probe

from serve_app.bundle.manifest import COMPILED, MANIFEST, PIPELINE, sha256_of
from serve_app.bundle.store import FolderStore

GOOD = "1.1.0"
EXPENSIVE = "2.0.0"
ISOLATED = "3.0.0"
SLOW = "6.0.0"
CANDIDATES = {"1.0.0": {}, GOOD: {"coalesce": "always"}, SLOW: {"coalesce": "never"}}
FAULTS: dict[Fault, str] = {"raises": "8.0.1", "slow": "8.0.2", "nan": "8.0.3", "flips": "8.0.4"}
MISSING = "9.0.1"
CORRUPT = "9.0.2"
OTHER_CONTRACT = "9.0.3"
MISMATCH = "9.0.4"
DELAYS_S = {EXPENSIVE: 0.02, ISOLATED: 0.02, SLOW: 0.3}

# On a busy machine nothing sound may come too late or be refused; what a test of limits needs it
# sets itself.
LIMITS = {"deadline_ms": 30_000, "candidate_deadline_ms": 20_000, "max_wait_ms": 60_000}


def make_store(trained: FolderStore, target: Path) -> FolderStore:
    """The trained versions, and versions of churn derived from 1.0.0 with one property each."""
    store = FolderStore(target)
    for model in ("churn", "delivery_time"):
        store.write(model, "1.0.0", _files(trained, model))
    pipeline = joblib.load(io.BytesIO(trained.read("churn", "1.0.0", PIPELINE)))
    _derive(store, GOOD)
    for version, delay_s in DELAYS_S.items():
        _derive(store, version, pipeline=Probe(pipeline, target / f"{version}.log", delay_s))
    for fault, version in FAULTS.items():
        _derive(store, version, pipeline=Faulty(pipeline, fault))
    _derive(store, CORRUPT)
    path = target / "churn" / CORRUPT / COMPILED
    path.write_bytes(path.read_bytes()[:-7] + b"corrupt")
    _derive(store, OTHER_CONTRACT, change=lambda manifest: manifest["features"].pop())
    _derive(store, MISMATCH, pipeline=Probe(pipeline, target / "mismatch.log", 0.0, offset=0.01))
    return store


def _files(store: FolderStore, model: str) -> dict[str, bytes]:
    folder = store.root / model / "1.0.0"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _derive(
    store: FolderStore,
    version: str,
    pipeline: Any = None,
    change: Callable[[dict[str, Any]], Any] = lambda manifest: None,
) -> None:
    """A version like churn 1.0.0, but with this pipeline or this change in its manifest."""
    files = _files(store, "churn")
    manifest = json.loads(files[MANIFEST]) | {"version": version}
    if pipeline is not None:
        buffer = io.BytesIO()
        joblib.dump(pipeline, buffer)
        files[PIPELINE] = buffer.getvalue()
        manifest |= {"runtime": "sklearn", "runtime_reason": "a probe of the tests"}
        manifest["files"][PIPELINE] = {
            "sha256": sha256_of(files[PIPELINE]),
            "size_bytes": len(files[PIPELINE]),
        }
    change(manifest)
    store.write("churn", version, {**files, MANIFEST: json.dumps(manifest).encode()})


def server(
    name: str,
    prefix: str,
    store: FolderStore,
    table: Mapping[str, Any],
    model: str = "churn",
    **options: Any,
) -> dict[str, Any]:
    """An application of a server."""
    deployment = {
        "name": "Server",
        "num_replicas": 1,
        "max_ongoing_requests": 200,
        "max_surge_percent": 100,
        "graceful_shutdown_timeout_s": 5,
        "graceful_shutdown_wait_loop_s": 0.2,
        "health_check_period_s": 2,
        "ray_actor_options": {"num_cpus": 0.1},
        "user_config": dict(table),
        **options,
    }
    return {
        "name": name,
        "route_prefix": prefix,
        "import_path": "serve_app.app:server",
        "args": {"model": model, "store": store.uri},
        "deployments": [deployment],
    }


def isolated(version: str, store: FolderStore, **options: Any) -> dict[str, Any]:
    """An application of an isolated version of churn."""
    deployment = {
        "name": "Version",
        "num_replicas": 2,
        "max_ongoing_requests": 64,
        "graceful_shutdown_timeout_s": 5,
        "graceful_shutdown_wait_loop_s": 0.2,
        "health_check_period_s": 2,
        "ray_actor_options": {"num_cpus": 0.1},
        "user_config": {"coalesce": "always", "batch": {"max_rows": 256, "wait_ms": 2}},
        **options,
    }
    return {
        "name": f"churn-{version}",
        "route_prefix": None,
        "import_path": "serve_app.app:version",
        "args": {"model": "churn", "version": version, "store": store.uri},
        "deployments": [deployment],
    }


def config(*applications: dict[str, Any]) -> dict[str, Any]:
    """A whole configuration."""
    return {"logging_config": {"enable_access_log": False}, "applications": list(applications)}


# For tests of what is the same code in both modes.
in_fast_mode = pytest.mark.parametrize("stage", ["fast"], indirect=True)


def base_applications(store: FolderStore, mode: str) -> list[dict[str, Any]]:
    """What the tests of a mode find: a version in a server; in the fast mode also an expensive one
    in a server, and an isolated one behind two.

    Tests change the table of `churn`, and put it back.
    """
    stable = {"stable": "1.0.0", "limits": LIMITS}
    churn = server("churn", "/", store, stable)
    if mode == "plain":
        return [churn]
    # The deadline of a candidate is the one that ships: SLOW is over it.
    expensive = {
        "stable": EXPENSIVE,
        "versions": CANDIDATES,
        "limits": {name: LIMITS[name] for name in ("deadline_ms", "max_wait_ms")},
    }
    # Blocks of at most 4 rows leave each of the two servers; what is larger was merged later.
    isolated_stable = {
        "stable": ISOLATED,
        "versions": {ISOLATED: {"placement": "isolated"}},
        "batch": {"max_rows": 4},
        "limits": LIMITS,
    }
    return [
        churn,
        server("expensive", "/expensive", store, expensive),
        server("isolated", "/isolated", store, isolated_stable, num_replicas=2),
        isolated(ISOLATED, store),
    ]
