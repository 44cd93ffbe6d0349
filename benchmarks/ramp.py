"""Load up, replicas come; load down, they go; nobody gets an error on the way. Both placements."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib.pyplot as plt
from rich.console import Console

from benchmarks.bundles import STABLE, UNCOMPILED, hard_store
from benchmarks.chart import save
from benchmarks.contender import SLUICE, Contender, Launch
from benchmarks.contenders.sluice import base_config, isolate, up
from benchmarks.errors import BenchmarkError
from benchmarks.open_loop import send_all
from benchmarks.place import Place
from benchmarks.replica import Dashboard
from benchmarks.service import Service, running
from benchmarks.steady import Stream
from benchmarks.trend import Sample, Sampler, p95_over_time

QUIET_S = 15.0
BUSY_S = 60.0
MOST_S = 260.0
# Users.
FEW = 1
MANY = 64
# Requests a second that the users cannot exceed.
FASTEST = 5_000.0


@dataclass(frozen=True)
class Ramp:
    """One placement's ramp. `p95` is (seconds, milliseconds)."""

    title: str
    samples: list[Sample]
    p95: list[tuple[float, float]]
    requests: int
    failed: int
    least: int
    most: int

    @property
    def faults(self) -> list[str]:
        """What a ramp must not show."""
        counts = [sample.replicas for sample in self.samples]
        found = [f"{self.failed} of {self.requests} requests failed"] if self.failed else []
        if max(counts) != self.most:
            found.append(f"at most {max(counts)} replicas, expected {self.most}")
        if counts[0] != self.least or counts[-1] != self.least:
            found.append(
                f"{counts[0]} replicas at the beginning and {counts[-1]} at the end, "
                f"expected {self.least}"
            )
        return [f"{self.title}: {fault}" for fault in found]


def run(out: Path, console: Console) -> list[Ramp]:
    """Run both ramps, with a chart each.

    Raises BenchmarkError when a request failed or the replicas did not follow.
    """
    folder = hard_store([UNCOMPILED], console)
    ramps = [
        _ramp("in the server", folder / STABLE, "churn", "Server", console),
        _ramp("isolated", folder / UNCOMPILED, f"churn-{UNCOMPILED}", "Version", console),
    ]
    out.mkdir(parents=True, exist_ok=True)
    (out / "ramp.json").write_text(json.dumps([asdict(ramp) for ramp in ramps], indent=1))
    draw(ramps, out / "ramp.png")
    faults = [fault for ramp in ramps for fault in ramp.faults]
    if faults:
        raise BenchmarkError("\n".join(faults))
    return ramps


def _ramp(title: str, bundle: Path, application: str, deployment: str, console: Console) -> Ramp:
    bounds: dict[str, int] = {}

    def launch(place: Place, bundle: Path) -> Launch:
        config = base_config(place, bundle)
        if deployment == "Version":
            isolate(config, bundle.name)
        app = next(app for app in config["applications"] if app["name"] == application)
        bounds.update(app["deployments"][0]["autoscaling_config"])
        return up(place, config)

    console.print(f"ramp, {title} …")
    with running(
        Contender(f"ramp-{deployment}", title, "sluice", launch, SLUICE), bundle
    ) as service:
        service.check([1])
        dashboard = Dashboard(service.program, service.place)

        def n_running() -> int:
            return sum(r["state"] == "RUNNING" for r in dashboard.replicas(application, deployment))

        stream = _stream(service)
        least = bounds["min_replicas"]
        most = bounds["max_replicas"]
        with Sampler(n_running, lambda: stream.under_way) as sampler:
            stream.users = _users(stream, sampler, least)
            send_all([stream], MOST_S)
    failed = sum(shot.status != 200 for shot in stream.shots)
    return Ramp(
        title, sampler.samples, p95_over_time(stream.shots), len(stream.shots), failed, least, most
    )


def _stream(service: Service) -> Stream:
    bodies = [SLUICE.body(rows) for rows in service.question.ask(1)]
    return Stream(service.place.url + SLUICE.path(1), bodies, lambda _: FASTEST)


def _users(stream: Stream, sampler: Sampler, least: int) -> Callable[[float], int]:
    """Few, many, few; the load ends when the replicas are back."""

    def users(at_s: float) -> int:
        if QUIET_S <= at_s < QUIET_S + BUSY_S:
            return MANY
        if at_s > QUIET_S + BUSY_S + QUIET_S and sampler.latest_replicas == least:
            stream.ended = True
        return FEW

    return users


def draw(ramps: list[Ramp], path: Path) -> None:
    """Draw replicas, requests under way and p95 over time; a column for each placement."""
    figure, grid = plt.subplots(3, len(ramps), figsize=(11, 7), sharex="col", squeeze=False)
    for column, ramp in enumerate(ramps):
        at_s = [sample.at_s for sample in ramp.samples]
        replicas, queue, p95 = (grid[row][column] for row in range(3))
        replicas.step(at_s, [sample.replicas for sample in ramp.samples], where="post")
        replicas.set(
            title=f"{ramp.title}: {ramp.requests:,} requests, {ramp.failed} failed",
            ylabel="replicas",
        )
        replicas.set_ylim(0, ramp.most + 0.5)
        queue.plot(at_s, [sample.under_way for sample in ramp.samples])
        queue.set(ylabel="requests under way")
        p95.plot([at for at, _ in ramp.p95], [ms for _, ms in ramp.p95])
        p95.set(ylabel="p95 ms", xlabel="s", yscale="log")
    save(figure, path)
