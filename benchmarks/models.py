"""What one more model costs: 2, 10 and 30 small ones in one Ray on this machine.

Each is an application of its own with one server and one coordinator, as in serve_config.yaml, over
the same small bundle. One of them is asked alone, and then while all others are asked too.
"""

import copy
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.bundles import trained
from benchmarks.contender import SLUICE, Contender, Launch
from benchmarks.contenders.sluice import base_config, up
from benchmarks.errors import BenchmarkError
from benchmarks.open_loop import send_all
from benchmarks.place import Place
from benchmarks.report import number, table
from benchmarks.service import READY_TIMEOUT_S, Service, running
from benchmarks.steady import Steady, Stream, summarize
from serve_app.commands.healthy import READY, statuses

COUNTS = (2, 10, 30)
# Thirty of them and their coordinators fit two CPUs.
CPUS_OF_A_SERVER = 0.02
ONE_PER_S = 50.0
OTHERS_PER_S = 5.0
POLL_S = 0.2


@dataclass(frozen=True)
class Plan:
    """How long each part takes."""

    idle_s: float
    load_s: float


FULL = Plan(idle_s=30, load_s=30)
SHORT = Plan(idle_s=5, load_s=5)


@dataclass(frozen=True)
class Cost:
    """What so many models cost together.

    `ready_s`: from the start until all answer. `memory_mb` counts shared pages once. `idle_cores`:
    CPU that is used while nobody asks. `alone` and `beside` are one model's answers, without and
    with requests to all others.
    """

    n_models: int
    ready_s: float
    memory_mb: float
    idle_cores: float
    alone: Steady
    beside: Steady


def measure(n_models: int, plan: Plan) -> Cost:
    """Serve so many models, and measure what they cost. Raises BenchmarkError."""
    begin_s = time.monotonic()
    with running(_contender(n_models), trained()) as service:
        return _measure(service, n_models, begin_s, plan)


def run(
    out: Path,
    console: Console,
    counts: Sequence[int],
    plan: Plan,
    measured: Callable[[int, Plan], Cost] = measure,
) -> list[Cost]:
    """Measure each number of models, as JSON and Markdown. Raises BenchmarkError.

    The report is written after each of them: what fails at thirty keeps two and ten.
    """
    found = []
    out.mkdir(parents=True, exist_ok=True)
    for n_models in counts:
        console.print(f"{n_models} models …")
        found.append(measured(n_models, plan))
        (out / "models.json").write_text(json.dumps([asdict(one) for one in found], indent=1))
        (out / "models.md").write_text(markdown(found))
    n_failed = sum(steady.errors for one in found for steady in (one.alone, one.beside))
    if n_failed:
        raise BenchmarkError(f"{n_failed} requests failed")
    return found


def _contender(n_models: int) -> Contender:
    def launch(place: Place, bundle: Path) -> Launch:
        return up(place, with_models(base_config(place, bundle), n_models))

    return Contender(f"models-{n_models}", f"{n_models} models", "sluice", launch, SLUICE)


def with_models(config: dict[str, Any], n_models: int) -> dict[str, Any]:
    """The configuration with so many applications like its first, of one server each.

    The first is at the root, and the others at `prefix_of` their number.
    """
    first = config["applications"][0]
    applications = []
    for i in range(n_models):
        application = copy.deepcopy(first)
        application["name"] = f"small_{i:02}"
        application["route_prefix"] = prefix_of(i)
        deployment = application["deployments"][0]
        scaling = deployment.pop("autoscaling_config", {})
        deployment["num_replicas"] = 1 if scaling else deployment.get("num_replicas", 1)
        deployment["ray_actor_options"] = {"num_cpus": CPUS_OF_A_SERVER}
        applications.append(application)
    return {**config, "applications": applications}


def prefix_of(i: int) -> str:
    """Where the model with this number answers."""
    return "/" if i == 0 else f"/small-{i:02}"


def _measure(service: Service, n_models: int, begin_s: float, plan: Plan) -> Cost:
    urls = [(service.place.url + prefix_of(i)).rstrip("/") for i in range(n_models)]
    while not all(status == READY for status in statuses(urls)):
        if time.monotonic() > begin_s + READY_TIMEOUT_S:
            raise BenchmarkError(f"{n_models} models: not all ready in {READY_TIMEOUT_S:g} s")
        time.sleep(POLL_S)
    ready_s = time.monotonic() - begin_s
    service.check([1])
    service.wait_until_idle()
    before = service.program.usage()
    time.sleep(plan.idle_s)
    idle_cores = sum(service.program.usage().since(before).values()) / plan.idle_s
    memory_mb = sum(service.program.memory_mb().values())
    alone = _sent(service, urls[:1], plan.load_s)
    service.wait_until_idle()
    return Cost(n_models, ready_s, memory_mb, idle_cores, alone, _sent(service, urls, plan.load_s))


def _sent(service: Service, urls: Sequence[str], seconds: float) -> Steady:
    """Ask all of them at once; what the first one's clients saw."""
    bodies = [SLUICE.body(rows) for rows in service.question.ask(1)]
    one = Stream(urls[0] + SLUICE.path(1), bodies, lambda _: ONE_PER_S)
    others = [Stream(url + SLUICE.path(1), bodies, lambda _: OTHERS_PER_S) for url in urls[1:]]
    send_all([one, *others], seconds)
    return summarize(one.shots, seconds)


def one_more(found: Sequence[Cost]) -> dict[str, float]:
    """What a further model adds, between the fewest and the most: MB, cores and seconds of start.

    Raises ValueError for fewer than two numbers of models.
    """
    few = min(found, key=lambda one: one.n_models)
    many = max(found, key=lambda one: one.n_models)
    n = many.n_models - few.n_models
    if n == 0:
        raise ValueError(f"found {len(found)} measurements of {few.n_models}, expected two numbers")
    return {
        "memory_mb": (many.memory_mb - few.memory_mb) / n,
        "idle_cores": (many.idle_cores - few.idle_cores) / n,
        "ready_s": (many.ready_s - few.ready_s) / n,
    }


def markdown(found: Iterable[Cost]) -> str:
    """A row for each number of models, and one for what a further one adds."""
    costs = list(found)
    rows = [
        [
            str(one.n_models),
            number(one.memory_mb),
            number(one.idle_cores),
            number(one.ready_s),
            *(number(value) for value in (one.alone.p50_ms, one.alone.p99_ms)),
            *(number(value) for value in (one.beside.p50_ms, one.beside.p99_ms)),
        ]
        for one in costs
    ]
    if len({one.n_models for one in costs}) > 1:
        more = one_more(costs)
        rows.append(
            ["one more", *(number(more[name]) for name in more), *["–"] * 4],
        )
    head = ["models", "memory MB", "idle cores", "ready s", "p50 ms", "p99 ms"]
    return table([*head, "p50 ms, others asked", "p99 ms, others asked"], rows) + "\n"
