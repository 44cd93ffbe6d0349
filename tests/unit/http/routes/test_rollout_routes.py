"""The routes of a rollout: what is told, what is commanded, and every refusal as a problem."""

from collections.abc import AsyncIterator
from typing import Any, get_args

import httpx
import pytest
from fakes import REQUEST_ID, FakeBackend, FakeOperator, assert_problem, client_of
from views import rollout_view

from serve_app.errors import CommandRefused, NoRollout, NotReady
from serve_app.http.application import create_app
from serve_app.models import get_spec
from serve_app.rollout.command import CommandName
from serve_app.rollout.view import RolloutView, Unknown

SPEC = get_spec("churn")
JSON = {"content-type": "application/json", "x-request-id": REQUEST_ID}


@pytest.fixture
def operator() -> FakeOperator:
    """The coordinator."""
    return FakeOperator()


@pytest.fixture
async def client(operator: FakeOperator) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the routes."""
    app = create_app(SPEC, FakeBackend(SPEC), operator)
    async with client_of(app, headers=JSON) as client:
        yield client


async def test_the_rollout_is_told_as_it_is(client: httpx.AsyncClient) -> None:
    """With every decision; what a client reads is what the command line reads."""
    answer = await client.get("/v1/rollout")
    assert answer.status_code == 200
    assert RolloutView.model_validate_json(answer.content) == rollout_view()
    assert [event["kind"] for event in answer.json()["events"]] == ["claimed", "entered", "entered"]


@pytest.mark.parametrize("action", get_args(CommandName))
async def test_a_command_reaches_the_coordinator(
    client: httpx.AsyncClient, operator: FakeOperator, action: str
) -> None:
    """With who gave it, and why; both may be left out."""
    await client.post(f"/v1/rollout/{action}", json={"by": "ada", "reason": "tickets"})
    answer = await client.post(f"/v1/rollout/{action}", content=b"{}")
    assert answer.status_code == 200
    assert operator.commands == [(action, "ada", "tickets"), (action, "http", "")]


@pytest.mark.parametrize(
    ("found", "status", "code"),
    [
        (Unknown(status="none", detail="The table has no `rollout`."), 404, "no_rollout"),
        (NoRollout("The table has no `rollout`."), 404, "no_rollout"),
        (Unknown(status="unknown", detail="The coordinator has just started."), 503, "not_ready"),
        (NotReady("The coordinator does not answer."), 503, "not_ready"),
        (
            CommandRefused("promote: the rollout is aborted; possible now: start"),
            409,
            "command_refused",
        ),
    ],
)
async def test_what_cannot_be_done_is_said(
    client: httpx.AsyncClient, operator: FakeOperator, found: Any, status: int, code: str
) -> None:
    """The status and each command answer with the same problem."""
    operator.answer = found
    assert_problem(await client.get("/v1/rollout"), status, code)
    assert_problem(await client.post("/v1/rollout/promote", json={}), status, code)


SECRET = "secret-4711"


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "code"),
    [
        (SECRET, b"{}", {}, 422, "bad_command"),
        ("abort", f'{{"{SECRET}": 1}}', {}, 422, "bad_command"),
        ("abort", f'{{"by": ["{SECRET}"]}}', {}, 422, "bad_command"),
        ("abort", f'{{"reason": "{SECRET * 100}"}}', {}, 422, "bad_command"),
        ("abort", f'{{"by": "\\u001b[2J{SECRET}"}}', {}, 422, "bad_command"),
        ("abort", f'{{"reason": "\\u009b2J{SECRET}"}}', {}, 422, "bad_command"),
        ("abort", f'{{"reason": "\\u202e{SECRET}"}}', {}, 422, "bad_command"),
        ("abort", f'"{SECRET}"', {}, 422, "bad_command"),
        ("abort", b'{"by": "\xff"}', {}, 422, "bad_command"),
        ("abort", SECRET, {}, 422, "bad_command"),
        ("abort", b" " * 5_000, {}, 413, "body_too_large"),
        ("abort", b"{}", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
    ],
)
async def test_a_bad_command_is_refused_and_never_echoed(
    client: httpx.AsyncClient,
    operator: FakeOperator,
    path: str,
    content: Any,
    headers: Any,
    status: int,
    code: str,
) -> None:
    """And reaches nobody. A form of another page cannot command either: it cannot send JSON."""
    answer = await client.post(f"/v1/rollout/{path}", content=content, headers=headers)
    assert_problem(answer, status, code)
    assert SECRET not in answer.text
    assert operator.commands == []


async def test_a_coordinator_that_is_away_is_not_taken_for_a_stable_version_that_is(
    client: httpx.AsyncClient, operator: FakeOperator
) -> None:
    """Stable answers everybody meanwhile; the code stays what programs know."""
    operator.answer = NotReady("The coordinator does not answer (TimeoutError).")
    for answer in (
        await client.get("/v1/rollout"),
        await client.post("/v1/rollout/out", json={}),
    ):
        assert answer.json()["title"] == "The coordinator cannot confirm it now"
        assert answer.json()["detail"] == "The coordinator does not answer (TimeoutError)."


async def test_a_command_by_get_is_not_allowed(client: httpx.AsyncClient) -> None:
    """No link and no crawler ends a rollout."""
    assert (await client.get("/v1/rollout/abort")).status_code == 405
