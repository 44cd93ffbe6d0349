"""`sluice rollout` against a real HTTP server that answers what a Sluice server would."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import pytest
from answering import QuietHandler, answering
from typer.testing import CliRunner
from views import rollout_view

from serve_app.commands import rollout as commands
from serve_app.commands.main import app
from serve_app.errors import Unconfirmed
from serve_app.rollout.command import CommandName


class Recorded:
    """Answers in turn, the last one again and again; keeps what was asked."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, bytes]] = []

    def next(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """The answer to this."""
        self.asked.append((method, path, body))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def ok(**changes: Any) -> tuple[int, bytes]:
    """A view."""
    return 200, rollout_view(**changes).model_dump_json().encode()


@pytest.fixture
def serve() -> Iterator[Any]:
    """Starts a server for recorded answers; its URL."""
    with ExitStack() as stack:

        def start(recorded: Recorded) -> str:
            class Handler(QuietHandler):
                def respond(self) -> None:
                    self.answer(*recorded.next(self.command, self.path, self.body()))

            return stack.enter_context(answering(Handler))

        yield start


def call(*words: str) -> Any:
    """The command; its result."""
    return CliRunner().invoke(app, ["rollout", *words])


def test_status_shows_steps_evidence_and_what_can_be_done(serve: Any) -> None:
    """The URL may have the prefix of a model."""
    recorded = Recorded(ok())
    found = call("status", "--url", serve(recorded) + "/delivery-time/")
    assert found.exit_code == 0, found.output
    assert recorded.asked == [("GET", "/delivery-time/v1/rollout", b"")]
    for part in (
        "1.0.0 → 1.1.0",
        "running at 5 %",
        "120 of 300 s, 150 of 300 requests",
        "5.9",
        "nps_score",
        "18 of 120",
        "0 of 2,850 bad",
        "sluice rollout out | pause | promote | abort | step",
    ):
        assert part in found.output, part


def test_status_as_json_is_what_the_server_said(serve: Any) -> None:
    """A program reads the same document as from the server."""
    found = call("status", "--json", "--url", serve(Recorded(ok())))
    assert json.loads(found.output)["candidate"] == "1.1.0"


def test_a_rollout_that_is_out_has_an_exit_code_of_its_own(serve: Any) -> None:
    """A pipeline of CI can stop there."""
    assert call("status", "--url", serve(Recorded(ok(status="aborted", share=0.0)))).exit_code == 3
    unwritten = ok(status="running", share=0.0, is_out=True)
    assert call("status", "--url", serve(Recorded(unwritten))).exit_code == 3


def test_watching_ends_by_itself_when_it_is_over(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is away for a moment does not end it."""
    monkeypatch.setattr(commands, "REFRESH_S", 0.01)
    recorded = Recorded(ok(), (502, b"bad gateway"), ok(status="baking", share=100.0, step=3),
                        ok(status="finished", share=100.0, step=3))  # fmt: skip
    found = call("status", "--watch", "--url", serve(recorded))
    assert found.exit_code == 0
    assert "finished at 100 %" in found.output
    assert len(recorded.asked) == 4


def write_config(path: Path, url: str) -> Path:
    """A file that serves one model at the root of a URL, and one below a prefix."""
    host, _, port = url.removeprefix("http://").partition(":")
    applications = [
        {
            "name": model,
            "route_prefix": prefix,
            "import_path": "serve_app.app:server",
            "args": {"model": model},
        }
        for model, prefix in (("churn", "/"), ("delivery_time", "/delivery-time"))
    ]
    values = {"http_options": {"host": host, "port": int(port)}, "applications": applications}
    path.write_text(json.dumps(values))
    return path


@pytest.mark.parametrize(
    ("words", "path", "model"),
    [
        ([], "/v1/rollout", "churn"),
        (["--model", "delivery_time"], "/delivery-time/v1/rollout", "delivery_time"),
    ],
)
def test_the_file_says_where_the_server_is_and_the_command_says_which_it_asked(
    serve: Any, tmp_path: Path, words: list[str], path: str, model: str
) -> None:
    """Without --url; what a program reads on stdout stays one document."""
    recorded = Recorded(ok())
    url = serve(recorded)
    config = write_config(tmp_path / "serve_config.yaml", url)
    found = call("status", "--json", "--config", str(config), *words)
    assert found.exit_code == 0, found.output
    assert recorded.asked == [("GET", path, b"")]
    assert f"{model} at {url}" in found.stderr
    assert json.loads(found.stdout)["candidate"] == "1.1.0"
    assert call("abort", "--config", str(config), *words).exit_code == 0
    assert recorded.asked[1][:2] == ("POST", f"{path}/abort")


def test_a_model_that_the_file_does_not_serve_is_a_sentence(tmp_path: Path) -> None:
    """It lists those that are served; nobody is asked."""
    config = write_config(tmp_path / "serve_config.yaml", "http://127.0.0.1:1")
    found = call("abort", "--model", "chrun", "--config", str(config))
    assert found.exit_code == 1
    assert "--model: found chrun, expected one that" in found.output
    assert "churn, delivery_time" in found.output.replace("\n", " ")


NO_ROLLOUT = json.dumps(
    {"title": "No rollout", "detail": "The table has no `rollout`.", "code": "no_rollout"}
).encode()


def test_who_watches_right_after_a_deploy_waits_for_the_rollout_to_begin(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`serve deploy` ends before the server has taken the file; without --watch it is an answer."""
    monkeypatch.setattr(commands, "REFRESH_S", 0.01)
    done = ok(status="finished", share=100.0, step=3)
    found = call("status", "--watch", "--url", serve(Recorded((404, NO_ROLLOUT), done)))
    assert found.exit_code == 0
    assert "waiting for the server" in found.output
    assert call("status", "--url", serve(Recorded((404, NO_ROLLOUT), done))).exit_code == 1


def test_who_watches_is_told_when_no_rollout_begins(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is the server's own."""
    monkeypatch.setattr(commands, "BEGIN_TIMEOUT_S", 0.0)
    found = call("status", "--watch", "--url", serve(Recorded((404, NO_ROLLOUT))))
    assert found.exit_code == 1
    assert "The table has no `rollout`." in found.output


@pytest.mark.parametrize("action", get_args(CommandName))
def test_a_command_says_who_and_why(serve: Any, action: str) -> None:
    """The answer shows how far the rollout is now."""
    recorded = Recorded(ok())
    found = call(action, "--by", "ada", "--reason", "tickets went up", "--url", serve(recorded))
    assert found.exit_code == 0
    method, path, body = recorded.asked[0]
    assert (method, path) == ("POST", f"/v1/rollout/{action}")
    assert json.loads(body) == {"by": "ada", "reason": "tickets went up"}
    assert "1.0.0 → 1.1.0" in found.output


PROBLEM = json.dumps({"title": "No rollout", "detail": "The table has no `rollout`."}).encode()
AWAY = json.dumps(
    {
        "title": Unconfirmed.title,
        "detail": "The coordinator does not answer (TimeoutError).",
        "code": Unconfirmed.code,
    }
).encode()


@pytest.mark.parametrize(
    ("answer", "exit_code", "said"),
    [
        ((404, PROBLEM), 1, "No rollout: The table has no `rollout`."),
        ((503, AWAY), 2, "cannot confirm it now: The coordinator does not answer (TimeoutError)."),
        ((404, b"not found"), 2, "not as a Sluice server does"),
        ((500, b"[1]"), 2, "not as a Sluice server does"),
        ((200, b"<html>"), 2, "the answer is no rollout"),
    ],
)
def test_an_answer_that_is_no_view_is_a_sentence(
    serve: Any, answer: Any, exit_code: int, said: str
) -> None:
    """The command ends with a sentence and a code, and without a traceback."""
    for words in (["status"], ["abort"]):
        found = call(*words, "--url", serve(Recorded(answer)))
        assert found.exit_code == exit_code
        assert said in found.output.replace("\n", " ")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "127.0.0.1:8000", "http://[", "http://127.0.0.1:x"]
)
def test_a_url_where_nobody_answers_is_a_sentence(url: str) -> None:
    """The sentence names the option that has the URL."""
    found = call("status", "--url", url)
    assert found.exit_code == 2, found.output
    assert "--url" in found.output
    assert not isinstance(found.exception, ValueError)
