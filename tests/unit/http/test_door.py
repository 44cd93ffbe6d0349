"""Every request passes the same checks, through FastAPI and in front of Ray alike."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from behind_door import PREFIX, BehindDoor
from fakes import (
    REQUEST_ID,
    FakeBackend,
    FakeOperator,
    assert_problem,
    client_of,
    example_rows,
    patient,
    until,
)
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from serve_app.errors import BadHeader, HttpError, NotReady
from serve_app.http.application import create_app
from serve_app.http.door import Door
from serve_app.http.request import IncomingRequest
from serve_app.http.route import Documented, Route
from serve_app.models import get_spec
from serve_app.serving.request_id import REQUEST_ID as ID_OF_LOG
from serve_app.settings import Limits

SPEC = get_spec("churn")
ROW = example_rows(SPEC)[0]
JSON = {"content-type": "application/json", "x-request-id": REQUEST_ID}
PATIENCE_S = 300.0


class Setup(BehindDoor):
    """An application behind the door, reached one way or the other under the model's prefix."""

    def __init__(self, way: str, **options: Any) -> None:
        super().__init__(way, SPEC, JSON, **options)

    async def send(self, path: str, content: Any = b"", **headers: str) -> httpx.Response:
        """Bytes or an iterator of them, posted."""
        return await self.client.post(PREFIX + path, content=content, headers=headers)

    async def predict(self, path: str = "/v1/predict", **headers: str) -> httpx.Response:
        """One row."""
        return await self.client.post(PREFIX + path, json=ROW, headers=headers)


@pytest.fixture
def make(way: str) -> Callable[..., Setup]:
    """Makes a setup of each way."""
    return lambda **options: Setup(way, **options)


@pytest.fixture
def setup(make: Callable[..., Setup]) -> Setup:
    """An application as it is served."""
    return make()


async def nothing(asked: list[int]) -> AsyncIterator[bytes]:
    """A body of which not a byte comes; notes that it was asked for."""
    asked.append(1)
    await asyncio.Event().wait()
    yield b""


async def half() -> AsyncIterator[bytes]:
    """A body of which the other half never comes."""
    yield b'{"nps_score": 3,'
    await asyncio.Event().wait()


async def toy_handler(request: IncomingRequest) -> Response:
    """Says what it got."""
    if request.body == b"fail":
        raise NotReady("as told")
    return JSONResponse({"body": request.body.decode(), "id": request.id})


def toy_error(error: HttpError, request_id: str) -> Response:
    """An error in another manner than problem+json."""
    return PlainTextResponse(f"{error.code} {request_id}", error.status)


TOY = Route("/toy", ("POST",), "feedback", handler=toy_handler, max_body_kb=1)


async def toy_id(request: IncomingRequest) -> Response:
    """Says which request a line of the log would be of."""
    assert request.id == ID_OF_LOG.get()
    return PlainTextResponse(ID_OF_LOG.get())


TOY_OF_ID = Route("/toy-id", ("GET",), "open", handler=toy_id)


class ToyBody(BaseModel):
    """What a toy route takes."""

    label: str


class ToyCheck:
    """Refuses who does not say the word, and notes what each request asks for."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    async def __call__(self, request: IncomingRequest, route: Route) -> None:
        """A check."""
        self.scopes.append(route.scope)
        if request.header(b"x-word") != "sesame":
            raise BadHeader("X-Word: expected the word.")


async def test_a_new_route_is_reached(make: Callable[..., Setup]) -> None:
    """One record is enough: the door reads its body, and errors are problems."""
    setup = make(more_routes=[TOY])
    answer = await setup.send("/toy", b"hello")
    assert answer.json() == {"body": "hello", "id": REQUEST_ID}
    assert_problem(await setup.send("/toy", b"fail"), 503, "not_ready")
    assert_problem(await setup.send("/toy", b" " * 1_025), 413, "body_too_large")
    wrong = await setup.client.get(f"{PREFIX}/toy")
    assert_problem(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


async def test_what_is_logged_in_a_request_knows_its_id(make: Callable[..., Setup]) -> None:
    """A client's own id, or the new one that stands in the answer."""
    setup = make(more_routes=[TOY_OF_ID])
    answer = await setup.client.get(f"{PREFIX}/toy-id", headers={"x-request-id": "from-a-client"})
    assert answer.text == "from-a-client"
    answer = await setup.client.get(f"{PREFIX}/toy-id", headers={"x-request-id": ""})
    assert len(answer.text) == 32
    assert answer.text != "from-a-client"


async def test_a_new_route_can_document_itself() -> None:
    """What it says of itself stands in openapi.json, with the models that it refers to."""

    def document(limits: Limits) -> Documented:
        return Documented({"summary": f"up to {limits.max_rows}"}, (ToyBody,))

    route = Route("/toy", ("POST",), "feedback", toy_handler, document=document)
    async with client_of(create_app(SPEC, FakeBackend(SPEC), more_routes=[route])) as client:
        found = (await client.get("/openapi.json")).json()
    assert found["paths"]["/toy"] == {"post": {"summary": "up to 100"}}
    assert found["components"]["schemas"]["ToyBody"]["required"] == ["label"]


EVERYWHERE = [
    ("POST", "/v1/predict", "predict"),
    ("POST", "/predict/batch", "predict"),
    ("POST", "/toy", "feedback"),
    ("GET", "/health", "open"),
    ("GET", "/v1/model", "open"),
    ("GET", "/v1/rollout", "admin"),
    ("POST", "/v1/rollout/abort", "admin"),
    ("GET", "/docs", "open"),
    ("GET", "/openapi.json", "open"),
    ("GET", "/static-offline-docs/swagger-ui.css", "open"),
    ("GET", "/nothing", "admin"),
    ("GET", "/v1/predict", "open"),
]


@pytest.mark.parametrize(("method", "path", "scope"), EVERYWHERE)
async def test_a_new_check_is_passed_by_every_route(
    make: Callable[..., Setup], method: str, path: str, scope: str
) -> None:
    """It sees what the route asks of a caller; without the word, no handler sees the request."""
    check = ToyCheck()
    setup = make(more_routes=[TOY], more_checks=[check])
    url = PREFIX + path
    refused = await setup.client.request(method, url, content=b"{}")
    assert_problem(refused, 400, "bad_header")
    assert setup.operator.commands == setup.backend.asked == []
    passed = await setup.client.request(method, url, content=b"{}", headers={"x-word": "sesame"})
    assert passed.status_code != 400
    assert check.scopes == [scope, scope]


async def test_a_route_has_its_own_manner_of_errors(make: Callable[..., Setup]) -> None:
    """The same writer tells what a check refuses and what the handler raises."""
    route = Route("/toy", ("POST",), "open", toy_handler, toy_error, max_body_kb=1)
    setup = make(more_routes=[route])
    assert (await setup.send("/toy", b"fail")).text == f"not_ready {REQUEST_ID}"
    assert (await setup.send("/toy", b" " * 1_025)).text == f"body_too_large {REQUEST_ID}"


def test_a_manner_of_errors_without_a_handler_is_refused_at_the_start() -> None:
    """What FastAPI's own handler raises would be told in another one."""
    with pytest.raises(ValueError, match=r"^/toy: found a writer of errors without a handler"):
        Route("/toy", ("POST",), "open", write_error=toy_error)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/predict", ("POST",)),
        ("/health", ("GET",)),
        ("/openapi.json", ("HEAD",)),
        ("/v1/rollout/{action}", ("POST",)),
        ("/static-offline-docs/{file:path}", ("GET",)),
    ],
)
def test_a_path_that_is_declared_twice_is_refused_at_the_start(
    path: str, methods: tuple[str, ...]
) -> None:
    """The second one would never be reached, or the first; whoever adds it must know."""
    twice = Route(path, methods, "open", handler=toy_handler)
    with pytest.raises(ValueError, match=f"{methods[0]} {path[:8]}.*: found two routes"):
        create_app(SPEC, FakeBackend(SPEC), FakeOperator(), more_routes=[twice])


async def test_two_methods_of_one_path_are_two_routes() -> None:
    """A path is declared twice only if a method is."""
    other = Route("/predict", ("DELETE",), "admin", handler=toy_handler)
    app = create_app(SPEC, FakeBackend(SPEC), more_routes=[other])
    async with client_of(app) as client:
        assert (await client.delete("/predict")).status_code == 200
        assert (await client.post("/predict", json=ROW)).status_code == 200
        assert (await client.get("/predict")).headers["allow"] == "POST, DELETE"


async def test_an_error_handler_that_is_added_later_counts() -> None:
    """Nothing depends on the order of lines in the making of the application."""

    async def teapot(_: Request, __: Exception) -> Response:
        return Response(status_code=418)

    operator = FakeOperator()
    operator.answer = NotReady("not yet")
    app = create_app(SPEC, FakeBackend(SPEC), operator)
    app.add_exception_handler(NotReady, teapot)
    async with client_of(app) as client:
        assert (await client.get("/v1/rollout")).status_code == 418


async def test_a_route_that_fastapi_got_later_is_reached_by_those_who_may_do_everything() -> None:
    """It is not silently ignored, and not silently open."""
    check = ToyCheck()
    app = create_app(SPEC, FakeBackend(SPEC), more_checks=[check])

    @app.get("/later")
    async def later() -> str:
        return "reached"

    async with client_of(app, headers={"x-word": "sesame"}) as client:
        assert (await client.get("/later")).json() == "reached"
    assert check.scopes == ["admin"]


async def test_an_over_full_server_says_so_before_a_byte_of_the_body_comes(setup: Setup) -> None:
    """429 with the table's Retry-After and the request's id; the body is not even asked for."""
    setup.backend.limits = patient(max_rows_under_way=7, retry_after_s=9)
    setup.backend.rows_under_way = 7
    for path in ("/v1/predict", "/predict/batch"):
        asked: list[int] = []
        async with asyncio.timeout(PATIENCE_S):
            answer = await setup.send(path, nothing(asked))
        assert_problem(answer, 429, "overloaded")
        assert answer.headers["retry-after"] == "9"
        assert "7 rows" in answer.json()["detail"]
        assert asked == []
    assert setup.backend.asked == []
    setup.backend.rows_under_way = 6
    assert (await setup.predict()).status_code == 200


async def test_room_is_looked_at_before_anything_else_of_the_body(setup: Setup) -> None:
    """The checks stand in an order: without room, not even the body's type is looked at."""
    setup.backend.limits = patient(max_rows_under_way=1)
    setup.backend.rows_under_way = 1
    answer = await setup.send("/predict", b"", **{"content-type": "text/plain"})
    assert_problem(answer, 429, "overloaded")


@pytest.mark.parametrize("path", ["/v1/predict", "/predict/batch"])
async def test_who_would_wait_for_much_work_is_told_so(
    setup: Setup, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is ready at once the first 100 ms are answered; the rest is 429 before its rows."""
    setup.backend.limits = patient(max_wait_ms=100, retry_after_s=9)
    seconds = [0.0]
    monkeypatch.setattr("serve_app.http.turns.thread_time", lambda: seconds[0])
    answer = setup.backend.predict

    async def expensive(*asked: Any) -> Any:
        seconds[0] += 0.03
        return await answer(*asked)

    setup.backend.predict = expensive  # type: ignore[method-assign]
    row = ROW if path == "/v1/predict" else [ROW]
    url = PREFIX + path
    found = await asyncio.gather(*(setup.client.post(url, json=row) for _ in range(8)))
    assert [one.status_code for one in found] == [200] * 4 + [429] * 4
    assert_problem(found[-1], 429, "overloaded")
    assert found[-1].headers["retry-after"] == "9"
    assert "100 ms" in found[-1].json()["detail"]
    # The next turn begins with nothing before it.
    assert (await setup.client.post(url, json=row)).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/model", "/v1/rollout", "/docs"])
async def test_an_over_full_server_still_tells_how_it_is(setup: Setup, path: str) -> None:
    """Only predictions are work: probes and people are answered."""
    setup.backend.limits = patient(max_rows_under_way=1)
    setup.backend.rows_under_way = 1_000
    assert (await setup.client.get(PREFIX + path)).status_code == 200


async def test_a_request_whose_body_is_still_coming_takes_room(setup: Setup) -> None:
    """What is let in is answered, however full it gets meanwhile; then there is room again."""
    setup.backend.limits = patient(max_rows_under_way=1)
    asked = asyncio.Event()
    rest = asyncio.Event()
    row = httpx.Request("POST", "http://sluice", json=ROW).content

    async def slow() -> AsyncIterator[bytes]:
        yield row[:10]
        asked.set()
        await rest.wait()
        yield row[10:]

    first = asyncio.create_task(setup.send("/predict", slow()))
    async with asyncio.timeout(PATIENCE_S):
        await asked.wait()
        assert_problem(await setup.predict(), 429, "overloaded")
        rest.set()
        assert (await first).status_code == 200
        assert (await setup.predict()).status_code == 200


async def test_a_client_that_leaves_in_the_middle_of_its_body_takes_no_room(setup: Setup) -> None:
    """Whatever ends the wait for a body, its room is free again."""
    setup.backend.limits = patient(max_rows_under_way=1)
    asked: list[int] = []
    first = asyncio.create_task(setup.send("/predict", nothing(asked)))
    await until(lambda: asked)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await setup.predict()).status_code == 200


@pytest.mark.parametrize("path", ["/v1/predict", "/predict/batch", "/v1/rollout/abort"])
async def test_a_half_sent_body_is_answered_in_time(setup: Setup, path: str) -> None:
    """408 after `limits.body_timeout_s`, and the connection ends: the rest may still come."""
    setup.backend.limits = patient(body_timeout_s=1)
    async with asyncio.timeout(PATIENCE_S):
        answer = await setup.send(path, half())
    assert_problem(answer, 408, "body_too_slow")
    assert "1 s" in answer.json()["detail"]
    assert answer.headers["connection"] == "close"
    document = setup.app.openapi()
    path = "/v1/rollout/{command}" if "rollout" in path else path
    assert "408" in document["paths"][path]["post"]["responses"]
    assert setup.backend.asked == setup.operator.commands == []
    assert (await setup.predict()).status_code == 200


async def test_a_route_without_a_body_waits_for_none(setup: Setup) -> None:
    """A probe with a half-sent body is answered at once."""
    asked: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        answer = await setup.client.request("GET", f"{PREFIX}/health", content=nothing(asked))
        unknown = await setup.send("/nothing", nothing(asked))
    assert (answer.status_code, unknown.status_code) == (200, 404)
    assert asked == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health/"),
        ("GET", "/ready/"),
        ("POST", "/v1/predict/"),
        ("GET", "/v1/rollout/"),
        ("GET", "/docs/"),
        ("GET", "//health"),
    ],
)
async def test_nobody_is_redirected(setup: Setup, method: str, path: str) -> None:
    """A redirect would go to whatever host the client claims to have asked."""
    headers = {"host": "evil.example"}
    answer = await setup.client.request(method, PREFIX + path, content=b"{}", headers=headers)
    assert_problem(answer, 404, "not_found")
    assert "location" not in answer.headers
    assert "evil" not in answer.text


async def test_the_models_own_path_is_its_first_page_with_and_without_a_slash(
    setup: Setup,
) -> None:
    """`/churn` and `/churn/` are one page, and neither leads elsewhere."""
    for path in (PREFIX, f"{PREFIX}/"):
        answer = await setup.client.get(path)
        assert answer.status_code == 200
        assert answer.json()["links"]["health"] == f"{PREFIX}/health"


@pytest.mark.parametrize("path", ["/health", "/ready"])
@pytest.mark.parametrize("is_ready", [True, False])
async def test_probes_may_ask_by_head(setup: Setup, path: str, is_ready: bool) -> None:
    """Some load balancers do: the same status and headers as by GET."""
    setup.backend.is_ready = is_ready
    by_get = await setup.client.get(PREFIX + path)
    by_head = await setup.client.head(PREFIX + path)
    assert by_head.status_code == by_get.status_code
    assert by_head.headers == by_get.headers
    assert by_head.content == b""


async def test_a_request_id_reaches_every_handler(setup: Setup) -> None:
    """FastAPI's routes and the door's own tell the same id."""
    setup.operator.answer = NotReady("not yet")
    given = "A-client.s_own-" + "7" * 113
    for answer in (
        await setup.client.get(f"{PREFIX}/v1/rollout", headers={"x-request-id": given}),
        await setup.send("/predict", b"{", **{"x-request-id": given}),
        await setup.client.get(f"{PREFIX}/nothing", headers={"x-request-id": given}),
    ):
        assert answer.json()["request_id"] == given


async def test_without_a_request_id_an_error_has_a_new_one_each_time() -> None:
    """Whoever asks about it can name it."""
    async with client_of(create_app(SPEC, FakeBackend(SPEC))) as client:
        ids = {(await client.get("/nothing")).json()["request_id"] for _ in range(3)}
    assert {len(found) for found in ids} == {32}
    assert len(ids) == 3


async def test_a_connection_that_is_no_http_request_is_fastapis() -> None:
    """The life of the server, for one, at whose end it does what was asked."""
    ended: list[int] = []

    async def at_end() -> None:
        ended.append(len(sent))

    app = create_app(SPEC, FakeBackend(SPEC), at_end=at_end)
    assert isinstance(app.state.door, Door)
    sent: list[str] = []
    told = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(told)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan", "app": app}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert ended == [1], "after the start and before the end is told"
