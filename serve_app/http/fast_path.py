"""Predictions in front of FastAPI's middlewares and router, which cost as much as the answer itself."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from time import monotonic

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.errors import HttpError, InternalError
from serve_app.http.problems import problem_response, request_id_of
from serve_app.http.routes.predictions import Handler

logger = logging.getLogger(__name__)


class Shortcut:
    """Calls the handlers of the hot routes itself, with the same answers to errors as FastAPI's; the rest is FastAPI's.

    `prefix` is the path of the model, known from the first request that comes through Ray.
    """

    def __init__(
        self, handlers: Mapping[str, Handler], rest: ASGIApp, at_once: Callable[[], bool]
    ) -> None:
        self._handlers = handlers
        self._rest = rest
        self._at_once = at_once
        self.prefix: str | None = None
        self.counts: Counter[int] = (
            Counter()
        )  # predictions by status; Ray does not see those answered at once
        self.seconds = 0.0  # that they took in all

    def takes(self, scope: Scope) -> bool:
        """Whether this request is one for `__call__` that will be answered without waiting for anything."""
        return (
            self.prefix is not None
            and self._handler(scope, self.prefix) is not None
            and self._at_once()
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        self.prefix = prefix = scope.get("root_path", "")
        handler = self._handler(scope, prefix) if scope["type"] == "http" else None
        if handler is None:
            await self._rest(scope, receive, send)
            return
        begin_s = monotonic()
        response = await respond(handler, Request(scope, receive))
        self.counts[response.status_code] += 1
        self.seconds += monotonic() - begin_s
        await response(scope, receive, send)

    def _handler(self, scope: Scope, prefix: str) -> Handler | None:
        return (
            self._handlers.get(scope["path"].removeprefix(prefix))
            if scope["method"] == "POST"
            else None
        )


async def respond(handler: Handler, request: Request) -> Response:
    """The handler's answer, or what an error is told to the client."""
    try:
        return await handler(request)
    except HttpError as error:
        return problem_response(error, request_id_of(request))
    except ClientDisconnect:
        return left()
    except Exception:
        logger.exception("a prediction failed")
        return fault(request)


def fault(request: Request) -> Response:
    """A fault of ours: nothing of it is shown."""
    return problem_response(
        InternalError("The fault is in the service's log."), request_id_of(request)
    )


def left() -> Response:
    """Nobody reads it; without it the log would hold a traceback."""
    return Response(status_code=499)
