"""A request is held back in Ray's proxies of plain mode until its body is there.

Behind them each request has one of a replica's few places (`max_ongoing_requests`) from its head
on: some hundred clients that send half a body and wait would turn all others away. HAProxy does the
same in the fast mode, for the first 16 KB.
"""

import asyncio
from collections import deque

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.errors import BodyTooSlow
from serve_app.http.edge import finish
from serve_app.http.headers import ID_HEADER
from serve_app.http.problems import problem_response

# As in the fast mode.
TIMEOUT_S = 10.0
# More than a hundred rows. What is behind it is waited for by the server, by its own limits.
MOST_HELD_KB = 256
# Of all requests of a proxy together. Nobody has shown a key yet: without a bound ten thousand
# connections would hold 2.5 GB.
MOST_HELD_IN_ALL_KB = 64 * 1024


class HeldBack:
    """Hands a request on when its body is there, or so much of it that the rest may come later.

    A body that is not there in time is a 408, and a client that leaves before is nobody's work.
    When `most_kb` are held of all requests together, each is handed on at its next piece: a server
    asks for a key before it reads a body, and its limits say no to the rest.
    """

    def __init__(
        self, app: ASGIApp, timeout_s: float = TIMEOUT_S, most_kb: int = MOST_HELD_IN_ALL_KB
    ) -> None:
        self._app = app
        self._timeout_s = timeout_s
        self._most_bytes = 1024 * most_kb
        self._n_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held: deque[Message] = deque()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._hold(receive, held)
        except TimeoutError:
            await self._refuse(scope, receive, send)
            return
        if held and held[-1]["type"] == "http.disconnect":
            return

        async def told() -> Message:
            return held.popleft() if held else await receive()

        await self._app(scope, told, send)

    async def _hold(self, receive: Receive, held: deque[Message]) -> None:
        """Add the messages of a body, whole or its beginning; of a client that left, up to that."""
        n_bytes = 0
        is_open = True
        try:
            while is_open and n_bytes < 1024 * MOST_HELD_KB and self._n_bytes < self._most_bytes:
                message = await receive()
                held.append(message)
                n_more = len(message.get("body", b""))
                n_bytes += n_more
                self._n_bytes += n_more
                is_open = message.get("more_body", False)
        finally:
            self._n_bytes -= n_bytes

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = BodyTooSlow(
            f"The body is expected within {self._timeout_s:g} s after the head, or its first "
            f"{MOST_HELD_KB} KB."
        )
        # The edge has put it there.
        request_id = dict(scope["headers"])[ID_HEADER].decode()
        response = problem_response(error, request_id)
        finish(response, request_id)
        await response(scope, receive, send)
