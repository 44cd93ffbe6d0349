"""Connections that come at once, on real sockets and uvloop, as in Ray's processes."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import uvicorn
import uvloop
from fakes import until

from serve_app.http import connection, edge
from serve_app.http.accepting import AcceptingServer

N_CLIENTS = 100
# Each takes some turns to begin; uvicorn alone has as many connections then as turns have passed.
N_TURNS = 20
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PATIENCE_S = 300.0


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """An application that has one answer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


def listening() -> socket.socket:
    """As Ray makes it."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.bind(("127.0.0.1", 0))
    return made


async def started(server: uvicorn.Server, listener: socket.socket) -> "asyncio.Task[None]":
    """A server that listens."""
    # Ray does so too.
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    await until(lambda: server.started, PATIENCE_S)
    return serving


def on_uvloop(test: Callable[[], Any]) -> None:
    """Run a test on the event loop of Ray's processes."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test())


@pytest.mark.parametrize("kind", [AcceptingServer, uvicorn.Server])
def test_all_that_wait_are_accepted_within_some_turns_of_the_loop(kind: Any) -> None:
    """What uvicorn does alone is told next to it: where that is well one day, this can go."""

    async def test() -> None:
        listener = listening()
        server = kind(uvicorn.Config(answer, lifespan="off", log_config=None))
        serving = await started(server, listener)
        with ExitStack() as stack:
            clients = []
            for _ in range(N_CLIENTS):
                # The system completes it, whatever the loop does.
                client = socket.create_connection(listener.getsockname(), timeout=PATIENCE_S)
                clients.append(stack.enter_context(client))
                client.sendall(REQUEST)
            for _ in range(N_TURNS):
                await asyncio.sleep(0)
            n_accepted = server.server_state.total_requests
            if kind is AcceptingServer:
                assert n_accepted == N_CLIENTS
            else:
                assert 0 < n_accepted <= N_TURNS
            answers = [await asyncio.to_thread(client.recv, 4096) for client in clients]
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        server.should_exit = True
        await serving

    on_uvloop(test)


def test_a_server_that_has_ended_accepts_nobody() -> None:
    """A copy of its socket that is left open would keep clients waiting for ever."""

    async def test() -> None:
        listener = listening()
        address = listener.getsockname()
        server = AcceptingServer(uvicorn.Config(answer, lifespan="off", log_config=None))
        serving = await started(server, listener)
        server.should_exit = True
        await serving
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=PATIENCE_S)

    on_uvloop(test)


@pytest.mark.parametrize("ask", [edge.middlewares, connection.middlewares])
def test_both_modes_start_such_a_server(
    ask: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray asks for middlewares before it makes a server, which it finds by this name."""
    monkeypatch.setattr(uvicorn, "Server", uvicorn.Server)
    monkeypatch.setattr(connection.auto, "AutoHTTPProtocol", connection.auto.AutoHTTPProtocol)
    ask()
    assert uvicorn.Server is AcceptingServer
