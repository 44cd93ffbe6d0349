"""Connections to a proxy of plain mode, on real sockets: slow, idle, half-sent, with offers."""

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from fakes import until
from uvicorn.protocols.http import auto
from uvicorn.protocols.websockets import auto as websockets

from serve_app.commands.fast_mode import VARIABLES
from serve_app.http import connection
from serve_app.http.connection import HEAD_TIMEOUT_S, TimedConnection

PATIENCE_S = 300.0
KEEP_ALIVE_S = 77
BODY = json.dumps({"a": 1}).encode()
# What the JDK's HttpClient sends over http://, and any client may.
OFFER = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
)
HANDSHAKE = (
    b"GET /v1/model HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
)
ROUTE = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\n"


class Timer:
    """One that rings by hand."""

    def __init__(self, seconds: float, ring: Callable[[], None]) -> None:
        self.seconds = seconds
        self.ring = ring
        self.is_set = True

    def cancel(self) -> None:
        """Ring no more."""
        self.is_set = False


class Clock:
    """Stands in for the loop's timers: time passes when the test says so."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def is_waiting(self, seconds: float) -> bool:
        """Whether a timer of so many seconds is set."""
        return any(timer.is_set and timer.seconds == seconds for timer in self.timers)

    def pass_by(self, seconds: float) -> None:
        """Let those ring that were set to so many seconds or fewer."""
        for timer in self.timers:
            if timer.is_set and timer.seconds <= seconds:
                timer.cancel()
                timer.ring()

    def protocol(self) -> type[TimedConnection]:
        """The connection of plain mode, by this clock."""
        clock = self

        class ByHand(TimedConnection):
            """Sets its timers here."""

            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                self.loop: Any = SimpleNamespace(
                    call_later=clock.call_later, create_task=self.loop.create_task
                )

        return ByHand

    def call_later(self, seconds: float, ring: Callable[[], None]) -> Timer:
        """As the loop does."""
        self.timers.append(Timer(seconds, ring))
        return self.timers[-1]


class Echo:
    """Answers with the body that came, as soon as it may."""

    def __init__(self) -> None:
        self.n_asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        body = b""
        is_whole = False
        while not is_whole:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            is_whole = not message.get("more_body", False)
        self.n_asked += 1
        await self.may_answer.wait()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture(autouse=True)
def usual_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser is uvicorn's own again after each test."""
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)
    monkeypatch.setattr(websockets, "AutoWebSocketsProtocol", websockets.AutoWebSocketsProtocol)


class Client:
    """A connection that sends what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Bytes, as they are."""
        self.writer.write(data)

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            (length,) = [line for line in lines if line.startswith(b"content-length")]
            body = await self.reader.readexactly(int(length.split(b":")[1]))
        return int(head.split(b" ")[1]), body

    async def until_ended(self) -> bytes:
        """What else comes before the other side ends the connection."""
        found = b""
        # What is sent meanwhile is answered by the kernel: nobody is there.
        with suppress(ConnectionResetError):
            async with asyncio.timeout(PATIENCE_S):
                found = await self.reader.read()
        return found


class Proxy:
    """A server made as Ray makes its proxies: it names no parser."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.app = Echo()
        self._clients: list[Client] = []
        [middleware] = connection.middlewares()
        assert auto.AutoHTTPProtocol is TimedConnection
        auto.AutoHTTPProtocol = self.clock.protocol()
        config = uvicorn.Config(
            # As Ray does.
            lambda: middleware.cls(self.app, *middleware.args, **middleware.kwargs),
            factory=True,
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE_S,
            access_log=False,
            log_config=None,
        )
        self._server = uvicorn.Server(config)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))

    async def __aenter__(self) -> "Proxy":
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        await until(lambda: self._server.started)
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            client.writer.close()
        self._server.should_exit = True
        await self._task

    async def connect(self) -> Client:
        """A client of it."""
        pair = await asyncio.open_connection("127.0.0.1", self._socket.getsockname()[1])
        self._clients.append(Client(*pair))
        return self._clients[-1]


def whole(extra: bytes = b"", body: bytes = BODY) -> bytes:
    """A request."""
    return ROUTE + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_a_head_may_take_as_long_as_in_the_fast_mode() -> None:
    """Ten seconds, as HAProxy is told."""
    lines = VARIABLES["RAY_SERVE_HAPROXY_RETRY_ON"]
    assert f"timeout http-request {HEAD_TIMEOUT_S:g}s" in lines


@pytest.mark.parametrize("sent", [b"", b"P", ROUTE, ROUTE + b"X-A: "])
async def test_a_connection_that_sends_no_whole_head_is_ended(sent: bytes) -> None:
    """Nothing at all, or half of one; a byte now and then buys no time."""
    async with Proxy() as proxy:
        client = await proxy.connect()
        for byte in sent:
            client.send(bytes([byte]))
            await client.writer.drain()
        await until(lambda: proxy.clock.is_waiting(HEAD_TIMEOUT_S))
        assert len(proxy.clock.timers) == 1
        proxy.clock.pass_by(HEAD_TIMEOUT_S)
        assert await client.until_ended() == b""


async def test_the_head_of_a_further_request_has_to_come_in_time_too() -> None:
    """Its time begins with its first byte: until then the connection is idle, and may be."""
    async with Proxy() as proxy:
        client = await proxy.connect()
        client.send(whole())
        assert await client.answer() == (200, BODY)
        client.send(ROUTE)
        await until(lambda: proxy.clock.is_waiting(HEAD_TIMEOUT_S))
        proxy.clock.pass_by(HEAD_TIMEOUT_S)
        assert await client.until_ended() == b""


async def test_an_idle_connection_lives_as_long_as_the_file_says() -> None:
    """The limit for heads does not end what has been answered; the keep-alive does."""
    async with Proxy() as proxy:
        client = await proxy.connect()
        client.send(whole())
        assert await client.answer() == (200, BODY)
        await until(lambda: proxy.clock.is_waiting(KEEP_ALIVE_S))
        proxy.clock.pass_by(HEAD_TIMEOUT_S)
        client.send(whole())
        assert await client.answer() == (200, BODY)
        await until(lambda: proxy.clock.is_waiting(KEEP_ALIVE_S))
        proxy.clock.pass_by(KEEP_ALIVE_S)
        assert await client.until_ended() == b""


async def test_a_body_may_take_longer_than_a_head() -> None:
    """The door has a limit for bodies, and an answer for it."""
    async with Proxy() as proxy:
        client = await proxy.connect()
        request = whole()
        client.send(request[:-3])
        await until(lambda: proxy.clock.timers and not proxy.clock.is_waiting(HEAD_TIMEOUT_S))
        proxy.clock.pass_by(HEAD_TIMEOUT_S)
        client.send(request[-3:])
        assert await client.answer() == (200, BODY)


@pytest.mark.parametrize("is_split", [False, True])
async def test_an_offer_of_http_2_is_passed_by_and_the_body_read(is_split: bool) -> None:
    """Every Java client offers it with its first request; the connection goes on as it was."""
    async with Proxy() as proxy:
        client = await proxy.connect()
        request = whole(OFFER)
        at = request.index(b"\r\n\r\n") + 4 if is_split else len(request)
        client.send(request[:at])
        await client.writer.drain()
        client.send(request[at:])
        assert await client.answer() == (200, BODY)
        client.send(whole(body=b"2"))
        assert await client.answer() == (200, b"2")
        client.send(ROUTE + OFFER + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert await client.answer() == (200, b"abc")


@pytest.mark.parametrize(
    ("more", "body"),
    [
        (b"", b""),
        (b"Content-Length: 3\r\n", b"abc"),
        (b"X-Long: " + b"a" * 9_000 + b"\r\n", b""),
    ],
)
async def test_an_offer_of_websockets_is_answered_as_a_plain_request_and_ends(
    more: bytes, body: bytes
) -> None:
    """Nobody speaks them here; a connection that offers them has the timers of any other."""
    async with Proxy() as proxy:
        client = await proxy.connect()
        client.send(HANDSHAKE + more + b"\r\n")
        client.send(body)
        assert await client.answer() == (200, body)
        await until(lambda: proxy.clock.is_waiting(KEEP_ALIVE_S))
        proxy.clock.pass_by(KEEP_ALIVE_S)
        assert await client.until_ended() == b""


async def test_a_client_that_sends_no_more_after_its_request_is_answered() -> None:
    """It closes its half of the connection, and reads: that is legal. Then all is over."""
    async with Proxy() as proxy:
        proxy.app.may_answer.clear()
        client = await proxy.connect()
        client.send(whole())
        client.writer.write_eof()
        await until(lambda: proxy.app.n_asked)
        # What follows on another connection has come after the end of this one's half.
        other = await proxy.connect()
        other.send(whole())
        await until(lambda: proxy.app.n_asked == 2)
        proxy.app.may_answer.set()
        assert await client.answer() == (200, BODY)
        assert await client.until_ended() == b""


async def test_a_client_that_leaves_in_the_middle_of_its_request_is_let_go() -> None:
    """Of half a head or half a body nothing more can come."""
    async with Proxy() as proxy:
        for sent in (ROUTE, whole()[:-3]):
            client = await proxy.connect()
            client.send(sent)
            client.writer.write_eof()
            assert await client.until_ended() == b""


async def test_requests_in_one_packet_are_answered_in_order() -> None:
    """Pipelining has no part in the timers."""
    async with Proxy() as proxy:
        client = await proxy.connect()
        client.send(whole(body=b"1") + whole(body=b"2"))
        assert [await client.answer(), await client.answer()] == [(200, b"1"), (200, b"2")]
