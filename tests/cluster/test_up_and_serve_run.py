"""`make serve` and plain `serve run` with the shipped serve_config.yaml: up, answering, and gone on
Ctrl-C.
"""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import numpy as np
import pytest
import requests
from harness import (
    BIN,
    PATIENCE_S,
    ROOT,
    one_at_a_time,
    own_environment,
    short_folder,
    wait_until,
)
from listening import Listener, by_program, listeners, unexpected
from load import ROW
from ports import PortBlock
from program import Program
from trained import pipeline_answers, unseen_rows

from serve_app.models import get_spec
from training.models.delivery_time import TRAINING as DELIVERY

# Ray gives up by itself where the machine is too busy for its start.
RAY_GAVE_UP = ("The current node timed out during startup", "Ray's raylet has ended")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short temporary folder."""
    with short_folder() as path:
        yield path


@pytest.fixture
def ports() -> Iterator[PortBlock]:
    """Ports that no other test takes."""
    block = PortBlock()
    yield block
    block.close()


@pytest.fixture
def shipped(folder: Path, ports: PortBlock, trained_store: Any) -> tuple[Path, str]:
    """The shipped configuration with a port of its own, and its URL."""
    port = ports.one()
    text = (ROOT / "serve_config.yaml").read_text()
    path = folder / "serve_config.yaml"
    path.write_text(
        text.replace("port: 8000", f"port: {port}").replace(
            "store: model_store", f"store: {trained_store.uri}"
        )
    )
    return path, f"http://127.0.0.1:{port}"


@contextmanager
def started(
    command: list[Any], folder: Path, ports: PortBlock, is_up: Callable[[str], bool]
) -> Iterator[Program]:
    """A command as a newcomer starts it, for a `with` block that begins when it is up.

    `is_up` is asked with what it printed so far.
    """
    env = own_environment("plain", folder, ports) | {"RAY_ADDRESS": "local", "COLUMNS": "120"}
    # Who serves from this checkout afterwards sees no rows of the tests in /v1/drift.
    env["STATE_PATH"] = str(folder / "state")
    # `serve run` turns this on by itself.
    del env["RAY_AUTH_MODE"]
    log = folder / "up.log"

    def start() -> Program:
        program = Program(command, log, env, ROOT)
        try:
            wait_until(lambda: program.code() is not None or is_up(log.read_text()), "it is up")
        except BaseException:
            program.end()
            raise
        return program

    with one_at_a_time():
        program = start()
        for _ in range(2):
            text = log.read_text()
            if program.code() is not None and any(said in text for said in RAY_GAVE_UP):
                program.end()
                log.unlink()
                program = start()
    try:
        assert program.code() is None, log.read_text()
        yield program
    finally:
        program.end()


def keep_churn_alone(config: Path) -> None:
    """One of the two models is enough where it is not about both."""
    config.write_text(config.read_text().partition("- name: delivery_time")[0])


def says_so(text: str) -> bool:
    """Whether `sluice up` has said that it is ready."""
    return "Ctrl-C ends it" in text


def test_make_serve_says_where_it_answers_and_ctrl_c_ends_it_and_nothing_else(
    folder: Path, ports: PortBlock, shipped: tuple[Path, str], trained_store: Any
) -> None:
    """The curl that it prints works as printed; a thousand delivery times are those of the fitted
    pipeline; no other machine reaches a port without a token; a second start on the same port is
    refused; Ctrl-C leaves nothing.
    """
    config, url = shipped
    log = folder / "up.log"
    command = ["make", "serve", f"CONFIG={config}"]
    bystander = Program(["sleep", "infinity"], folder / "bystander.log", os.environ, folder)
    try:
        with started(command, folder, ports, says_so) as program:
            text = log.read_text()
            curls = re.findall(r"curl -s .*?\}'", text, re.DOTALL)
            assert len(curls) == 2, text
            answers = [
                subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True)
                for curl in curls
            ]
            assert '"label":"Churned"' in answers[0].stdout
            assert '"delivery_minutes"' in answers[1].stdout
            assert_delivery_times_of_the_pipeline(f"{url}/delivery-time", trained_store)
            assert_nothing_is_open_but_what_needs_a_token(
                program, folder, {"haproxy", "raylet", "gcs_server"}
            )
            second = subprocess.run(
                [BIN / "sluice", "up", config],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert second.returncode == 1
            assert "in use by another program" in second.stdout + second.stderr
            # As a terminal does: to make and to what it started.
            os.killpg(program.pid, signal.SIGINT)
            assert program.code(PATIENCE_S) is not None
            assert "Traceback" not in log.read_text()
            assert bystander.code() is None
            until_nothing_is_left(program)
            with pytest.raises(requests.ConnectionError):
                requests.get(url, timeout=300)
    finally:
        bystander.end()


@pytest.mark.real_time
def test_up_says_why_one_model_does_not_get_ready_and_at_sigterm_the_other_still_answers(
    folder: Path, ports: PortBlock, shipped: tuple[Path, str], trained_store: Any
) -> None:
    """The sentence of the bundle that does not prove itself, while it is still waited for. Then as
    PID 1 of a container at SIGTERM: readiness fails at once, predictions go on, then it ends with
    code 0.
    """
    config, url = shipped
    store = folder / "store"
    shutil.copytree(trained_store.root, store)
    path = store / "delivery_time" / "1.0.0" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["golden_rows"][0]["score"] = 0.123
    path.write_text(json.dumps(manifest))
    config.write_text(config.read_text().replace(trained_store.uri, str(store)))
    reason = "delivery_time failed to deploy: delivery_time/1.0.0: 1 of "
    # As long as a busy machine may take for the two requests below.
    command = [BIN / "sluice", "up", config, "--drain-s", "10"]
    with started(command, folder, ports, lambda text: reason in text) as program:
        assert "Ctrl-C ends it" not in (folder / "up.log").read_text()

        def is_ready() -> bool:
            return requests.get(f"{url}/ready", timeout=300).status_code == 200

        wait_until(is_ready, "the other model is ready")
        program.signal(signal.SIGTERM)
        wait_until(
            lambda: requests.get(f"{url}/ready", timeout=300).status_code == 503, "not ready"
        )
        answer = requests.post(f"{url}/v1/predict", json=ROW, timeout=300)
        assert answer.json()["label"] == "Churned"
        assert program.code(PATIENCE_S) == 0
        until_nothing_is_left(program)


def test_plain_serve_run_works_as_the_readme_says(
    folder: Path, ports: PortBlock, shipped: tuple[Path, str]
) -> None:
    """Without the two flags the same file is served; Ctrl-C ends it."""
    config, url = shipped
    keep_churn_alone(config)

    def is_ready(_: str) -> bool:
        return requests.get(f"{url}/ready", timeout=300).status_code == 200

    command = [BIN / "serve", "run", config]
    with started(command, folder, ports, is_ready) as program:
        answer = requests.post(f"{url}/v1/predict", json=ROW, timeout=300)
        assert answer.json()["label"] == "Churned"
        for line in (
            "Running config file",
            "Submitted deploy config successfully",
            "Imported and built app 'churn' success",
        ):
            assert line in (folder / "up.log").read_text()
        program.signal(signal.SIGINT)
        assert program.code(PATIENCE_S) is not None
        until_nothing_is_left(program)


def test_in_plain_mode_too_nothing_is_open_but_what_needs_a_token(
    folder: Path, ports: PortBlock, shipped: tuple[Path, str]
) -> None:
    """There Ray's own proxy is the entrance, and stays on the address of the file."""
    config, url = shipped
    keep_churn_alone(config)
    command = [BIN / "sluice", "up", config, "--plain"]
    with started(command, folder, ports, says_so) as program:
        assert requests.post(f"{url}/v1/predict", json=ROW, timeout=300).status_code == 200
        found = assert_nothing_is_open_but_what_needs_a_token(
            program, folder, {"raylet", "gcs_server"}
        )
        port = urlsplit(url).port
        entrance = {listener for listener in found if listener.port == port}
        assert {listener.address for listener in entrance} == {"127.0.0.1"}
        assert all("Proxy" in listener.program for listener in entrance), entrance
        program.signal(signal.SIGINT)
        assert program.code(PATIENCE_S) is not None
        until_nothing_is_left(program)


def assert_delivery_times_of_the_pipeline(url: str, store: Any) -> None:
    """A thousand rows that no training saw, of the regressor with a text feature."""
    spec = get_spec("delivery_time")
    rows = unseen_rows(DELIVERY, spec, 1_000)
    entries = []
    for start in range(0, 1_000, 100):
        sent = rows[start : start + 100]
        answer = requests.post(f"{url}/predict/batch", json=sent, timeout=300).json()
        entries += answer["predictions"]
    expected = pipeline_answers(store, spec, rows)
    found = [entry["delivery_minutes"] for entry in entries]
    np.testing.assert_allclose(found, expected, atol=7e-3)
    for entry in entries:
        assert entry["low_minutes"] < entry["delivery_minutes"] < entry["high_minutes"]


def assert_nothing_is_open_but_what_needs_a_token(
    program: Program, folder: Path, expected: set[str]
) -> set[Listener]:
    """The file says 127.0.0.1. Ray has no setting for one port of each replica, which takes a
    pickle: that one asks for a token, which only its owner can read. Programs that are expected
    listen, so that nothing is looked past. Returns all that do.
    """
    found = listeners(program.descendants())
    assert expected <= {listener.program for listener in found}
    assert not unexpected(found), by_program(found)
    elsewhere = {listener for listener in found if not listener.is_for_this_machine}
    assert all("ServeReplica" in listener.program for listener in elsewhere), elsewhere
    for listener in elsewhere:
        with grpc.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
            call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
            with pytest.raises(grpc.RpcError) as refused:
                call(b"", timeout=300)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED, listener
    token = folder / "home/.ray/auth_token"
    assert token.stat().st_mode & 0o077 == 0
    return found


def until_nothing_is_left(program: Program) -> None:
    """Wait until all that the program started has ended by itself."""
    wait_until(lambda: not program.descendants(), f"the end of {program.descendants()}")
