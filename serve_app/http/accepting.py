"""A server of HTTP that accepts all connections that wait, and not one in each turn of the loop.

uvloop's libuv accepts one connection a turn (libuv's pull request 3696). Under overload a turn
takes a fifth of a second: of 400 clients that came at once some waited for as long as the overload
lasted, and so did the health checks of HAProxy, which come on connections of their own.

And it speaks HTTP alone: an offer of WebSockets is passed by, as a server may (RFC 9110, 7.8).
"""

import asyncio
import socket
from asyncio import Protocol
from typing import Any

import uvicorn
from uvicorn.protocols.websockets import auto

# So many in one turn; the rest come in the next.
MOST_AT_ONCE = 1_000


class AcceptingServer(uvicorn.Server):
    """Accepts next to uvloop's own listener, from copies of the sockets that it is given."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and accept as this module says."""
        await super().startup(sockets)
        # With TLS of its own, which Sluice leaves to HAProxy, a connection is more than a socket.
        self._copies = [] if self.config.is_ssl else [one.dup() for one in sockets or []]
        self._beginning: set[asyncio.Task[Any]] = set()
        loop = asyncio.get_running_loop()
        for copy in self._copies:
            copy.setblocking(False)
            loop.add_reader(copy, self._accept_all, copy)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, and end what is under way as uvicorn does."""
        loop = asyncio.get_running_loop()
        for copy in self._copies:
            loop.remove_reader(copy)
            copy.close()
        await super().shutdown(sockets)

    def _accept_all(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(MOST_AT_ONCE):
            try:
                connection, _address = listening.accept()
            except OSError:
                # Nobody waits any more, or there are no files left: the loop comes again.
                return
            connection.setblocking(False)
            task = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
            self._beginning.add(task)
            task.add_done_callback(self._has_begun)

    def _has_begun(self, task: "asyncio.Task[Any]") -> None:
        self._beginning.discard(task)
        if not task.cancelled():
            # A client that has left meanwhile is no fault.
            task.exception()

    def _protocol(self) -> Protocol:
        """What uvicorn makes for a connection that its own listener accepts."""
        make: Any = self.config.http_protocol_class
        protocol: Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def accept_at_once() -> None:
    """Let the servers that Ray starts in this process from now on be such ones."""
    uvicorn.Server = AcceptingServer  # type: ignore[misc]


def take_no_websockets() -> None:
    """Let the servers that Ray starts in this process from now on answer an offer of WebSockets as
    a plain request.

    uvicorn would hand the connection over to a protocol that knows no timer before its handshake,
    and the handshake to Ray, past the edge. Ray names no protocol, so uvicorn takes this variable.
    """
    auto.AutoWebSocketsProtocol = None
