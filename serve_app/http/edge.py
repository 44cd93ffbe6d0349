"""What runs in front of Ray's own HTTP handling in each server replica of the fast mode: Ray asks for `middlewares` by
RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH. Without that variable, and in plain mode, everything goes through Ray.
"""

from secrets import token_hex

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.http.fast_path import Shortcut

REQUEST_ID = b"x-request-id"
UNWATCHED = (b"x-request-disconnect-disabled", b"?1")


class Lane:
    """The shortcut of the server in this process, once there is one."""

    shortcut: Shortcut | None = None


class Edge:
    """Answers what can be answered at once, and hands the rest to Ray.

    A prediction of a cheap held model takes one step of the event loop: there is nothing to queue, to time out or to
    cancel, and Ray's care for all that costs three times as much as the prediction. The answer is the same.
    What may wait goes through Ray, but unwatched: Ray need not look out for a client that leaves, since a request
    ends at its deadline; that saves two tasks and a queue.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        shortcut = Lane.shortcut
        if shortcut is None or not shortcut.takes(scope):
            scope["headers"] = [*scope["headers"], UNWATCHED]
            await self._app(scope, receive, send)
            return
        request_id = next((value for name, value in scope["headers"] if name == REQUEST_ID), b"")
        if not request_id:
            request_id = token_hex(16).encode()
            scope["headers"] = [*scope["headers"], (REQUEST_ID, request_id)]

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((REQUEST_ID, request_id))
            await send(message)

        scope["root_path"] = shortcut.prefix
        await shortcut(scope, receive, send_with_id)


def middlewares() -> list[Middleware]:
    """What Ray asks for when a replica starts."""
    return [Middleware(Edge)]
