"""What runs around Ray's own HTTP handling in each server replica, by RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH."""

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

UNWATCHED = (b"x-request-disconnect-disabled", b"?1")


class Unwatched:
    """Tells Ray not to watch for a client that goes away: two tasks and a queue less for every request.

    A prediction takes milliseconds and ends at its deadline, so there is next to nothing to cancel.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            scope["headers"] = [*scope["headers"], UNWATCHED]
        await self._app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """What Ray asks for when a replica starts."""
    return [Middleware(Unwatched)]
