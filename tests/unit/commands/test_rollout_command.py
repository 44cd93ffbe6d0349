"""`sluice rollout` against a real HTTP server that answers what a Sluice server would."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner
from views import event, rollout_view

from serve_app.commands import rollout as commands
from serve_app.commands.main import app
from serve_app.commands.rollout_page import page
from serve_app.errors import Unconfirmed
from serve_app.rollout.fault import FAULTS
from serve_app.rollout.view import FailingSliceView, RailView, RolloutView, SliceView


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
    servers: list[tuple[HTTPServer, threading.Thread]] = []

    def start(recorded: Recorded) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer("GET")

            def do_POST(self) -> None:
                self._answer("POST")

            def _answer(self, method: str) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                status, answer = recorded.next(method, self.path, body)
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append((server, threading.Thread(target=server.serve_forever)))
        servers[-1][1].start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def call(*words: str) -> Any:
    """The command; its result."""
    return CliRunner().invoke(app, ["rollout", *words])


def rendered(view: RolloutView) -> str:
    """The page as text."""
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(page(view))
    console.file.close()
    return console.export_text()


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
        "sluice rollout out | pause | promote | abort",
    ):
        assert part in found.output, part


LONG = "more words than two lines of a terminal have room for, " * 4


FAILING_SLICE = FailingSliceView(
    feature="contract_length",
    rows="24 and more",
    stable_requests=1_300,
    stable_bad_requests=12,
    candidate_requests=140,
    candidate_bad_requests=29,
)


def fullest_view() -> RolloutView:
    """Everything at once, longer than anybody has seen it."""
    evidence = []
    for rail in ("errors", "slow", "disagreement"):
        for since in ("rollout", "step"):
            reason = (
                f"{rail}: 1234 of 5678 keys with an error were the candidate's since the {since} "
                "began; tolerated: up to 2345.1"
            )
            fields = {"log_e": 3.1, "limit": 5.878, "reason": reason}
            evidence.append(RailView(rail=rail, since=since, **fields))  # type: ignore[arg-type]
    numbers: dict[str, float | None] = {"psi": 0.0312, "mean_difference": -0.0012}
    numbers |= {"largest_shift": 0.3, "rank_correlation": 0.98}
    numbers |= {"stable_bad_requests": 31, "candidate_bad_requests": 12_345}
    numbers |= {f"candidate_{fault}_requests": 7 for fault in FAULTS}
    numbers["stable_late_requests"] = 31
    numbers |= {"stable_p95_ms": 3.364, "candidate_p95_ms": 107.6}
    return rollout_view(
        stable="1.0.0-rc.1",
        candidate="1.1.0-rc.12",
        status="held",
        share=50.0,
        step=14,
        steps=["shadow", *(float(2 * n) for n in range(1, 20)), 100.0],
        now=f"1.1.0-rc.12 answers 50 % of the keys, and stays there: held by judge, {LONG}",
        reason="the scores lie elsewhere",
        waits_for="clients: another coordinator holds the log, or did before",
        trouble=f"s3://bucket/rollout_state/churn: cannot be written, {LONG}",
        config_error=f"stable: found 1.9, expected a version, {LONG}",
        few_keys=f"few keys: 12,345 bad requests of 12 keys, {LONG}",
        commands=["resume", "promote", "abort"],
        stable_requests=1_234_567,
        candidate_requests=1_234_567,
        seconds=123_456.0,
        numbers=numbers,
        evidence=evidence,
        worst_slices=5
        * [SliceView(feature="contract_length", rows="under 3", n_rows=12_000, n_disagree=1_800)],
        failing_slices=3 * [FAILING_SLICE],
        events=[
            event(n, "rolled_back", 50.0, "a.very.long.login.name", LONG) for n in range(1, 12)
        ],
    )


def lines_of(view: RolloutView, width: int = 80, height: int = 24) -> list[str]:
    """The watched page in a terminal of this size."""
    with open("/dev/null", "w") as nowhere:  # noqa: PTH123
        console = Console(width=width, height=height, record=True, file=nowhere)
        console.print(page(view, fits=True))
        return console.export_text().splitlines()


def test_the_fullest_page_fits_a_small_terminal_and_has_what_matters() -> None:
    """A live page that is higher is cut at its end, where decisions and commands stand."""
    lines = lines_of(fullest_view())
    assert len(lines) <= 24, "\n".join(lines)
    assert max(len(line) for line in lines) <= 80
    text = "\n".join(lines)
    for part in (
        "1.1.0-rc.12 answers 50 % of the keys",
        "held at 50 %",
        "[28]",
        "123456 of 300 s",
        "errors  ",
        "slow  ",
        "disagreement  ",
        "3.1 of 5.9",
        "31 of 1,234,567 bad: 31 late",
        "12,345 of 1,234,567 bad: 7 late, 7 raised, 7 not a number",
        "contract_length 24 and more: 29 of 140 bad, stable 12 of 1,300",
        "p95, scores   stable 3.36 ms, candidate 108 ms; PSI 0.0312",
        "contract_length under 3: 1,800 of 12,000",
        "trouble: s3://",
        "newest table is not in force: stable: found 1.9",
        "few keys: 12,345 bad requests of 12 keys",
        "rolled back  50 %",
        "waits for: clients",
        "you can: sluice rollout out | resume | promote | abort",
    ):
        assert part in text, f"{part}\n{text}"
    assert sum("rolled back" in line for line in lines) >= 2
    assert sum(line.startswith("errors ") for line in lines) == 1, "one line a rail"


def test_a_page_begins_with_the_sentence_and_uses_the_room_that_is_there() -> None:
    """More decisions first, then empty lines between what belongs together."""
    events = [event(n, "entered", 5.0, "judge", f"reason {n}", step=1) for n in range(1, 12)]
    assert lines_of(rollout_view())[:2] == [rollout_view().now, ""]
    lines = lines_of(rollout_view(events=events))
    assert len(lines) <= 24
    assert [line for line in lines if "reason 11" in line]
    assert sum(" reason " in line for line in lines) == 6


def test_each_rail_is_shown_by_what_is_nearest_to_its_limit() -> None:
    """Since the step began, or since the rollout did: whichever would put the candidate out."""
    reason = "errors: {} of 9 keys with an error were the candidate's since the {} began; "
    both = [
        RailView(
            rail="errors",
            since=since,
            log_e=log_e,
            limit=5.0,
            reason=reason.format(n, since) + "tolerated: up to 2.1",
        )
        for since, log_e, n in (("rollout", 1.0, 3), ("step", 4.0, 8))
    ]  # fmt: skip
    lines = [line for line in lines_of(rollout_view(evidence=both)) if line.startswith("errors")]
    assert len(lines) == 1
    assert "4.0 of 5.0" in lines[0]
    assert "8 of 9 keys, tolerated 2.1 (step)" in lines[0]


def test_in_shadow_the_page_tells_pairs_and_what_was_not_answered_in_time() -> None:
    """Nobody is answered by the candidate there, so that there are no bad requests of it."""
    numbers = {"pairs": 470.0, "disagreements": 2.0, "shadow_missed_requests": 3.0}
    text = "\n".join(lines_of(rollout_view(share="shadow", step=0, numbers=numbers)))
    assert "2 of 470 keys disagree, 3 not answered in time, 0 rows dropped" in text


def test_what_people_wrote_is_shown_as_it_is_written() -> None:
    """Brackets in a reason are no markup."""
    assert "[bold]why[/bold] [x" in rendered(
        rollout_view(now="[bold]why[/bold] [x", trouble="[/red] broken [")
    )


@pytest.mark.parametrize(
    "status", ["waiting", "held", "paused", "baking", "aborted", "finished", "rolled_back"]
)
def test_every_status_has_a_page(status: Any) -> None:
    """A page can be drawn before the first step too, and without evidence."""
    step = {"waiting": None, "baking": 3, "finished": 3}.get(status, 1)
    text = rendered(rollout_view(status=status, step=step, evidence=[], worst_slices=[]))
    assert status.replace("_", " ") in text


def test_status_as_json_is_what_the_server_said(serve: Any) -> None:
    """A program reads the same document as from the server."""
    found = call("status", "--json", "--url", serve(Recorded(ok())))
    assert json.loads(found.output)["candidate"] == "1.1.0"


def test_a_rollout_that_is_out_has_an_exit_code_of_its_own(serve: Any) -> None:
    """A pipeline of CI can stop there."""
    assert call("status", "--url", serve(Recorded(ok(status="aborted", share=0.0)))).exit_code == 3


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


@pytest.mark.parametrize("action", ["pause", "resume", "promote", "abort", "rollback", "start"])
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
