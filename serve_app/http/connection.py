"""How Ray's proxies of plain mode read connections: in time, and past an offer of HTTP/2.

uvicorn, which these proxies are, waits for a request's head for as long as a client likes. And its
fast parser takes `Upgrade: h2c`, which every Java client sends, for the end of the request: the
body is lost. uvicorn's other parser, h11, reads on, at a cost that is nothing next to Ray's proxy.

Ray names no parser, so uvicorn takes its `AutoHTTPProtocol`. Ray asks for `middlewares` in each
proxy before it starts uvicorn there (RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH).
"""

import asyncio
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.h11_impl import H11Protocol

from serve_app.http.accepting import accept_at_once, take_no_websockets
from serve_app.http.admitted import Admitted
from serve_app.http.edge import Edge

# As in the fast mode: from the connection, or the first byte of a further request, until its head
# is there. Between two requests a connection may be idle for `keep_alive_timeout_s`.
HEAD_TIMEOUT_S = 10.0


class TimedConnection(H11Protocol):
    """A connection whose next request has to come in time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request from now on."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Read on; a head that has begun has to end in time."""
        if self._head_timer is None and not self._is_answering():
            self._wait_for_head()
        super().data_received(data)
        if self._is_answering():
            self._head_is_there()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Stay for the answer of a client that sends no more after a whole request.

        Whether it has gone cannot be told from here; the answer has a deadline all the same.
        """
        if not self._is_answering() or self.cycle.more_body:
            return False
        # The answer is the last one, and says so.
        self.shutdown()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._head_is_there()
        super().connection_lost(exc)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._let_go)

    def _head_is_there(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _let_go(self) -> None:
        self._head_timer = None
        self.transport.close()


def in_front(app: ASGIApp) -> ASGIApp:
    """Put in front of Ray's proxy what makes its requests plain, and then holds back their bodies.

    One middleware and not two: Ray puts the last of a list in front, Starlette the first.
    """
    return Edge(Admitted(app))


def middlewares() -> list[Middleware]:
    """What Ray asks for when a proxy starts."""
    accept_at_once()
    take_no_websockets()
    auto.AutoHTTPProtocol = TimedConnection
    return [Middleware(in_front)]
