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


class HeldBack:
    """Hands a request on when its body is there, or so much of it that the rest may come later.

    A body that is not there in time is a 408, and a client that leaves before is nobody's work.
    """

    def __init__(self, app: ASGIApp, timeout_s: float = TIMEOUT_S) -> None:
        self._app = app
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                held = await _held(receive)
        except TimeoutError:
            await self._refuse(scope, receive, send)
            return
        if held[-1]["type"] == "http.disconnect":
            return

        async def told() -> Message:
            return held.popleft() if held else await receive()

        await self._app(scope, told, send)

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


async def _held(receive: Receive) -> deque[Message]:
    """Return the messages of a body, whole or its beginning; of a client that left, up to that."""
    held: deque[Message] = deque()
    n_bytes = 0
    is_open = True
    while is_open and n_bytes < 1024 * MOST_HELD_KB:
        message = await receive()
        held.append(message)
        n_bytes += len(message.get("body", b""))
        is_open = message.get("more_body", False)
    return held
