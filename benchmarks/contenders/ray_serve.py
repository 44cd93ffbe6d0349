"""Plain Ray Serve as its documentation shows it: ingress, model handle, a call for each row.

The model is the compiled one.
"""

import sys
from pathlib import Path

import yaml

from benchmarks.contender import SLUICE, Contender, Launch
from benchmarks.place import Place


def launch(place: Place, bundle: Path) -> Launch:
    """Start `serve run` with the defaults of Ray Serve."""
    config = {
        "http_options": {"host": "127.0.0.1", "port": place.port},
        "applications": [
            {
                "name": "churn",
                "route_prefix": "/",
                "import_path": "benchmarks.apps.ray_documented:app",
            }
        ],
    }
    path = place.folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    env = {"RAY_ADDRESS": "local", "BUNDLE": str(bundle)}
    return Launch([Path(sys.executable).with_name("serve"), "run", path], env)


DOCUMENTED = Contender("ray-documented", "Ray Serve as documented", "ray", launch, SLUICE)
