"""The file that is served under faults, and the bundles in its store."""

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from benchmarks.bundles import STABLE, trained
from benchmarks.contenders.sluice import isolate
from benchmarks.place import ROOT, Place

CANDIDATE = "1.1.0"
SPARE = "1.2.0"
MISSING = "9.9.9"
Config = dict[str, Any]


def make_store(folder: Path) -> Path:
    """A store with the trained version of churn, and two more that answer the same.

    So an answer is right or wrong whichever version gave it.
    """
    for version in (STABLE, CANDIDATE, SPARE):
        target = folder / "churn" / version
        shutil.copytree(trained(), target)
        path = target / "manifest.json"
        manifest = json.loads(path.read_text()) | {"version": version}
        path.write_text(json.dumps(manifest))
    return folder


def config_of(place: Place, store: str, placement: str, replicas: int) -> Config:
    """serve_config.yaml with so many servers of churn, and a rollout that is held at 10 %."""
    config: Config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["http_options"]["port"] = place.port
    config["applications"] = [app for app in config["applications"] if app["name"] == "churn"]
    (churn,) = config["applications"]
    churn["args"] |= {"store": store, "state": str(place.folder / "state")}
    (server,) = churn["deployments"]
    server["autoscaling_config"] |= {"min_replicas": replicas, "max_replicas": replicas}
    # Two servers, and two more while all are replaced, fit two cores.
    server["ray_actor_options"] = {"num_cpus": 0.3}
    server["user_config"] |= {
        "versions": {STABLE: {}, CANDIDATE: {}},
        "rollout": {
            "stable": STABLE,
            "candidate": CANDIDATE,
            "steps": [10],
            "min_seconds": 1,
            "min_requests": 1,
        },
    }
    if placement == "isolated":
        isolate(config, STABLE, min_replicas=replicas, max_replicas=replicas)
        config["applications"][-1]["deployments"][0]["ray_actor_options"] = {"num_cpus": 0.1}
    return config


def table_of(config: Config) -> Config:
    """The table of the server of churn, to be changed."""
    table: Config = config["applications"][0]["deployments"][0]["user_config"]
    return table
