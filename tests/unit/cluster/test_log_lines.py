"""Lines for standard output: JSON with what finds a request again, and nothing that was sent."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeScorer, FakeStore, rows_of, table, until

from serve_app.cluster.log_line import MOST_BYTES, line_of
from serve_app.cluster.log_output import LOG_TO, LogOutput
from serve_app.cluster.logs import log_to_ray
from serve_app.contract.block import Block, Scores
from serve_app.errors import BundleError
from serve_app.models import get_spec
from serve_app.serving.request_id import REQUEST_ID
from serve_app.serving.request_lines import LOG_REQUESTS, request_lines
from serve_app.serving.router import Router
from serve_app.serving.versions import Versions

SPEC = get_spec("churn")
KEY = "customer-4711"
ROOT = Path(__file__).parents[3]
# No other number of a line looks like it.
SPENT = 8_237.25
SOURCE = {"model": "churn", "application": "shop", "process": "server"}


class Tattling(FakeScorer):
    """What fails says what it was given, as scikit-learn does."""

    async def score(self, block: Block, deadline_s: float) -> Scores:
        """Raise."""
        raise ValueError(f"could not convert {block.numbers.tolist()}")


def record(message: str, *args: object, **extra: Any) -> logging.LogRecord:
    """A record as a logger makes it."""
    logger = logging.getLogger("serve_app.toy")
    return logger.makeRecord(
        logger.name, logging.WARNING, "toy.py", 1, message, args, None, extra=extra
    )


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a replica's lines go; nothing goes to Ray's files."""
    path = tmp_path / "lines.jsonl"
    monkeypatch.setenv(LOG_TO, str(path))
    ours = logging.getLogger("serve_app")
    before = (ours.handlers, ours.propagate, ours.level)
    monkeypatch.setattr(logging.getLogger("ray.serve"), "handlers", [])
    log_to_ray(lambda: "shop", model="churn", process="server")
    yield path
    ours.handlers, ours.propagate = before[:2]
    ours.setLevel(before[2])


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines that were written."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_json_and_says_which_process_and_which_request(file: Path) -> None:
    """What an operator looks for: the id in the answer, the version, the size of the block."""
    token = REQUEST_ID.set("request-1")
    logging.getLogger("serve_app.toy").warning(
        "version %s failed", "1.1.0", extra={"version": "1.1.0", "n_rows": 100}
    )
    REQUEST_ID.reset(token)
    [line] = lines_of(file)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "WARNING",
        "message": "version 1.1.0 failed",
        **SOURCE,
        "request_id": "request-1",
        "version": "1.1.0",
        "n_rows": 100,
        "logger": "serve_app.toy",
    }


async def test_no_line_has_a_feature_a_key_or_an_answer(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate raises an error with the row in it, and each request has a line of its own."""
    store = FakeStore()
    store.scorers = {"1.0.0": FakeScorer(lambda days: 0.731), "1.1.0": Tattling(lambda _: 0.0)}
    versions = Versions(store.open)
    await versions.start(table(v1_1_0=100))
    await until(lambda: all(versions.ready(version) for version in versions.members()))
    router = Router(SPEC, versions, request_lines({LOG_REQUESTS: "1"}))
    rows = [row.model_copy(update={"monthly_spend_usd": SPENT}) for row in rows_of(1, 2, 3)]
    answered = await router.predict(rows, KEY, None)
    assert answered.version == "1.0.0"
    told_lines = lines_of(file)
    text = json.dumps(told_lines)
    for secret in (KEY, "8237", "731", "Churned", "could not convert"):
        assert secret not in text, secret
    failed, told = told_lines
    assert failed["error"] == "ValueError"
    assert any("test_log_lines.py" in frame for frame in failed["where"])
    assert (failed["version"], failed["n_rows"]) == ("1.1.0", 3)
    assert (told["outcome"], told["version"], told["n_rows"]) == ("fallback", "1.0.0", 3)
    assert told["ms"] >= 0


def test_requests_have_no_lines_unless_a_variable_asks_for_them() -> None:
    """A line costs a request more than its answer does."""
    assert request_lines({}) == ()
    assert request_lines({LOG_REQUESTS: "0"}) == ()
    assert len(request_lines({LOG_REQUESTS: "1"})) == 1


def test_an_error_of_ours_is_told_with_its_text() -> None:
    """It is written for people, and holds nothing that a client sent."""
    found = record("the version is waited for")
    try:
        raise BundleError("churn/1.0.0: found no manifest")
    except BundleError as error:
        found.exc_info = (type(error), error, error.__traceback__)
    line = json.loads(line_of(found, SOURCE))
    assert (line["error"], line["error_text"]) == ("BundleError", "churn/1.0.0: found no manifest")


@pytest.mark.parametrize("letter", ["x", "ä", "\x1b", "\ud800", "\U0001f600", '"'])
def test_a_line_fits_into_what_linux_writes_whole(letter: str) -> None:
    """Several processes write to one pipe: a longer one could be cut by another's."""
    line = line_of(record("%s", letter * 10_000, version=letter), SOURCE, 3)
    assert len(line) <= MOST_BYTES
    assert line.count(b"\n") == 1
    assert json.loads(line)["n_lost"] == 3


def test_a_full_pipe_makes_nobody_wait_and_the_next_line_says_what_is_lost(tmp_path: Path) -> None:
    """A collector that stands still must not stop the answers."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    complaints: list[str] = []
    output = LogOutput(str(path), SOURCE, complaints.append)
    for _ in range(2_000):
        output.handle(record("%s", "x" * 500))
    data = b""
    while chunk := _read(reader):
        data += chunk
    n_written = data.count(b"\n")
    assert 0 < n_written < 2_000
    assert all(json.loads(line) for line in data.splitlines()), "no line is cut"
    output.handle(record("there is room again"))
    assert json.loads(_read(reader))["n_lost"] == 2_000 - n_written
    assert complaints == []
    output.close()
    os.close(reader)


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, 65_536)
    except BlockingIOError:
        return b""


# The first process of a container, whose output is a pipe, and a worker whose own is a file.
FIRST = """
import os, subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], f"/proc/{os.getpid()}/fd/1"], stdout=2)
"""
WORKER = """
import logging, sys
from serve_app.cluster.log_output import LogOutput
output = LogOutput(sys.argv[1], {"model": "churn"}, sys.exit)
logger = logging.getLogger("serve_app.toy")
logger.handlers = [output]
logger.warning("it is ready")
"""


def test_a_line_comes_out_of_the_first_process_although_a_worker_writes_it() -> None:
    """What the image's `/proc/1/fd/1` is: a pipe of another process of the same user."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST, WORKER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    line = json.loads(done.stdout)
    assert (line["message"], line["model"]) == ("it is ready", "churn")
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"{LOG_TO}=/proc/1/fd/1" in dockerfile


def test_a_path_that_cannot_be_written_to_is_said_once_and_tried_again(tmp_path: Path) -> None:
    """Where the container's output belongs to another user, lines are in Ray's files alone."""
    path = tmp_path / "later" / "lines.jsonl"
    complaints: list[str] = []
    output = LogOutput(str(path), SOURCE, complaints.append)
    for _ in range(3):
        output.handle(record("nobody reads this"))
    [complaint] = complaints
    assert "SLUICE_LOG_TO" in complaint and "No such file" in complaint
    path.parent.mkdir()
    output.handle(record("here it is"))
    [line] = lines_of(path)
    assert (line["message"], line["n_lost"]) == ("here it is", 3)
    output.close()


def test_without_the_variable_lines_go_to_rays_files_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on a laptop, where `sluice up` is read by a person."""
    monkeypatch.delenv(LOG_TO, raising=False)
    ours = logging.getLogger("serve_app")
    before = (ours.handlers, ours.propagate, ours.level)
    log_to_ray(lambda: "shop", model="churn", process="server")
    ours.warning("read by nobody")
    ours.handlers, ours.propagate = before[:2]
    ours.setLevel(before[2])
    assert list(tmp_path.iterdir()) == []
