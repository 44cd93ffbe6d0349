"""Nothing outlives `sluice up`, and it ends when its Ray cannot heal; programs stand for Ray."""

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from harness import wait_until
from ports import PortBlock
from rich.console import Console

from serve_app.commands import vital
from serve_app.commands.guardian import Interrupts, descendants, parse_stat
from serve_app.commands.serve_run import UpOptions, run
from serve_app.commands.vital import Vital, is_alive

ROOT = Path(__file__).parents[3]

# Stands for `serve run`: two processes of Ray, and HAProxy, which nobody waits for. Each has the
# name that Linux shows of a program: that of its file. It tells how it is doing when it is asked.
LAUNCHER = """
import json, os, pathlib, shutil, signal, subprocess, sys, time
here = pathlib.Path(sys.argv[1])
pids = {}
for name in ("raylet", "gcs_server", "haproxy"):
    shutil.copy(shutil.which("sleep"), here / name)
    process = subprocess.Popen([here / name, "1000"], start_new_session=True)
    pids[name] = process.pid
text = "\\n".join(f"{name} {pid}" for name, pid in pids.items())
(here / "draft").write_text(text)
(here / "draft").replace(here / "pids")
# An orphan, as HAProxy is when its manager is dead.
subprocess.run(["bash", "-c", f"setsid sleep 1000 & echo $! > {here}/orphan"])
if len(sys.argv) > 2:
    status = pathlib.Path(sys.argv[2])
    for word in ("first", "second"):
        while not (here / word).exists():
            time.sleep(0.01)
        told = {"churn": {"status": "DEPLOYING", "messages": [word]}}
        (here / "draft").write_text(json.dumps(told))
        (here / "draft").replace(status)
while not (here / "end").exists():
    time.sleep(0.01)
# As Ray does that is told to end: what it started goes first.
for pid in (*pids.values(), int((here / "orphan").read_text())):
    os.kill(pid, signal.SIGKILL)
time.sleep(1)
sys.exit(7)
"""


def launcher(folder: Path) -> tuple[str, ...]:
    """The command that stands for `serve run`; it writes the process ids into the folder."""
    script = folder / "launcher.py"
    script.write_text(LAUNCHER)
    return sys.executable, str(script), str(folder)


def pids_of(folder: Path) -> dict[str, int]:
    """What was started, by name, once all of it was."""
    wait_until(lambda: (folder / "orphan").read_text(), "the orphan")
    lines = (line.split() for line in (folder / "pids").read_text().splitlines())
    found = {name: int(pid) for name, pid in lines}
    return found | {"orphan": int((folder / "orphan").read_text())}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, int]]]:
    """A guardian of the programs, and their process ids."""
    work = tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-m", "serve_app.commands.guardian", work, *launcher(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True)
    assert process.stdin is not None
    try:
        yield process, pids_of(tmp_path)
    finally:
        process.stdin.close()
        process.wait()


def test_all_of_ray_ends_when_the_process_that_holds_the_pipe_is_gone(
    guarded: tuple[subprocess.Popen[bytes], dict[str, int]], tmp_path: Path
) -> None:
    """That is how `kill -9` of `sluice up` is noticed; an orphan in its own session goes too."""
    process, pids = guarded
    assert process.stdin is not None
    assert all(is_alive(pid) for pid in pids.values())
    process.stdin.close()
    assert process.wait() == 128 + signal.SIGKILL
    assert not any(is_alive(pid) for pid in pids.values())
    assert not (tmp_path / "work").exists(), "the folder of `sluice up` is removed"


def test_what_a_service_manager_tells_every_process_does_not_end_the_guardian(
    guarded: tuple[subprocess.Popen[bytes], dict[str, int]],
) -> None:
    """`sluice up` drains at SIGTERM, and says itself when Ray is to end."""
    process, pids = guarded
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGHUP)
    os.kill(pids["haproxy"], signal.SIGKILL)
    wait_until(lambda: not is_alive(pids["haproxy"]), "the end of one")
    assert process.poll() is None
    assert is_alive(pids["raylet"])


def test_the_exit_code_is_that_of_the_command_and_ctrl_c_reaches_it(tmp_path: Path) -> None:
    """Once: Ray would take a second one for impatience."""
    ended = [sys.executable, "-m", "serve_app.commands.guardian", tmp_path / "work", "sh", "-c"]
    process = subprocess.Popen([*ended, "exit 3"], cwd=ROOT, stdin=subprocess.PIPE)
    assert process.wait() == 3
    assert process.stdin is not None
    process.stdin.close()
    marker = tmp_path / "marker"
    script = f"trap 'exit 4' INT; touch {marker}; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        [*ended, script], cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True
    )
    wait_until(marker.exists, "the command")
    process.send_signal(signal.SIGINT)
    assert process.wait() == 4
    assert process.stdin is not None
    process.stdin.close()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A program that an interrupt ends."""
    # What a script runs in the background ignores interrupts, and so does all that it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(["sleep", "1000"])
    signal.signal(signal.SIGINT, before)
    yield process
    process.kill()
    process.wait()


def test_ctrl_c_reaches_a_command_that_is_just_being_started(
    sleeper: subprocess.Popen[bytes],
) -> None:
    """It is kept until the process is there; before, it ended the guardian and left Ray alone."""
    interrupts = Interrupts()
    interrupts.pass_on()
    interrupts.go_to(sleeper.pid)
    assert sleeper.wait(60) == -signal.SIGINT


def test_ctrl_c_does_not_reach_the_process_that_has_the_id_next(
    sleeper: subprocess.Popen[bytes],
) -> None:
    """The guardian still waits for what was left behind, for up to ten seconds."""
    interrupts = Interrupts()
    interrupts.go_to(sleeper.pid)
    interrupts.go_to(None)
    interrupts.pass_on()
    sleeper.terminate()
    assert sleeper.wait(60) == -signal.SIGTERM


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_up_ends_with_a_reason_and_leaves_nothing_when_ray_cannot_heal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Whatever died later would stay dead, while `/ready` says that all is well."""
    assert code_of_up(tmp_path, kill=name) == 1
    said = capsys.readouterr().err
    assert f"Ray's {name} has ended" in said
    assert "start it again" in said
    assert not any(is_alive(pid) for pid in pids_of(tmp_path).values())


def test_what_ends_with_serve_run_is_not_called_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raylet and GCS may go first, and whoever reads only of them looks in the wrong log."""
    monkeypatch.setattr(vital, "LAST_WORD_S", 60.0)
    assert code_of_up(tmp_path, kill=None) == 1
    said = capsys.readouterr().err
    assert "`serve run` ended" in said
    assert "has ended (process" not in said


def code_of_up(folder: Path, kill: str | None) -> int:
    """The exit code of `sluice up`, of which one process is killed after it has been seen.

    None: what stands for `serve run` ends by itself.
    """
    ports = PortBlock()
    server = {"import_path": "serve_app.app:server", "args": {"model": "churn"}}
    values = {
        "http_options": {"host": "127.0.0.1", "port": ports.one()},
        "applications": [{"name": "churn", "route_prefix": "/", **server}],
    }
    path = folder / "serve_config.yaml"
    path.write_text(yaml.safe_dump(values))
    said = io.StringIO()

    def kill_when_seen() -> None:
        pids = pids_of(folder)
        # What is said second was read after a look at the processes that began after the first.
        for word in ("first", "second"):
            (folder / word).touch()
            wait_until(lambda word=word: word in said.getvalue(), f"{word} look")
        if kill is None:
            (folder / "end").touch()
        else:
            os.kill(pids[kill], signal.SIGKILL)

    thread = threading.Thread(target=kill_when_seen)
    thread.start()
    console = Console(file=said, highlight=False)
    code = run(path, UpOptions(fast=False), console, launcher(folder))
    thread.join()
    ports.close()
    return code


def test_what_was_never_there_is_not_missed(tmp_path: Path) -> None:
    """Ray takes seconds to start, and what `sluice up` starts in a test is no Ray."""
    assert Vital(os.getpid()).lost() is None
    process = subprocess.Popen(["sleep", "1000"])
    assert descendants(os.getpid())[process.pid] == "sleep"
    process.kill()
    wait_until(lambda: process.pid not in descendants(os.getpid()), "it is no longer listed")
    process.wait()


def test_a_name_with_parentheses_is_read_whole() -> None:
    """A process names itself as it likes, and the fields stand after the last parenthesis."""
    assert parse_stat("7 (a) b (c) S 3 7 7 0") == (7, "a) b (c", 3)
    with pytest.raises(ProcessLookupError):
        parse_stat("7 (ended) Z 3 7 7 0")
