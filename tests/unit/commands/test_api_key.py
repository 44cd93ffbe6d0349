"""Our own clients send the key of the environment, and only to whom it is meant for."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from answering import QuietHandler, answering
from fakes import example_rows
from typer.testing import CliRunner
from views import rollout_view

from serve_app.commands.api_key import add_key
from serve_app.commands.main import app
from serve_app.errors import KeyRequired, NotAllowed, SettingsError
from serve_app.http.problems import problem_response
from serve_app.models import get_spec

KEY = "ops.a-secret-of-a-test"
ROW = example_rows(get_spec("churn"))[0]


class Server:
    """Answers each request alike, and keeps the keys that it was sent."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b"{}"
        self.keys: list[str | None] = []
        self.url = ""


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Two of them."""
    made = [Server(), Server()]
    with ExitStack() as stack:
        for server in made:

            class Handler(QuietHandler):
                told = server

                def respond(self) -> None:
                    self.body()
                    self.told.keys.append(self.headers.get("X-API-Key"))
                    self.answer(self.told.status, self.told.body, self.told.headers)

            server.url = stack.enter_context(answering(Handler))
        yield made


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable of the environment."""
    monkeypatch.setenv("SLUICE_API_KEY", KEY)


def sluice(*words: Any) -> Any:
    """The command; its result."""
    return CliRunner().invoke(app, [str(word) for word in words])


def test_rollout_sends_the_key(servers: list[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """When it looks and when it commands; without the variable none is sent."""
    server = servers[0]
    server.body = rollout_view().model_dump_json().encode()
    assert sluice("rollout", "status", "--url", server.url).exit_code == 0
    assert sluice("rollout", "pause", "--url", server.url).exit_code == 0
    monkeypatch.delenv("SLUICE_API_KEY")
    assert sluice("rollout", "status", "--url", server.url).exit_code == 0
    assert server.keys == [KEY, KEY, None]


def test_score_sends_the_key(servers: list[Server], tmp_path: Path) -> None:
    """With each list of rows that it asks a server for."""
    server = servers[0]
    outcome = {"status": "error", "error": {"code": "invalid_rows", "detail": "no", "errors": []}}
    server.body = json.dumps({"predictions": [outcome]}).encode()
    rows = tmp_path / "rows.csv"
    rows.write_text(",".join(ROW) + "\n" + ",".join(map(str, ROW.values())) + "\n")
    found = sluice("score", "churn", rows, "--url", server.url)
    assert found.exit_code == 1, found.output
    assert server.keys == [KEY]


@pytest.mark.parametrize("error", [KeyRequired("X."), NotAllowed("Y.")])
def test_a_key_that_is_refused_is_said_with_where_it_comes_from(
    servers: list[Server], error: Any
) -> None:
    """A person who forgot to set it is told the name of the variable; the key is not repeated."""
    server = servers[0]
    server.status = error.status
    server.body = bytes(problem_response(error, "id-1").body)
    found = sluice("rollout", "status", "--url", server.url)
    assert found.exit_code == 1
    said = found.stderr.replace("\n", " ")
    assert error.title in said
    assert "sends the key that is in SLUICE_API_KEY" in said
    assert KEY not in found.output


def test_a_redirect_does_not_take_the_key_along(servers: list[Server]) -> None:
    """Whoever answers in our place must not send it to a server of their own."""
    first, second = servers
    first.status = 302
    first.headers = {"Location": second.url + "/v1/rollout"}
    second.body = rollout_view().model_dump_json().encode()
    sluice("rollout", "status", "--url", first.url)
    assert first.keys == [KEY]
    assert second.keys == [None]


@pytest.mark.parametrize("key", ["ops.with space", "ops.\u00fc", "ops.a\nX-Other: 1", "x" * 201])
def test_what_cannot_be_a_key_is_refused_without_being_repeated(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would become another header, or an error of the library that shows it."""
    monkeypatch.setenv("SLUICE_API_KEY", key)
    with pytest.raises(SettingsError) as caught:
        add_key(urllib.request.Request("http://127.0.0.1"))
    assert str(caught.value) == (
        "SLUICE_API_KEY: found what is no key, expected <id>.<secret> as `sluice keys add` "
        "printed it"
    )


def test_a_line_break_at_its_end_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when it was read from a file."""
    monkeypatch.setenv("SLUICE_API_KEY", KEY + "\n")
    request = urllib.request.Request("http://127.0.0.1")
    add_key(request)
    assert request.get_header("X-api-key") == KEY
