"""What a rollout costs on a request's path.

The same server has one version; two by plain weights; a canary at the same share, which is counted
and judged; and a shadow, which scores every row twice.
"""

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from benchmarks.bundles import STABLE, trained
from benchmarks.contender import SLUICE, Contender, Launch
from benchmarks.contenders.sluice import base_config, pinned, server_of, up
from benchmarks.errors import BenchmarkError
from benchmarks.place import Place
from benchmarks.plan import CEILING
from benchmarks.report import number, table
from benchmarks.service import Service, running

CANDIDATE = "1.1.0"
PERCENT = 25
NONE = "one version"
WEIGHTS = "two by weights"
CANARY = "canary"
SHADOW = "shadow"
STEPS: Mapping[str, Sequence[Any]] = {
    NONE: (),
    WEIGHTS: (),
    CANARY: (PERCENT, 100),
    SHADOW: ("shadow", 100),
}
FOREVER_S = 1_000_000
ENTER_TIMEOUT_S = 600.0
# Of CPU per request, canary over one version.
MOST_RATIO = 1.05


@dataclass(frozen=True)
class Watched:
    """One way, over the rounds. `cpu_ms` is per request, of all server processes."""

    name: str
    cpu_ms: tuple[float, ...]
    requests_per_s: tuple[float, ...]


def run(out: Path, console: Console, *, seconds: float, rounds: int) -> list[Watched]:
    """Measure round after round, each way in turn: a slow minute of the machine hits all alike."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in STEPS}
    with TemporaryDirectory(prefix="slb-store-") as store:
        bundle = _two_versions(Path(store))
        for n in range(1, rounds + 1):
            for name in STEPS:
                console.print(f"round {n} of {rounds}: {name} …")
                with running(_contender(name), bundle) as service:
                    found[name].append(_measure(service, name, seconds))
    watched = [Watched(name, *zip(*parts, strict=True)) for name, parts in found.items()]
    out.mkdir(parents=True, exist_ok=True)
    (out / "watched.md").write_text(markdown(watched))
    return watched


def ratio(watched: Sequence[Watched], name: str) -> float:
    """Divide CPU per request by that of one version: the median of the rounds' ratios."""
    by_name = {one.name: one.cpu_ms for one in watched}
    return median(mine / none for mine, none in zip(by_name[name], by_name[NONE], strict=True))


def markdown(watched: Sequence[Watched]) -> str:
    """Write a row for each way."""
    rows = [
        [
            one.name,
            number(median(one.cpu_ms)),
            number(median(one.requests_per_s)),
            number(ratio(watched, one.name)),
        ]
        for one in watched
    ]
    return table(["", "CPU ms per request", "requests/s", "CPU over one version"], rows) + "\n"


def _two_versions(store: Path) -> Path:
    """The trained bundle, and the same again as a candidate."""
    for version in (STABLE, CANDIDATE):
        folder = shutil.copytree(trained(), store / "churn" / version)
        manifest = json.loads((folder / "manifest.json").read_text()) | {"version": version}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return store / "churn" / STABLE


def _contender(name: str) -> Contender:
    def launch(place: Place, bundle: Path) -> Launch:
        config = pinned(base_config(place, bundle))
        user_config = server_of(config)["user_config"]
        if name == WEIGHTS:
            user_config["versions"][CANDIDATE] = {"weight_percent": PERCENT}
        steps = STEPS[name]
        if steps:
            user_config["rollout"] = {
                "stable": STABLE,
                "candidate": CANDIDATE,
                "steps": list(steps),
                "min_seconds": FOREVER_S,
            }
        return up(place, config)

    return Contender(f"watched-{name}", name, "sluice", launch, SLUICE)


def _measure(service: Service, name: str, seconds: float) -> tuple[float, float]:
    service.check([1])
    if STEPS[name]:
        _wait_until_entered(service)
    service.load(CEILING, 3)
    measured = service.load(CEILING, seconds)
    if measured.errors:
        raise BenchmarkError(f"{name}: {measured.errors} requests failed")
    return measured.cpu_ms_per_request, measured.requests_per_s


def _wait_until_entered(service: Service) -> None:
    until_s = time.monotonic() + ENTER_TIMEOUT_S
    state: Any = {}
    while time.monotonic() < until_s:
        try:
            with urllib.request.urlopen(f"{service.place.url}/v1/rollout", timeout=5) as answer:
                state = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            state = json.loads(error.read())
        if state.get("status") == "running":
            # Every server follows within two seconds.
            time.sleep(2)
            return
        time.sleep(0.2)
    raise BenchmarkError(f"the rollout did not enter its first step: {state}")
