"""Sluice: as `make serve` starts it, with plain `serve run`, and with the version isolated.

The file is serve_config.yaml itself but for port, store, `max_rows` and what refuses when there is
too much, and it has as many server replicas as cores from the start: autoscaling would get there in
the middle of a measurement.
"""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.contender import SLUICE, Contender, Launch
from benchmarks.place import ROOT, Place
from serve_app.settings import application_of

N_CORES = len(os.sched_getaffinity(0))
MOST_ROWS = 1_000
BIN = Path(sys.executable).parent
Config = dict[str, Any]
PINNED = {"min_replicas": N_CORES, "max_replicas": N_CORES}


def base_config(place: Place, bundle: Path) -> Config:
    """Read serve_config.yaml for a place.

    This bundle is the stable version of churn, larger requests are allowed, and none is turned away
    for the work that waits before it: the others turn none away either.
    """
    config: Config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["http_options"]["port"] = place.port
    for app in config["applications"]:
        app["args"]["store"] = str(ROOT / "model_store")
    churn = server_of(config)
    config["applications"][0]["args"]["store"] = str(bundle.parents[1])
    table = churn["user_config"]
    entry = table["versions"].pop(table["stable"], {})
    table["stable"] = bundle.name
    table["versions"] = {bundle.name: entry}
    # A closed loop finds out what a server can do: nobody is to be refused meanwhile.
    churn |= {"max_ongoing_requests": 200, "max_queued_requests": 400}
    table["limits"] |= {
        "max_rows": MOST_ROWS,
        "max_rows_under_way": 1_000_000,
        "max_wait_ms": 9_000,
        "deadline_ms": 9_000,
    }
    return config


def server_of(config: Config) -> Config:
    """Find the deployment `Server` of churn."""
    deployment: Config = config["applications"][0]["deployments"][0]
    return deployment


def pinned(config: Config) -> Config:
    """Fix the number of servers."""
    server_of(config)["autoscaling_config"] |= PINNED
    return config


def isolate(config: Config, version: str, **options: Any) -> Config:
    """Move a version of the table out into an application of its own.

    It is as in the commented block of serve_config.yaml.
    """
    server_of(config)["user_config"]["versions"].setdefault(version, {})["placement"] = "isolated"
    scaling = {"min_replicas": 1, "max_replicas": 2, "target_ongoing_requests": 1}
    # As the server's; Ray's own are 30 and 600.
    scaling |= {"upscale_delay_s": 5, "downscale_delay_s": 60}
    deployment = {
        "name": "Version",
        "autoscaling_config": scaling | options,
        "max_ongoing_requests": 64,
        "max_queued_requests": 256,
        "max_surge_percent": 100,
        "ray_actor_options": {"num_cpus": 0.15},
        "user_config": {"coalesce": "auto", "batch": {"max_rows": 256, "wait_ms": 2}},
    }
    store = config["applications"][0]["args"]["store"]
    application = {
        "name": application_of("churn", version),
        "route_prefix": None,
        "import_path": "serve_app.app:version",
        "args": {"model": "churn", "version": version, "store": store},
        "deployments": [deployment],
    }
    config["applications"].append(application)
    return config


def up(place: Place, config: Config) -> Launch:
    """Start `sluice up`, the command of `make serve`."""
    return Launch([BIN / "sluice", "up", _written(place, config)])


def serve_run(place: Place, config: Config, env: Mapping[str, str] | None = None) -> Launch:
    """Start plain `serve run`, which never joins a Ray that happens to run on this machine."""
    command: list[str | Path] = [BIN / "serve", "run", _written(place, config)]
    return Launch(command, {"RAY_ADDRESS": "local", **(env or {})})


def _written(place: Place, config: Config) -> Path:
    path = place.folder / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def contender(
    name: str, title: str, start: Callable[[Place, Config], Launch], isolated: bool
) -> Contender:
    """Make a contender that serves a bundle with Sluice."""

    def launch(place: Place, bundle: Path) -> Launch:
        config = pinned(base_config(place, bundle))
        if isolated:
            isolate(config, bundle.name, min_replicas=1, max_replicas=1)
        return start(place, config)

    return Contender(name, title, "sluice", launch, SLUICE)


FAST = contender("sluice-fast", "Sluice as `make serve` starts it", up, isolated=False)
PLAIN = contender("sluice-plain", "Sluice with plain `serve run`", serve_run, isolated=False)
ISOLATED = contender("sluice-isolated", "Sluice, the version isolated", up, isolated=True)
