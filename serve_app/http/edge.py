"""What runs in front of Ray's own HTTP handling: in each server replica of the fast mode, and in
Ray's proxies in plain mode.

Ray asks for `middlewares` by RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH. Without that variable every
request reaches the door through Ray alone, which echoes any X-Request-ID and answers 500 to bytes
that are not UTF-8.
"""

import json
from collections.abc import Iterable
from time import monotonic

from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.errors import BadHeader
from serve_app.http.accepting import accept_at_once, take_no_websockets
from serve_app.http.door import Door
from serve_app.http.headers import ID_HEADER, Guarded, Header, guard, kept_id, new_id, require_text
from serve_app.http.problems import problem_response

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
    queued, late or cancelled, and Ray's care for that costs three times the prediction. (A body
    that is large or has faults takes several, and still waits for nobody else but such bodies.)
    The answer is the same.

    What may wait goes through Ray, but unwatched: Ray need not look out for a client that leaves,
    since a request ends at its deadline. That saves two tasks and a queue. In Ray's proxies there
    is no server, and everything goes through Ray, watched.

    Ray gets headers that it can read, and an id that it may repeat.
    """

    def __init__(self, app: ASGIApp, ask_every_s: float = ASK_PREFIX_EVERY_S) -> None:
        self._app = app
        self._guarded = Guarded(app)
        self._ask_every_s = ask_every_s
        self._ask_at_s = 0.0
        self._prefix: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        door = door_in_front()
        if door is not None and await self._answered(door, scope, receive, send):
            return
        request_id = kept_id(_first(scope["headers"], ID_HEADER)) or new_id()
        try:
            require_text(scope["headers"], request_id)
        except BadHeader as error:
            response = problem_response(error, request_id)
            finish(response, request_id)
            await response(scope, receive, send)
            return
        others = [header for header in scope["headers"] if header[0] != ID_HEADER]
        if door is not None:
            others.append(UNWATCHED)
        scope["headers"] = [(ID_HEADER, request_id.encode()), *others]
        await self._guarded(scope, receive, send)

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
        request = door.incoming(scope, receive)
        if door.has_origins and b"origin" in request.headers:
            return False
        scope["root_path"] = prefix
        response = await door.answer(request, route)
        finish(response, request.id)
        await response(scope, receive, send)
        return True


def _first(headers: Iterable[Header], name: bytes) -> bytes | None:
    return next((value for other, value in headers if other == name), None)


def finish(response: Response, request_id: str) -> None:
    """Add what an answer gets on its way through Ray and FastAPI."""
    guard(response.raw_headers)
    response.raw_headers.append((ID_HEADER, request_id.encode()))


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
    accept_at_once()
    take_no_websockets()
    return [Middleware(Edge)]
