"""How long one request may hold up the others: a search for the body with the longest step.

Between two steps of a request the event loop answers others. Each body goes through the real door
and handlers of a model, which are driven by hand: a step is what runs until the next time that they
give way. Time is the CPU time of this thread. The search tries random bodies, and changes of those
that took longest so far.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic, thread_time
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from benchmarks.hostile import Hostile, changed, random_body
from serve_app.contract import Features, ModelSpec
from serve_app.http.application import create_app
from serve_app.models import get_spec
from serve_app.monitoring.labels.feedback import Feedback
from serve_app.monitoring.labels.seal import Seal
from serve_app.monitoring.labels.sealed_ids import SealedIds
from serve_app.monitoring.labels.shapes import Shaper
from serve_app.serving.answer import Answered, Assignment
from serve_app.serving.member import Opened
from serve_app.serving.status import Description, Health, Readiness, description
from serve_app.serving.versions import Versions
from serve_app.settings import Limits, Table, VersionEntry

MOST_MS = 5.0
N_KEPT = 8
# What anybody may ask, and no rate bounds.
OPEN = ("/", "/health", "/ready", "/v1/model", "/openapi.json")
CHOICES = tuple(f"city {i:05d}" for i in range(5_000))
PARAMETERS = {"threshold": 0.5}


@dataclass(frozen=True)
class Step:
    """The longest step of one body, and how it was answered."""

    model: str
    body: Hostile
    status: int
    n_steps: int
    seconds: float


@dataclass
class Search:
    """What a search has found for all models: the longest first, and answers by status.

    `gets` has each open route of each model, asked for the second time.
    """

    n_bodies: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    longest: list[Step] = field(default_factory=list)
    gets: list[Step] = field(default_factory=list)

    def note(self, step: Step) -> None:
        """Keep it, if it is among the longest of its model."""
        self.n_bodies += 1
        self.statuses[step.status] += 1
        self.longest.append(step)
        self.longest.sort(key=lambda one: -one.seconds)
        of_model = [one for one in self.longest if one.model == step.model]
        for one in of_model[N_KEPT:]:
            self.longest.remove(one)


class _Scored:
    """A backend that answers each row by the same score: reading is what is looked at."""

    # No request waits for another here.
    limits = Limits(max_wait_ms=60_000)
    rows_under_way = 0
    answers_at_once = True

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._prediction = spec.answer(0.3, PARAMETERS)

    async def predict(
        self, rows: Sequence[Features], routing_key: str, forced: str | None, positions: Any = None
    ) -> Answered:
        """Answer at once."""
        n = len(rows)
        assigned = Assignment("1.0.0")
        return Answered(
            rows,
            routing_key,
            assigned,
            version="1.0.0",
            ids=("id",) * n,
            predictions=[self._prediction] * n,
        )

    def health(self) -> Health:
        """Alive."""
        return Health(model_loaded=True, model_version="1.0.0")

    async def readiness(self) -> Readiness:
        """Ready."""
        return Readiness(ready=True, stable="1.0.0", versions={}, config_error=None)

    def description(self) -> Description:
        """As of a server without a table."""
        return description(self._spec, Versions(_never))


async def _never(version: str, entry: VersionEntry, table: Table) -> Opened:
    raise AssertionError("found a table, expected none")


def models() -> list[ModelSpec]:
    """A small contract, a wide one, and one of long lists of choices."""
    fraction = Annotated[float, Field(ge=0, le=1)]
    wide: Any = {f"a_measurement_{i:03d}": (fraction, ...) for i in range(200)}
    lists: Any = {f"city_{i}": (Literal[CHOICES], ...) for i in range(10)}
    return [
        get_spec("churn"),
        _spec("wide", create_model("Wide", __base__=Features, **wide)),
        _spec("lists", create_model("Lists", __base__=Features, **lists)),
    ]


def _spec(name: str, features: type[Features]) -> ModelSpec:
    return ModelSpec(name=name, title=name, kind="binary_classifier", target="y", features=features)


def _feedback(spec: ModelSpec) -> Feedback:
    """As of a server with a secret, whose version is known."""
    shaper = Shaper(spec)
    seal = Seal([bytes(32)], spec.name)
    return Feedback(shaper, SealedIds(shaper, lambda: seal), lambda: ["1.0.0"])


def longest_step(spec: ModelSpec, door: Any, body: Hostile) -> Step:
    """Send one body through a door, a step at a time."""
    told: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body.content, "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    scope = {
        "type": "http",
        "method": body.method,
        "path": body.path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    steps = door(scope, receive, send)
    n_steps = 0
    longest_s = 0.0
    is_under_way = True
    while is_under_way:
        begin_s = thread_time()
        try:
            steps.send(None)
        except StopIteration:
            is_under_way = False
        longest_s = max(longest_s, thread_time() - begin_s)
        n_steps += 1
    return Step(spec.name, body, told[0]["status"], n_steps, longest_s)


def search(seconds: float, seed: int, n_bodies: int | None = None) -> Search:
    """Look for long steps for so long, or through so many bodies."""
    random = Random(seed)
    doors = [
        (spec, create_app(spec, _Scored(spec), feedback=_feedback(spec)).state.door)
        for spec in models()
    ]
    found = Search()
    until_s = monotonic() + seconds

    async def look() -> None:
        for spec, door in doors:
            for path in OPEN:
                asked = Hostile(path, b"", f"GET {path}", "GET")
                # The first one makes what is kept.
                longest_step(spec, door, asked)
                found.gets.append(longest_step(spec, door, asked))
        while monotonic() < until_s and (n_bodies is None or found.n_bodies < n_bodies):
            spec, door = random.choice(doors)
            best = [step.body for step in found.longest if step.model == spec.name]
            if best and random.random() < 0.5:
                body = changed(random.choice(best), random)
            else:
                body = random_body(spec, random)
            found.note(longest_step(spec, door, body))
            # What was done for one body is nothing that the next has waited for.
            await asyncio.sleep(0)

    # The handlers' locks and timers ask for a loop; nothing else runs in it.
    asyncio.run(look())
    for step in found.longest:
        again = min(_again(doors, step) for _ in range(3))
        found.longest[found.longest.index(step)] = Step(
            step.model, step.body, step.status, step.n_steps, min(step.seconds, again)
        )
    found.longest.sort(key=lambda one: -one.seconds)
    return found


def _again(doors: Sequence[tuple[ModelSpec, Any]], step: Step) -> float:
    """How long it takes once more: what the machine did meanwhile is no fault of the body."""

    async def look() -> float:
        spec, door = next(pair for pair in doors if pair[0].name == step.model)
        return longest_step(spec, door, step.body).seconds

    return asyncio.run(look())


def report(found: Search, out: Path) -> str:
    """Write `stalls.md`: the longest steps, and answers by status. Returns its text."""
    lines = [
        f"{found.n_bodies:,} bodies; answers: "
        + ", ".join(f"{status} × {n:,}" for status, n in sorted(found.statuses.items())),
        "",
        "| longest step | steps | model | answer | bytes | body |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {step.seconds * 1e3:.2f} ms | {step.n_steps} | {step.model} | {step.status} "
        f"| {len(step.body.content):,} | {step.body.made_of} |"
        for step in [*found.longest, *found.gets]
    ]
    text = "\n".join(lines) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    (out / "stalls.md").write_text(text)
    return text
