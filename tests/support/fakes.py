"""Stand-ins of a few lines for what lies behind each room.

They are real enough that a constant model would fail the tests.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from hashlib import blake2b
from secrets import token_hex
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI
from views import rollout_view

from serve_app.bundle.predictor import Predictor
from serve_app.contract import Features, ModelSpec
from serve_app.contract.block import Block, Scores
from serve_app.errors import HttpError
from serve_app.http.application import create_app
from serve_app.models import get_spec
from serve_app.monitoring.drift_view import DriftView
from serve_app.rollout.view import RolloutView, Unknown
from serve_app.serving.answer import Answered, Assignment
from serve_app.serving.member import Opened
from serve_app.serving.status import Description, Health, Readiness, contract_of
from serve_app.settings import Limits, Table, VersionEntry

# Whatever a model's `answer` asks the bundle for (a half-width, a coverage) is 0.9 here.
PARAMETERS: Mapping[str, float] = defaultdict(lambda: 0.9)
VERSION = "1.2.3"
REQUEST_ID = "request-4711"


def score_of(spec: ModelSpec, row: Mapping[str, Any]) -> Any:
    """A score that differs from row to row: a probability, or up to 60 of a regressor's units.

    Of several classes or outputs, a list of them.
    """
    if spec.n_scores > 1:
        shares = [_share(spec, row, salt) for salt in range(spec.n_scores)]
        total = sum(shares) if spec.is_classifier else 1
        return [share / total for share in shares]
    share = _share(spec, row)
    return share if spec.is_classifier else 60 * share


def _share(spec: ModelSpec, row: Mapping[str, Any], salt: int = 0) -> float:
    """Between 0 and 1, another one for each row."""
    text = json.dumps(dict(row), sort_keys=True, default=str)
    digest = blake2b(text.encode(), digest_size=4, salt=str(salt or "").encode()).digest()
    return int.from_bytes(digest, "big") / 2**32


def expected_answer(spec: ModelSpec, row: Mapping[str, Any]) -> dict[str, Any]:
    """The prediction that the fake backend gives for a row."""
    return spec.answer(score_of(spec, row), PARAMETERS).model_dump()


def patient(**limits: int) -> Limits:
    """Limits under which nothing is refused because a machine is slow.

    Many requests are asked in one turn of a test's event loop, and none must wait for the others.
    """
    slow = {"max_wait_ms": 60_000, "deadline_ms": 600_000, "body_timeout_s": 600}
    return Limits(**(slow | limits))


class FakeBackend:
    """Answers from `score_of`, notes what it was asked, and fails when told to."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.reset()

    def reset(self) -> None:
        """As new, for the next test: the routes around it are made once per model."""
        self.limits = patient()
        self.asked: list[SimpleNamespace] = []
        self.error: Exception | None = None
        self.failing: Callable[[Features], bool] = lambda _: False
        self.is_ready = True
        self.at_once = True
        self.rows_under_way = 0

    async def predict(
        self,
        rows: Sequence[Features],
        routing_key: str,
        forced: str | None,
        positions: Sequence[int] | None = None,
    ) -> Answered:
        """Every row's own answer under an id of its own; None for the failing ones."""
        self.asked.append(SimpleNamespace(rows=list(rows), routing_key=routing_key, forced=forced))
        if self.error is not None:
            raise self.error
        scores = [
            None if self.failing(row) else score_of(self.spec, row.model_dump(mode="json"))
            for row in rows
        ]
        request_id = token_hex(16)
        ids = [request_id] if positions is None else [f"{request_id}-{i}" for i in positions]
        return Answered(
            rows,
            routing_key,
            Assignment(forced or VERSION),
            version=forced or VERSION,
            predictions=[None if s is None else self.spec.answer(s, PARAMETERS) for s in scores],
            ids=tuple(ids),
            n_failed=scores.count(None),
        )

    def health(self) -> Health:
        """Alive, loaded when ready."""
        return Health(model_loaded=self.is_ready, model_version=VERSION)

    @property
    def answers_at_once(self) -> bool:
        """As told."""
        return self.at_once

    async def readiness(self) -> Readiness:
        """Ready when told so."""
        return Readiness(ready=self.is_ready, stable=VERSION, versions={}, config_error=None)

    def description(self) -> Description:
        """Names and contract: what is loaded is tested with the real router."""
        spec = self.spec
        return Description(
            model=spec.name,
            title=spec.title,
            kind=spec.kind,
            contract=contract_of(spec),
            stable=VERSION,
            versions={},
        )


class Api:
    """The real routes of a model over a fake backend, asked as a client would."""

    def __init__(
        self, spec: ModelSpec, client: httpx.AsyncClient, backend: FakeBackend, document: Any
    ) -> None:
        self.spec = spec
        self.client = client
        self.backend = backend
        self.document = document

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """JSON posted with a request id; a header `x_routing_key` is sent as X-Routing-Key."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.send(
            path, content, {"content-type": "application/json"} | _dashed(headers)
        )

    async def send(self, path: str, content: Any, headers: Mapping[str, str]) -> httpx.Response:
        """Bytes, or an iterator of them (then without a length), with these headers and an id."""
        return await self.client.post(
            path, content=content, headers={"x-request-id": REQUEST_ID, **headers}
        )

    def assert_documented(self, path: str, response: httpx.Response) -> None:
        """Every status that a client may see stands in openapi.json."""
        assert str(response.status_code) in self.document["paths"][path]["post"]["responses"]


class FakeOperator:
    """A coordinator: `answer` is told to whoever asks, or raised; commands are noted."""

    def __init__(self) -> None:
        self.answer: RolloutView | Unknown | HttpError = rollout_view()
        self.commands: list[tuple[str, str, str]] = []

    async def view(self) -> RolloutView | Unknown:
        """Told."""
        if isinstance(self.answer, HttpError):
            raise self.answer
        return self.answer

    async def command(self, action: str, by: str, reason: str) -> RolloutView | Unknown:
        """Noted."""
        self.commands.append((action, by, reason))
        return await self.view()


class FakeDrift:
    """What the route of drift asks: nothing was answered yet; `error` is raised instead."""

    def __init__(self) -> None:
        self.error: HttpError | None = None
        self.view = DriftView(model="churn", detail="", versions={})

    async def drift(self) -> DriftView:
        """Told."""
        if self.error is not None:
            raise self.error
        return self.view


class FakeReplica:
    """Ray's part: says where it serves, notes what it was given, and calls the application."""

    def __init__(self, app: Any, prefix: str = "/churn") -> None:
        self.app = app
        self.prefix = prefix
        self.is_healthy = True
        self.seen: list[tuple[str, dict[bytes, bytes]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["path"] == "/-/routes":
            status = 200 if self.is_healthy else 503
            routes = json.dumps({self.prefix: "an application"}).encode()
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": routes if self.is_healthy else b"NO"})
            return
        self.seen.append((scope["path"], dict(scope["headers"])))
        await self.app({**scope, "root_path": self.prefix.rstrip("/")}, receive, send)


def client_of(app: Any, **options: Any) -> httpx.AsyncClient:
    """A client of an ASGI application; a fault of the application is an answer too."""

    async def in_a_turn_of_its_own(scope: Any, receive: Any, send: Any) -> None:
        # As a server, which reads its sockets between two requests.
        await asyncio.sleep(0)
        await app(scope, receive, send)

    transport = httpx.ASGITransport(app=in_a_turn_of_its_own, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://sluice", **options)


@cache
def _routes(spec: ModelSpec) -> tuple[FastAPI, FakeBackend]:
    backend = FakeBackend(spec)
    return create_app(backend.spec, backend, FakeOperator(), drift=FakeDrift()), backend


@asynccontextmanager
async def serving(spec: ModelSpec) -> AsyncIterator[Api]:
    """The routes of a model over a fake backend that is as new, with a client."""
    app, backend = _routes(spec)
    backend.reset()
    async with client_of(app) as client:
        yield Api(spec, client, backend, app.openapi())


def _dashed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def example_rows(spec: ModelSpec) -> list[dict[str, Any]]:
    """The example rows of a model as a client would send them."""
    return [example.row.model_dump(mode="json") for example in spec.examples]


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """A complete problem+json body with this status and code, for the request that was sent."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"urn:sluice:error:{code}"
    assert body["request_id"] == REQUEST_ID
    assert body["title"]
    assert body["detail"]
    return body


class FakeScorer:
    """A version: `score` says what each row gets, an exception or a delay says how it fails."""

    def __init__(
        self, score: Callable[[Any], float], error: Exception | None = None, delay_s: float = 0.0
    ) -> None:
        self.score_row = score
        self.error = error
        self.delay_s = delay_s
        self.closed = False
        self.waits_s = 0.0
        self.blocks: list[Block] = []
        self.deadlines_s: list[float] = []

    async def score(self, block: Block, deadline_s: float) -> Scores:
        """(n_rows,) scores from the first number of each row."""
        self.blocks.append(block)
        self.deadlines_s.append(deadline_s)
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        return np.array([self.score_row(first) for first in block.numbers[:, 0]])

    def close(self) -> None:
        """Noted."""
        self.closed = True

    def wait_s(self, n_rows: int) -> float:
        """What the test says."""
        return self.waits_s

    async def ping(self) -> None:
        """Raises what scoring would raise."""
        if self.error is not None:
            raise self.error


def opened(scorer: FakeScorer, coalesces: bool = False) -> Opened:
    """A version that proved itself; of its manifest only what the router and the status read."""
    manifest = SimpleNamespace(
        version=VERSION,
        parameters=PARAMETERS,
        runtime="onnx",
        created_at="2025-01-01",
        metrics={},
        files={},
    )
    return Opened(manifest, "0" * 64, scorer, coalesces)  # type: ignore[arg-type]


class Direct:
    """A real version in this process, scored on the spot."""

    coalesces = False

    def __init__(self, predictor: Predictor, *_: Any) -> None:
        self._predictor = predictor

    async def score(self, block: Block, deadline_s: float) -> Scores:
        """(n_rows,) scores, or (n_rows, n_outputs)."""
        return self._predictor.score(block)

    def wait_s(self, n_rows: int) -> float:
        """Nothing waits."""
        return 0.0

    async def ping(self) -> None:
        """Always there."""

    def close(self) -> None:
        """Holds nothing."""


class FakeStore:
    """Opens versions: at once, not while told to fail, and late where a gate is set."""

    def __init__(self) -> None:
        self.opens: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.scorers: dict[str, FakeScorer] = {}

    async def open(self, version: str, entry: VersionEntry, table: Table) -> Opened:
        """A version whose scorer is remembered."""
        self.opens.append(version)
        if version in self.gates:
            await self.gates[version].wait()
        if version in self.errors:
            raise self.errors[version]
        scorer = self.scorers.setdefault(version, FakeScorer(lambda first: first / 100))
        return opened(scorer)


async def until(condition: Callable[[], Any], timeout_s: float = 300.0) -> None:
    """Returns as soon as the condition holds; fails when it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - a condition over plain attributes has no event to wait for
            await asyncio.sleep(0.001)


def table(
    stable: str = "1.0.0", limits: Mapping[str, Any] | None = None, **weights: float
) -> Table:
    """A table; `v1_1_0=10` is version 1.1.0 with 10 %."""
    versions = {
        name[1:].replace("_", "."): {"weight_percent": weight} for name, weight in weights.items()
    }
    return Table.model_validate(
        {"stable": stable, "versions": versions, "limits": dict(limits or {})}
    )


async def raised_by(awaitable: Any) -> HttpError:
    """The HttpError that a call raises."""
    try:
        await awaitable
    except HttpError as error:
        return error
    raise AssertionError("expected an HttpError, found an answer")


def rows_of(*active_days: int) -> list[Features]:
    """Valid rows that differ in one field."""
    row = get_spec("churn").examples[0].row
    return [row.model_copy(update={"monthly_active_days": days}) for days in active_days]
