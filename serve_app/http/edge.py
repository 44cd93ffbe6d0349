"""What runs in front of Ray's own HTTP handling in each server replica of the fast mode.

Ray asks for `middlewares` by RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH. Without that variable, and
in plain mode, every request reaches the door through Ray.
"""

import json
from time import monotonic

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.http.door import ID_HEADER, Door

UNWATCHED = (b"x-request-disconnect-disabled", b"?1")
# Ray changes the prefix of an application without a new process, so it is asked again.
ASK_PREFIX_EVERY_S = 1.0


class _Process:
    """The one place for state of the process: Ray makes the Edge itself and can hand it nothing."""

    door: Door | None = None


def put_in_front(door: Door | None) -> None:
    """From now on, what waits for nothing is answered by this door, in front of Ray; None: by
    nobody.
    """
    _Process.door = door


def door_in_front() -> Door | None:
    """The door of the server in this process, if there is one."""
    return _Process.door


class Edge:
    """Answers what can be answered at once, and hands the rest to Ray.

    A prediction of a cheap version in this process takes one step of the event loop: nothing is
    queued, late or cancelled, and Ray's care for that costs three times the prediction.
    The answer is the same.

    What may wait goes through Ray, but unwatched: Ray need not look out for a client that leaves,
    since a request ends at its deadline. That saves two tasks and a queue.
    """

    def __init__(self, app: ASGIApp, ask_every_s: float = ASK_PREFIX_EVERY_S) -> None:
        self._app = app
        self._ask_every_s = ask_every_s
        self._ask_at_s = 0.0
        self._prefix: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        door = door_in_front()
        if door is not None and await self._answered(door, scope, receive, send):
            return
        scope["headers"] = [*scope["headers"], UNWATCHED]
        await self._app(scope, receive, send)

    async def _answered(self, door: Door, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a request that waits for nothing; False for any other."""
        if monotonic() >= self._ask_at_s:
            self._ask_at_s = monotonic() + self._ask_every_s
            self._prefix = await route_prefix(self._app, scope)
        prefix = self._prefix
        if prefix is None or not scope["path"].startswith(prefix):
            return False
        route = door.waiting_for_nothing(scope["path"][len(prefix) :], scope["method"])
        if route is None:
            return False
        scope["root_path"] = prefix
        request = door.incoming(scope, receive)
        response = await door.answer(request, route)
        # Behind Ray's own middleware the answer would get this header there.
        given = request.headers.get(ID_HEADER)
        response.raw_headers.append((ID_HEADER, given or request.id.encode()))
        await response(scope, receive, send)
        return True


async def route_prefix(ray: ASGIApp, scope: Scope) -> str | None:
    """Where Ray serves this replica's application: `""` or `/churn`.

    Ray's own route `/-/routes` says so, and nothing else that is public. None while the replica is
    not healthy.
    """
    root_path = scope.get("root_path", "")
    path = root_path + "/-/routes"
    question = {
        **scope,
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    status = 0
    body = b""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    await ray(question, receive, send)
    if status != 200:
        return None
    # Ray answers {prefix: application}, of this replica's application alone.
    prefix = str(next(iter(json.loads(body))))
    full: str = root_path + prefix.rstrip("/")
    return full


def middlewares() -> list[Middleware]:
    """What Ray asks for when a replica starts."""
    return [Middleware(Edge)]
