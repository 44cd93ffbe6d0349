"""A slow candidate next to stable: does it slow stable's answers? In the server, and isolated."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.bundles import COMPUTING, STABLE, WAITING, hard_store
from benchmarks.contender import SLUICE, Contender, Launch
from benchmarks.contenders.sluice import base_config, isolate, pinned, server_of, up
from benchmarks.errors import BenchmarkError
from benchmarks.open_loop import send_all
from benchmarks.place import Place
from benchmarks.plan import CEILING
from benchmarks.report import number, table
from benchmarks.service import Service, running
from benchmarks.steady import Steady, Stream, summarize

SHARE_OF_CEILING = 0.3
CANDIDATE_PER_S = 20.0
MOST_RATIO = 1.5
KINDS = {WAITING: "waits 200 ms a call", COMPUTING: "computes 200 ms a call"}


@dataclass(frozen=True)
class Beside:
    """Stable's latency alone and next to a candidate; the candidate's own."""

    candidate: str
    placement: str
    alone: tuple[Steady, ...]
    beside: tuple[Steady, ...]
    candidates: tuple[Steady, ...]

    @property
    def ratio(self) -> float:
        """p99 next to the candidate over p99 alone: the median of the rounds."""
        pairs = zip(self.alone, self.beside, strict=True)
        return median(beside.p99_ms / alone.p99_ms for alone, beside in pairs)


def run(out: Path, console: Console, *, seconds: float, rounds: int) -> list[Beside]:
    """Measure all four pairs, as JSON and Markdown. Raises BenchmarkError if a request failed."""
    folder = hard_store(KINDS, console)
    found = []
    for version, kind in KINDS.items():
        for placement in ("isolated", "in_server"):
            console.print(f"beside a candidate that {kind}, {placement} …")
            with running(_contender(version, placement), folder / STABLE) as service:
                found.append(_measure(service, version, placement, seconds, rounds))
    out.mkdir(parents=True, exist_ok=True)
    (out / "beside.json").write_text(
        json.dumps([asdict(pair) | {"ratio": pair.ratio} for pair in found], indent=1)
    )
    (out / "beside.md").write_text(markdown(found))
    every = [steady for p in found for steady in (*p.alone, *p.beside, *p.candidates)]
    n_failed = sum(steady.errors for steady in every)
    if n_failed:
        raise BenchmarkError(f"{n_failed} requests failed")
    return found


def _contender(version: str, placement: str) -> Contender:
    def launch(place: Place, bundle: Path) -> Launch:
        config = pinned(base_config(place, bundle))
        table = server_of(config)["user_config"]
        table["versions"][version] = {"weight_percent": 0}
        # It must answer itself, and not fall back to stable.
        table["limits"]["candidate_deadline_ms"] = 5_000
        if placement == "isolated":
            isolate(config, version, min_replicas=1, max_replicas=1)
        return up(place, config)

    return Contender(f"beside-{version}", "beside", "sluice", launch, SLUICE)


def _measure(service: Service, version: str, placement: str, seconds: float, rounds: int) -> Beside:
    service.check([1])
    ceiling = service.load(CEILING, 3).requests_per_s
    _wait_for_candidate(service, version)
    rate = ceiling * SHARE_OF_CEILING
    alone = []
    beside = []
    candidates = []
    for _ in range(rounds):
        (only,) = _sent(service, {STABLE: rate}, seconds)
        stable, candidate = _sent(service, {STABLE: rate, version: CANDIDATE_PER_S}, seconds)
        alone.append(only)
        beside.append(stable)
        candidates.append(candidate)
    return Beside(KINDS[version], placement, tuple(alone), tuple(beside), tuple(candidates))


def _wait_for_candidate(service: Service, version: str) -> None:
    """Wait until it answers itself: a candidate is proven in the background."""
    for _ in range(60):
        (steady,) = _sent(service, {version: 2.0}, 1)
        if steady.p50_ms > 150 and not steady.errors:
            return
    raise BenchmarkError(f"churn {version} did not answer within a minute")


def _sent(service: Service, rates: dict[str, float], seconds: float) -> list[Steady]:
    """A stream for each version, all at once; the header asks for the version."""
    bodies = [SLUICE.body(rows) for rows in service.question.ask(1)]
    url = service.place.url + SLUICE.path(1)
    streams = [
        Stream(url, bodies, _constant(rate), {"X-Model-Version": version})
        for version, rate in rates.items()
    ]
    send_all(streams, seconds)
    return [summarize(stream.shots, seconds) for stream in streams]


def _constant(rate: float) -> Callable[[float], float]:
    return lambda _: rate


def markdown(found: Iterable[Beside]) -> str:
    """Write a row for each pair."""
    rows = [
        [f"{pair.candidate}, {pair.placement}", number(median(s.offered_rate for s in pair.alone))]
        + [
            number(median(getattr(s, name) for s in part))
            for part in (pair.alone, pair.beside)
            for name in NAMES
        ]
        + [number(pair.ratio), number(median(s.p50_ms for s in pair.candidates))]
        for pair in found
    ]
    head = [
        "candidate",
        "stable requests/s",
        "p50 alone",
        "p99 alone",
        "p50 beside",
        "p99 beside",
        "p99 ratio",
    ]
    return table([*head, "candidate p50"], rows) + "\n"


NAMES = ("p50_ms", "p99_ms")
