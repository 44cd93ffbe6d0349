"""Keys at the door: who may do what, told alike through FastAPI and in front of Ray."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
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
)
from hypothesis import given, settings
from hypothesis import strategies as st
from keyring import ENTRIES, WRONG_KEYS, entry, key_of, keyed, write_keys
from starlette.responses import JSONResponse, Response

from serve_app.access.auth import Auth
from serve_app.access.keys import KeyFile, Keys
from serve_app.errors import KeyRequired
from serve_app.http.application import create_app
from serve_app.http.permission import KeyCheck
from serve_app.http.request import IncomingRequest
from serve_app.http.route import Route
from serve_app.models import get_spec
from serve_app.serving.status import Readiness, VersionStatus
from serve_app.settings import Limits

SPEC = get_spec("churn")
ROW = example_rows(SPEC)[0]
JSON = {"content-type": "application/json", "x-request-id": REQUEST_ID}
WHY = "/srv/secret-store/churn/1.0.0/manifest.json: not found"


async def who(request: IncomingRequest) -> Response:
    """Says who asks, as a handler and the rate limits see it."""
    caller = request.caller
    found = None if caller is None else [caller.id, caller.rows_per_s, caller.burst_rows]
    return JSONResponse(found)


TOYS = (
    Route("/toy", ("POST",), "feedback", handler=who),
    Route("/who", ("POST",), "predict", handler=who),
)


class Keyed(BehindDoor):
    """An application that asks for keys, reached one way or the other under a prefix."""

    def __init__(self, way: str, auth: Auth) -> None:
        super().__init__(way, SPEC, JSON, auth=auth, more_routes=TOYS)

    async def ask(
        self, method: str, path: str, id_: str | None = None, content: Any = None, **headers: str
    ) -> httpx.Response:
        """One request, with the key of this id."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if id_ is not None:
            sent["x-api-key"] = key_of(id_)
        return await self.client.request(method, PREFIX + path, headers=sent, content=content)

    async def predict(self, id_: str | None = None, **headers: str) -> httpx.Response:
        """One row."""
        content = httpx.Request("POST", "http://sluice", json=ROW).content
        return await self.ask("POST", "/v1/predict", id_, content, **headers)


@pytest.fixture
def make(way: str) -> Callable[[Auth], Keyed]:
    """Makes an application of each way."""
    return lambda auth: Keyed(way, auth)


@pytest.fixture
def api(make: Callable[[Auth], Keyed], tmp_path: Path) -> Keyed:
    """An application with the keys of shop (predict), labels (feedback), ops (admin), and old."""
    return make(keyed(tmp_path)[0])


# What each of them is told: without a key, shop (predict), labels (feedback), ops (admin).
EVERYWHERE = [
    ("POST", "/v1/predict", (401, 200, 403, 200)),
    ("POST", "/predict", (401, 200, 403, 200)),
    ("POST", "/toy", (401, 403, 200, 200)),
    ("GET", "/v1/rollout", (401, 403, 403, 200)),
    ("POST", "/v1/rollout/abort", (401, 403, 403, 200)),
    ("POST", "/v1/rollout/nonsense", (401, 403, 403, 422)),
    ("GET", "/health", (200, 200, 200, 200)),
    ("GET", "/ready", (200, 200, 200, 200)),
    ("HEAD", "/ready", (200, 200, 200, 200)),
    ("GET", "/v1/model", (200, 200, 200, 200)),
    ("GET", "", (200, 200, 200, 200)),
    ("GET", "/docs", (200, 200, 200, 200)),
    ("GET", "/nothing", (401, 404, 404, 404)),
    ("GET", "/v1/predict", (405, 405, 405, 405)),
]


async def test_whoever_has_no_right_key_is_counted_on_every_route(api: Keyed) -> None:
    """Guesses at an admin's key are no predictions; operators watch one number for both."""
    for method, path in (("POST", "/v1/rollout/out"), ("GET", "/v1/rollout"), ("GET", "/nothing")):
        assert (await api.ask(method, path)).status_code == 401
    assert (await api.ask("POST", "/v1/rollout/out", "shop")).status_code == 403
    assert (await api.ask("POST", "/toy", "shop")).status_code == 403
    assert (await api.ask("GET", "/health")).status_code == 200
    assert api.app.state.door.counts == {401: 3, 403: 2}


@pytest.mark.parametrize(("method", "path", "statuses"), EVERYWHERE)
async def test_each_route_lets_in_who_has_its_scope(
    api: Keyed, method: str, path: str, statuses: tuple[int, ...]
) -> None:
    """An admin everybody else's too; what is open stays open for probes."""
    row = httpx.Request("POST", "http://sluice", json=ROW).content
    content = row if "predict" in path else b"{}"
    found = [
        (await api.ask(method, path, id_, content)).status_code
        for id_ in (None, "shop", "labels", "ops")
    ]
    assert tuple(found) == statuses
    n_commands = 1 if path.endswith("/abort") else 0
    assert len(api.operator.commands) == n_commands


async def test_every_wrong_key_gets_the_same_answer_to_the_byte(api: Keyed) -> None:
    """Nobody learns from it which ids there are, or that a key was valid once."""
    answers = set()
    for wrong in WRONG_KEYS.values():
        answer = await api.predict(**({} if wrong is None else {"x_api_key": wrong}))
        answers.add((answer.status_code, tuple(answer.headers.raw), answer.content))
    assert len(answers) == 1
    body = assert_problem(answer, 401, "key_required")
    assert body["detail"] == "X-API-Key: expected a valid key, <id>.<secret>."
    assert answer.headers["www-authenticate"] == 'ApiKey realm="sluice", header="X-API-Key"'
    assert api.backend.asked == []


@pytest.mark.parametrize("path", ["/v1/predict", "/predict/batch", "/v1/rollout/abort"])
async def test_who_has_no_key_cannot_send_a_body_nor_learn_how_busy_it_is(
    api: Keyed, path: str
) -> None:
    """The key comes before room and body: not a byte is asked for."""
    api.backend.limits = patient(max_rows_under_way=1)
    api.backend.rows_under_way = 1
    asked: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        asked.append(1)
        await asyncio.Event().wait()
        yield b""

    async with asyncio.timeout(300):
        answer = await api.ask("POST", path, "nobody", body())
    assert_problem(answer, 401, "key_required")
    assert asked == []
    if "predict" in path:
        assert_problem(await api.predict("shop"), 429, "overloaded")


async def test_an_old_key_does_not_keep_a_probe_from_an_open_route(api: Keyed) -> None:
    """A load balancer that sends it must not take the server out."""
    assert (await api.ask("GET", "/ready", "old")).status_code == 200


@pytest.mark.parametrize("version", ["2.0.0", ""])
async def test_to_name_the_version_that_answers_takes_an_admin(api: Keyed, version: str) -> None:
    """It goes past the rollout: whoever can force a candidate is served by it before its time."""
    refused = assert_problem(await api.predict("shop", x_model_version=version), 403, "not_allowed")
    assert refused["detail"] == "X-Model-Version takes a key with the scope admin."
    assert api.backend.asked == []
    assert (await api.predict("ops", x_model_version="2.0.0")).status_code == 200
    assert api.backend.asked[0].forced == "2.0.0"


async def test_what_a_key_does_not_allow_is_said_with_the_scope_that_is_needed(api: Keyed) -> None:
    """Its owner asks for another key, and not what is wrong with this one."""
    answer = await api.ask("GET", "/v1/rollout", "shop")
    body = assert_problem(answer, 403, "not_allowed")
    assert body["detail"] == "This route takes a key with the scope admin."


async def test_a_handler_knows_who_asks_and_how_much_they_may(api: Keyed) -> None:
    """The rates of the file reach the limits of rates."""
    assert (await api.ask("POST", "/who", "shop")).json() == ["shop", 50, 100]
    assert (await api.ask("POST", "/who", "ops")).json() == ["ops", None, None]


async def test_a_command_is_signed_by_the_key_it_came_with(api: Keyed) -> None:
    """`by` is what a person says of themselves; the log has whose key it was too."""
    await api.ask("POST", "/v1/rollout/abort", "ops", b'{"by": "ada", "reason": "slow"}')
    assert api.operator.commands == [("abort", "ada (key ops)", "slow")]


async def test_a_key_that_is_revoked_is_refused_from_the_next_look_on(
    make: Callable[[Auth], Keyed], tmp_path: Path
) -> None:
    """Without a new process, and the other keys go on."""
    auth, file = keyed(tmp_path)
    api = make(auth)
    assert (await api.predict("shop")).status_code == 200
    write_keys(tmp_path / "keys.yaml", entry("next", "predict"))
    file.look()
    assert (await api.predict("shop")).status_code == 401
    assert (await api.predict("next")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/%72ollout/abort",
        "/v1/rollout/%61bort",
        "/v1/%70redict",
        "/%76%31/predict",
        "/v1/predict%2Fbatch",
        "/%E2%82%AC",
        "/v1/predict%20",
        "/hea%6Cth",
    ],
)
@pytest.mark.parametrize("auth", ["keys", "open"])
async def test_a_path_that_means_another_one_is_refused(
    make: Callable[[Auth], Keyed], tmp_path: Path, path: str, auth: str
) -> None:
    """A gateway that lets paths through by their text has read something else than we do."""
    api = make(keyed(tmp_path)[0] if auth == "keys" else Auth())
    for id_ in ("ops", None):
        answer = await api.ask("POST", path, id_, b"{}")
        body = assert_problem(answer, 400, "bad_path")
        assert path not in answer.text
        assert "percent-encoding" in body["detail"]
    assert api.operator.commands == api.backend.asked == []


async def test_a_prefix_that_is_encoded_is_refused_too(api: Keyed) -> None:
    """Also where the door puts the slash behind it."""
    for path in ("/%63hurn", "/%63hurn/health"):
        answer = await api.client.get(path)
        assert answer.status_code == 400
    assert (await api.client.get(PREFIX + "/")).status_code == 200
    assert (await api.client.get(PREFIX)).status_code == 200


def with_reasons(backend: FakeBackend) -> None:
    """Let it say of a version and of its table why they cannot be used."""
    broken = VersionStatus(
        state="failed", detail=WHY, placement="in_server", weight_percent=0, runtime=None,
        coalesces=None,
    )  # fmt: skip
    ready = broken.model_copy(update={"state": "ready", "detail": ""})
    versions = {"1.0.0": ready, "1.1.0": broken}

    async def readiness() -> Readiness:
        return Readiness(ready=True, stable="1.0.0", versions=versions, config_error=WHY)

    description = backend.description().model_copy(update={"versions": versions})
    backend.readiness = readiness  # type: ignore[method-assign]
    backend.description = lambda: description  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("auth", "id_", "is_shown"),
    [
        ("keys", "ops", True),
        ("keys", "shop", False),
        ("keys", "old", False),
        ("keys", None, False),
        ("open", None, True),
        ("disabled", None, False),
        ("disabled", "ops", False),
    ],
)
async def test_paths_are_shown_to_admins_and_to_the_user_of_the_machine_alone(
    make: Callable[[Auth], Keyed], tmp_path: Path, auth: str, id_: str | None, is_shown: bool
) -> None:
    """That something is wrong, and with which version, everybody may know; not where it lies."""
    found = keyed(tmp_path)[0] if auth == "keys" else Auth(is_disabled=auth == "disabled")
    api = make(found)
    with_reasons(api.backend)
    for path in ("/ready", "/v1/model"):
        answer = await api.ask("GET", path, id_)
        assert (WHY in answer.text) is is_shown
        versions = answer.json()["versions"]
        assert versions["1.1.0"]["state"] == "failed"
        assert versions["1.1.0"]["detail"]
        assert versions["1.0.0"]["detail"] == ""
        assert "srv" not in answer.text or is_shown
    assert (await api.ask("GET", "/ready", id_)).json()["config_error"]


async def test_a_key_file_that_is_refused_stands_in_ready(
    make: Callable[[Auth], Keyed], tmp_path: Path
) -> None:
    """For an admin with the reason, for others without; the server is as ready as before."""
    auth, file = keyed(tmp_path)
    api = make(auth)
    assert (await api.ask("GET", "/ready")).json()["keys_error"] is None
    (tmp_path / "keys.yaml").write_text("keys: 3")
    file.look()
    told = (await api.ask("GET", "/ready", "ops")).json()["keys_error"]
    assert "expected a mapping with one key" in told
    hidden = await api.ask("GET", "/ready")
    assert hidden.status_code == 200
    assert hidden.json()["keys_error"]
    assert str(tmp_path) not in hidden.text


SCHEME = {"type": "apiKey", "in": "header", "name": "X-API-Key"}


async def test_the_document_asks_for_a_key_where_the_routes_do(api: Keyed) -> None:
    """So that generated clients have a place for it, and `/docs` a button."""
    document = (await api.ask("GET", "/openapi.json")).json()
    scheme = document["components"]["securitySchemes"]["ApiKey"]
    assert {name: scheme[name] for name in SCHEME} == SCHEME
    secured = {
        f"{method} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation.get("security") == [{"ApiKey": []}]
    }
    assert secured == {
        "post /v1/predict",
        "post /predict",
        "post /v1/predict/batch",
        "post /predict/batch",
        "get /v1/rollout",
        "post /v1/rollout/{command}",
    }
    for word in secured:
        method, path = word.split()
        assert {"401", "403"} <= set(document["paths"][path][method]["responses"])


async def test_a_document_without_keys_asks_for_none() -> None:
    """The kept documents are of a server that is open on its machine."""
    async with client_of(create_app(SPEC, FakeBackend(SPEC), FakeOperator())) as client:
        assert "ApiKey" not in (await client.get("/openapi.json")).text


PREDICT = Route("/v1/predict", ("POST",), "predict")
IN_MEMORY: Any = SimpleNamespace(keys=Keys(KeyFile(keys=ENTRIES)), error=None)
CHECK = KeyCheck(Auth(IN_MEMORY))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([b"x-api-key", b"x-other"]), st.binary(max_size=300))))
def test_no_header_of_any_bytes_gets_past_the_door(headers: list[tuple[bytes, bytes]]) -> None:
    """Twice, empty, without UTF-8: it is a 401, and never a fault of ours."""
    scope: Any = {"type": "http", "path": "/v1/predict", "headers": headers}

    async def never() -> Any:
        raise AssertionError("nothing of the body is read")

    request = IncomingRequest(scope, never, Limits())
    with pytest.raises(KeyRequired):
        asyncio.run(CHECK.look(request, PREDICT))
