"""What headers may hold, what every answer says in its own, and who may ask from a browser."""

import logging
import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import httpx
import pytest
from behind_door import PREFIX, BehindDoor
from fakes import client_of, example_rows

from serve_app.errors import NotReady
from serve_app.http.edge import Edge, put_in_front
from serve_app.models import get_spec

SPEC = get_spec("churn")
ROW = example_rows(SPEC)[0]
PAGE = "https://shop.example"
LONG = "a" * 129
# Letters that no request id has.
NOT_UTF_8 = b"zyx\xe9"


class RaysId:
    """Ray's own middleware around a replica: it repeats the first id that it is given."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.ids: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        ids = [value for name, value in scope["headers"] if name == b"x-request-id"] or [b"rays"]
        # A replica takes the last one, as Python's dict does, and reads it as UTF-8.
        ids[-1].decode()
        self.ids += ids

        async def with_id(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"X-Request-ID", ids[0])]
            await send(message)

        await self.app(scope, receive, with_id)


class Setup(BehindDoor):
    """A server as it is reached: through Ray's middleware and replica, or in front of them."""

    def __init__(self, way: str, **options: Any) -> None:
        super().__init__(way, SPEC, around=self._around, **options)

    def _around(self, app: Any) -> RaysId:
        self.ray = RaysId(app)
        return self.ray

    async def ask(self, method: str, path: str, *headers: tuple[str, Any]) -> httpx.Response:
        """A request with these headers, of which one may stand there twice."""
        content = b"{" if method == "POST" else None
        sent = [("content-type", "application/json"), *headers]
        return await self.client.request(method, PREFIX + path, content=content, headers=sent)


@pytest.fixture
def make(way: str) -> Callable[..., Setup]:
    """Makes a setup of each way."""
    return lambda **options: Setup(way, **options)


@pytest.fixture
def setup(make: Callable[..., Setup]) -> Setup:
    """A server as it is by default."""
    return make()


EVERYWHERE = [("POST", "/v1/predict"), ("GET", "/v1/rollout"), ("GET", "/nothing")]


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
@pytest.mark.parametrize("given", ["", "<script>", "a b", LONG, "ä", "a,b", "a\tb", 'a"b'])
async def test_an_id_that_cannot_stand_in_a_log_is_replaced(
    setup: Setup, method: str, path: str, given: str
) -> None:
    """By a new one, which stands in the answer's header and body alike; Ray sees only that one."""
    setup.operator.answer = NotReady("not yet")
    answer = await setup.ask(method, path, ("x-request-id", given.encode()))
    assert answer.status_code in (400, 404, 503)
    made = answer.json()["request_id"]
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert answer.headers.get_list("x-request-id") == [made]
    assert set(setup.ray.ids) <= {made.encode(), b"rays"}


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
@pytest.mark.parametrize("given", ["a", "A-1_b.2", "a" * 128])
async def test_a_good_id_comes_back_as_it_is(
    setup: Setup, method: str, path: str, given: str
) -> None:
    """Of two the first one counts, for Ray too."""
    setup.operator.answer = NotReady("not yet")
    sent = [("x-request-id", given), ("x-request-id", "<script>")]
    answer = await setup.ask(method, path, *sent)
    assert answer.json()["request_id"] == given
    assert answer.headers.get_list("x-request-id") == [given]
    assert set(setup.ray.ids) <= {given.encode(), b"rays"}


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
@pytest.mark.parametrize("name", ["X-Request-ID", "X-Request-Timeout-Seconds", "X-Routing-Key"])
async def test_header_bytes_that_are_no_text_are_a_400_and_stand_in_the_log(
    setup: Setup, caplog: pytest.LogCaptureFixture, method: str, path: str, name: str
) -> None:
    """Before Ray reads them as UTF-8, which is a 500 there; the name is told, not the value."""
    with caplog.at_level(logging.WARNING):
        answer = await setup.ask(method, path, (name.lower(), NOT_UTF_8))
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["code"], name.lower() in body["detail"].lower()) == ("bad_header", True)
    assert answer.headers["x-request-id"] == body["request_id"]
    (line,) = [record.getMessage() for record in caplog.records if "UTF-8" in record.getMessage()]
    assert body["request_id"] in line
    assert "zyx" not in line + answer.text
    text = await setup.ask(method, path, (name.lower(), "café".encode()))
    assert "UTF-8" not in text.text


ANSWERS = [
    ("GET", "/"),
    ("GET", "/health"),
    ("HEAD", "/ready"),
    ("GET", "/v1/model"),
    ("GET", "/v1/rollout"),
    ("GET", "/openapi.json"),
    ("GET", "/static-offline-docs/swagger-ui.css"),
    ("GET", "/nothing"),
    ("PUT", "/health"),
    ("POST", "/v1/predict"),
    ("POST", "/predict/batch"),
]


@pytest.mark.parametrize(("method", "path"), ANSWERS)
async def test_every_answer_says_what_a_browser_may_do_with_it(
    setup: Setup, method: str, path: str
) -> None:
    """Nothing: it is kept nowhere, taken for nothing else, and runs in no page and no frame."""
    answer = await setup.ask(method, path)
    for name, value in (
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
    ):
        assert answer.headers.get_list(name) == [value], name
    assert "access-control-allow-origin" not in answer.headers


async def test_a_good_prediction_says_so_too(setup: Setup) -> None:
    """It is about somebody, so that no cache may keep it."""
    answer = await setup.client.post(f"{PREFIX}/v1/predict", json=ROW)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.headers.get_list("x-request-id")) == 1


async def test_the_docs_page_may_run_its_own_script_and_no_other(setup: Setup) -> None:
    """By the digest of what stands in the page; everything else comes from this server."""
    page = await setup.client.get(f"{PREFIX}/docs")
    (policy,) = page.headers.get_list("content-security-policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    scripts = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    assert len(scripts) == 1
    digest = b64encode(sha256(scripts[0].encode()).digest()).decode()
    assert rules["script-src"] == f"'self' 'sha256-{digest}'"
    assert rules["default-src"] == rules["frame-ancestors"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert f"{PREFIX}/openapi.json" in page.text


async def test_without_docs_neither_page_nor_document_is_there(make: Callable[..., Setup]) -> None:
    """Nor their parts, nor links to them; predictions are what they were."""
    setup = make(docs=False)
    for path in ("/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css", "/redoc"):
        answer = await setup.client.get(PREFIX + path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    links = (await setup.client.get(f"{PREFIX}/")).json()["links"]
    assert sorted(links) == ["health", "model", "predict", "predict_batch", "ready", "rollout"]
    assert (await setup.client.post(f"{PREFIX}/v1/predict", json=ROW)).status_code == 200


async def test_a_page_of_a_listed_origin_may_ask(make: Callable[..., Setup]) -> None:
    """The browser asks first, then sends; the page may read ids, versions and when to try again."""
    setup = make(cors_origins=(PAGE,))
    before = await setup.client.options(
        f"{PREFIX}/v1/predict",
        headers={
            "origin": PAGE,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,x-api-key,x-routing-key",
        },
    )
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == PAGE
    assert "POST" in before.headers["access-control-allow-methods"]
    answer = await setup.client.post(
        f"{PREFIX}/v1/predict", json=ROW, headers={"origin": PAGE, "x-request-id": "r-1"}
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "access-control-allow-credentials" not in answer.headers
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"X-Request-ID", "X-Model-Version", "Retry-After"} <= set(exposed)
    assert answer.headers.get_list("x-request-id") == ["r-1"]


@pytest.mark.parametrize("origins", [(), ("https://other.example",)])
async def test_a_page_of_another_origin_may_not(
    make: Callable[..., Setup], origins: tuple[str, ...]
) -> None:
    """The browser is not told that it may, neither before nor with the answer."""
    setup = make(cors_origins=origins)
    before = await setup.client.options(
        f"{PREFIX}/v1/predict",
        headers={"origin": PAGE, "access-control-request-method": "POST"},
    )
    assert before.status_code in (400, 405)
    answer = await setup.client.post(f"{PREFIX}/v1/predict", json=ROW, headers={"origin": PAGE})
    for found in (before, answer):
        assert "access-control-allow-origin" not in found.headers


async def test_requests_without_an_origin_are_still_answered_in_front_of_ray() -> None:
    """Only browsers pay for the layer that knows origins."""
    setup = Setup("in front of Ray", cors_origins=(PAGE,))
    try:
        await setup.client.post(f"{PREFIX}/v1/predict", json=ROW)
        assert setup.replica.seen == []
        await setup.client.post(f"{PREFIX}/v1/predict", json=ROW, headers={"origin": PAGE})
        assert len(setup.replica.seen) == 1
    finally:
        put_in_front(None)


async def test_ray_looks_out_for_clients_where_no_server_is_in_the_process(
    make: Callable[..., Setup],
) -> None:
    """In Ray's proxies of plain mode: there it is Ray that ends what nobody waits for."""
    put_in_front(None)
    setup = Setup("through Ray")
    await setup.client.get(f"{PREFIX}/health")
    ((_, headers),) = setup.replica.seen
    assert b"x-request-disconnect-disabled" not in headers


async def test_what_ray_answers_itself_is_guarded_too() -> None:
    """Its 404 repeats the path in plain text."""

    async def ray(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"Path '/x' not found."})

    answer = await client_of(Edge(ray)).get("/x")
    assert answer.headers["x-content-type-options"] == "nosniff"
