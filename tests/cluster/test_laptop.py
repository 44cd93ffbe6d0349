"""`make serve` and plain `serve run` with the shipped serve_config.yaml: up, answering, and gone on Ctrl-C."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from harness import BIN, ROOT, end_session, free_ports, own_environment, wait_until

from serve_app.models import get_spec

ROW = get_spec("churn").examples[0].row.model_dump()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short temporary folder: Ray's socket paths must stay under 108 characters."""
    path = Path(tempfile.mkdtemp(prefix="sl-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def shipped(folder: Path, trained_store: Any) -> tuple[Path, str]:
    """The shipped configuration with a port of its own, and its URL."""
    port = free_ports(1)[0]
    text = (ROOT / "serve_config.yaml").read_text()
    path = folder / "serve_config.yaml"
    path.write_text(
        text.replace("port: 8000", f"port: {port}").replace(
            "store: model_store", f"store: {ROOT}/model_store"
        )
    )
    return path, f"http://127.0.0.1:{port}"


def start(command: list[Any], folder: Path, log: Path) -> "subprocess.Popen[bytes]":
    """A command in a session of its own, its output in a file."""
    env = own_environment("plain", folder) | {"RAY_ADDRESS": "local", "COLUMNS": "120"}
    del env["RAY_AUTH_MODE"]  # as a newcomer has it: `serve run` turns it on by itself
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            env=env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_hear_ctrl_c,
        )


def _hear_ctrl_c() -> None:
    """A shell starts its background jobs with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def processes_of(folder: Path) -> dict[int, str]:
    """Id and command line of the processes that run with this folder as HOME: nobody else's."""
    found = {}
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"HOME={folder}/home".encode() in environ.read_bytes():
                command = (environ.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(environ.parent.name)] = command[:120]
        except OSError:
            continue
    return found


def end(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """What a failed test left: `make serve` has `serve run` in a session of its own."""
    end_session(process)
    for pid in processes_of(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_make_serve_says_where_it_answers_and_ctrl_c_ends_it_and_nothing_else(
    folder: Path, shipped: tuple[Path, str]
) -> None:
    """The curl that it prints works as printed; a second start on the same port is refused; Ctrl-C leaves nothing."""
    config, url = shipped
    log = folder / "up.log"
    bystander = subprocess.Popen(["sleep", "300"])
    process = start(["make", "serve", f"CONFIG={config}"], folder, log)
    try:
        wait_until(
            lambda: "Ctrl-C ends it" in log.read_text() or process.poll() is not None, 120, "ready"
        )
        text = log.read_text()
        curls = re.findall(r"curl -s .*?\}'", text, re.DOTALL)
        assert len(curls) == 2, text
        answers = [
            subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True)
            for curl in curls
        ]
        assert '"label":"Churned"' in answers[0].stdout
        assert '"delivery_minutes"' in answers[1].stdout
        second = subprocess.run(
            [BIN / "sluice", "up", config],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert second.returncode == 1
        assert "in use by another program" in second.stdout + second.stderr
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to make and to what it started
        process.wait(60)
        assert "Traceback" not in log.read_text()
        assert bystander.poll() is None
        wait_until(
            lambda: not processes_of(folder), 20, f"no process left of {processes_of(folder)}"
        )
        assert requests_fail(url)
    finally:
        end(process, folder)
        bystander.kill()
        bystander.wait()


def test_told_to_end_it_is_not_ready_first_and_still_answers(
    folder: Path, shipped: tuple[Path, str]
) -> None:
    """As PID 1 of a container at SIGTERM: readiness fails at once, predictions go on, then it ends with code 0."""
    config, _ = shipped
    log, port = folder / "up.log", free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    process = start(
        [BIN / "sluice", "up", config, "--port", str(port), "--drain-s", "6"], folder, log
    )
    try:
        wait_until(
            lambda: "Ctrl-C ends it" in log.read_text() or process.poll() is not None, 120, "ready"
        )
        assert requests.get(f"{url}/ready", timeout=5).status_code == 200
        os.kill(process.pid, signal.SIGTERM)
        wait_until(
            lambda: requests.get(f"{url}/ready", timeout=5).status_code == 503, 5, "not ready"
        )
        assert requests.post(f"{url}/v1/predict", json=ROW, timeout=10).json()["label"] == "Churned"
        assert process.wait(60) == 0
        wait_until(
            lambda: not processes_of(folder), 20, f"no process left of {processes_of(folder)}"
        )
    finally:
        end(process, folder)


def test_plain_serve_run_works_as_the_readme_says(folder: Path, shipped: tuple[Path, str]) -> None:
    """Without the two flags the same file serves both models; Ctrl-C ends it."""
    config, url = shipped
    log = folder / "run.log"
    process = start([BIN / "serve", "run", config], folder, log)
    try:
        wait_until(
            lambda: requests.get(f"{url}/ready", timeout=5).status_code == 200, 120, "churn ready"
        )
        wait_until(
            lambda: requests.get(f"{url}/delivery-time/ready", timeout=5).status_code == 200,
            60,
            "delivery",
        )
        assert requests.post(f"{url}/v1/predict", json=ROW, timeout=10).json()["label"] == "Churned"
        for line in (
            "Running config file",
            "Submitted deploy config successfully",
            "Imported and built app 'churn' success",
        ):
            assert line in log.read_text()
        process.send_signal(signal.SIGINT)
        process.wait(60)
        wait_until(lambda: not processes_of(folder), 20, "no process left")
    finally:
        end(process, folder)


def requests_fail(url: str) -> bool:
    """True when nobody answers there any more."""
    try:
        requests.get(url, timeout=5)
    except requests.RequestException:
        return True
    return False
