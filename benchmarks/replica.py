"""What Serve itself says of its replicas, by the same REST interface as `serve status`."""

import json
import re
import time
import urllib.request
from typing import Any

import yaml

from benchmarks.errors import BenchmarkError
from benchmarks.outcome import Replica
from benchmarks.place import Place
from benchmarks.processes import Program, pss_mb
from benchmarks.service import Service

TIMEOUT_S = 600.0


class Dashboard:
    """Ray's dashboard of a running Sluice, as the program's output names it last."""

    def __init__(self, program: Program, place: Place) -> None:
        log = program.log.read_text(errors="replace")
        found = re.findall(r"dashboard at \S*?(http://127\.0\.0\.1:\d+)", log)
        if not found:
            raise BenchmarkError(f"{program.log}: names no dashboard")
        self._url = found[-1] + "/api/serve/applications/"
        token = (place.folder / "home/.ray/auth_token").read_text().strip()
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def replicas(self, application: str, deployment: str) -> list[dict[str, Any]]:
        """List its replicas with `state`, `pid`, `start_time_s`."""
        request = urllib.request.Request(self._url, headers=self._headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            applications = json.load(answer)["applications"]
        found = applications.get(application, {}).get("deployments", {}).get(deployment, {})
        replicas: list[dict[str, Any]] = found.get("replicas", [])
        return replicas

    def deploy(self, config: dict[str, Any]) -> None:
        """Send what `serve deploy` sends."""
        body = json.dumps(config).encode()
        request = urllib.request.Request(self._url, body, self._headers, method="PUT")
        urllib.request.urlopen(request, timeout=60).close()


def add_replica(service: Service) -> Replica:
    """Start one more server on an idle machine: seconds until it is ready, and its memory."""
    config = yaml.safe_load((service.place.folder / "serve_config.yaml").read_text())
    dashboard = Dashboard(service.program, service.place)
    known = {replica["replica_id"] for replica in dashboard.replicas("churn", "Server")}
    scaling = config["applications"][0]["deployments"][0]["autoscaling_config"]
    scaling["min_replicas"] = scaling["max_replicas"] = len(known) + 1
    dashboard.deploy(config)
    until_s = time.time() + TIMEOUT_S
    while time.time() < until_s:
        for replica in dashboard.replicas("churn", "Server"):
            if replica["replica_id"] not in known and replica["state"] == "RUNNING":
                return Replica(time.time() - replica["start_time_s"], pss_mb(replica["pid"]))
        time.sleep(0.05)
    raise BenchmarkError(f"no further server replica within {TIMEOUT_S:.0f} s")
