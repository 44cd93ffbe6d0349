"""What `sluice up` does: `serve run` on this machine or in a container.

It says where the servers answer once they are ready, why an application does not get there, and
ends Ray at Ctrl-C or SIGTERM.
"""

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from rich.console import Console

from serve_app.access.auth import auth_setting, is_loopback, open_fault
from serve_app.access.key_file import read_key_file
from serve_app.commands.announce import Teller, say_where
from serve_app.commands.exit_codes import ExitCode, say_error
from serve_app.commands.guardian import ENDED
from serve_app.commands.healthy import READY, noted, status_of
from serve_app.commands.ray_access import UMASK, keep_token_private, ray_environment
from serve_app.commands.ray_logs import ray_logs
from serve_app.commands.target import Served, alone, host_of, moved, read_config, servers_of
from serve_app.commands.tls import Tls, entrance
from serve_app.commands.trouble import Trouble
from serve_app.commands.vital import CannotHeal, Life, Vital
from serve_app.errors import SettingsError
from serve_app.serving.drain import DRAIN_FILE
from serve_app.settings import AUTH_DISABLED

READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.3
# Once it is ready.
STAY_POLL_S = 1.0
# So long a server may take to say whether it is ready, on a machine that is busy with its start.
ANSWER_TIMEOUT_S = 5.0
LAUNCHER = (sys.executable, "-m", "serve_app.cluster.told_run")
GUARDIAN = (sys.executable, "-m", "serve_app.commands.guardian")


@dataclass(frozen=True)
class UpOptions:
    """How to serve.

    `host` and `port` replace the file's; `drain_s` is how long readiness fails at SIGTERM before
    the end. With a `model` that one alone is served, with its isolated versions. With `tls` the
    port speaks it. `without_ray_token` lets anybody who reaches Ray's ports run code.
    """

    fast: bool = True
    host: str | None = None
    port: int | None = None
    drain_s: float = 0.0
    model: str | None = None
    tls: Tls | None = None
    without_ray_token: bool = False


class _Terminated(Exception):
    """Raised when SIGTERM comes."""


def run(
    path: Path,
    options: UpOptions,
    console: Console,
    launcher: Sequence[str] = LAUNCHER,
) -> int:
    """Start, wait until ready, say where, and stay until Ctrl-C or SIGTERM. Returns the exit code.

    `launcher` is called with a file for how the applications are doing, and what to serve.

    Raises SettingsError when there is no server in the file, its port is taken, its key file is
    broken, or others would reach it who are not asked for keys.
    """
    config = moved(read_config(path), options.host, options.port)
    if options.model is not None:
        config = alone(config, options.model, path)
    shown = servers_of(config)
    _require_auth(config, shown)
    _require_free_port(shown)
    if options.tls is not None:
        shown = [replace(one, url=one.url.replace("http://", "https://", 1)) for one in shown]
    with tempfile.TemporaryDirectory(prefix="sluice-") as name:
        folder = Path(name)
        way_in = entrance(config, options.tls, options.fast, folder)
        found = servers_of(way_in.config)
        environment = ray_environment(
            way_in.config, folder, options.fast, options.without_ray_token
        )
        environment |= way_in.variables
        environment[DRAIN_FILE] = str(_drain_file(folder))
        served = folder / "serve_config.yaml"
        served.write_text(yaml.safe_dump(way_in.config, sort_keys=False))
        teller = Teller(_status_file(folder), console)
        urls = {one.application: one.url for one in shown}
        port = urlsplit(shown[0].url).port
        with (
            noted(port or 0, urls),
            _serve(launcher, served, folder, environment) as process,
        ):
            life = Life(process, Vital(process.pid), folder / ENDED)
            try:
                console.print(f"starting {_what(path, options)} …")
                if not _until_ready(found, life, teller):
                    say_error(_why_not_ready(process, teller.look()))
                    return ExitCode.REFUSED
                say_where(shown, console)
                return _stay(life, teller)
            except CannotHeal as lost:
                say_error(str(lost))
                # What still answers does so until a load balancer has noticed.
                with suppress(_Terminated, KeyboardInterrupt):
                    _drain(folder, options.drain_s, console)
                # Ray would wait for what has ended.
                _end_at_once(process)
                return ExitCode.REFUSED
            except _Terminated:
                _drain(folder, options.drain_s, console)
                return ExitCode.OK
            except KeyboardInterrupt:
                console.print("\nstopping …")
                return ExitCode.OK


def _what(path: Path, options: UpOptions) -> str:
    mode = "fast" if options.fast else "plain"
    return f"{options.model or path} ({mode} mode" + (
        f", alone of {path})" if options.model else ")"
    )


def _why_not_ready(process: "subprocess.Popen[bytes]", found: Sequence[Trouble]) -> str:
    if process.poll() is not None:
        return f"`serve run` ended: {_look()}"
    reasons = "; ".join(str(trouble) for trouble in found)
    return f"not ready within {READY_TIMEOUT_S:.0f} s: " + (reasons or _look())


def _look() -> str:
    return f"see the lines above and the logs below {ray_logs()}"


def _drain(folder: Path, drain_s: float, console: Console) -> None:
    """Readiness fails from now on; requests are answered until whoever sends them has noticed."""
    _drain_file(folder).touch()
    console.print(f"\ntold to end: not ready from now on, ending in {drain_s:g} s …")
    time.sleep(drain_s)


def _drain_file(folder: Path) -> Path:
    return folder / "draining"


def _status_file(folder: Path) -> Path:
    return folder / "status.json"


@contextmanager
def _serve(
    launcher: Sequence[str], path: Path, folder: Path, environment: dict[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    command: list[str | Path] = [*GUARDIAN, folder, *launcher, _status_file(folder), path]
    keep_token_private(Path.home())
    # A shell that starts us in the background has SIGINT ignored, and what is ignored is
    # inherited: Ray would never hear that it must end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.signal(signal.SIGTERM, _terminate)
    # In a session of its own, so that Ctrl-C reaches us alone, and we pass it on once. The pipe is
    # how the guardian notices our end, whatever it is.
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, start_new_session=True, umask=UMASK
    )
    try:
        yield process
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _stop(process)
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> None:
    # Once is enough: a second SIGTERM must not cut short what the first one began.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Terminated


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        process.wait(STOP_TIMEOUT_S)
    # A second Ctrl-C means: now.
    _end_at_once(process)


def _end_at_once(process: "subprocess.Popen[bytes]") -> None:
    """Kill what the guardian guards; nothing happens when all of it has ended."""
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def _until_ready(found: list[Served], life: Life, teller: Teller) -> bool:
    until_s = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < until_s and life.goes_on():
        if all(status_of(one.url, ANSWER_TIMEOUT_S) == READY for one in found):
            return True
        teller.look()
        time.sleep(POLL_S)
    return False


def _stay(life: Life, teller: Teller) -> int:
    """Stay until it ends, and say what comes in the way of an isolated version meanwhile."""
    while life.goes_on():
        teller.look()
        time.sleep(STAY_POLL_S)
    code = life.process.wait()
    if code != 0:
        say_error(f"`serve run` ended with code {code}: {_look()}")
    return code


def _require_auth(config: Mapping[str, Any], found: Sequence[Served]) -> None:
    """Refuse at once what every server would refuse: a broken key file, or none for others."""
    host = host_of(config["http_options"])
    for one in found:
        auth = auth_setting(one.auth)
        if auth is None and not is_loopback(host):
            raise SettingsError(f"{one.application}: args.auth: {open_fault(host)}")
        if auth not in (None, AUTH_DISABLED):
            read_key_file(Path(auth))


def _require_free_port(found: list[Served]) -> None:
    if not found:
        raise SettingsError("applications: found no serve_app.app:server, expected at least one")
    url = urlsplit(found[0].url)
    host, port = url.hostname, url.port
    with socket.socket() as probe:
        if probe.connect_ex((host, port)) == 0:
            raise SettingsError(
                f"http_options.port: {host}:{port} is in use by another program; "
                "end that one, or write another port into the file"
            )
