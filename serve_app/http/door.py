"""The one way in: every request passes the same list of checks before any handler sees it.

request ── Edge ──────────────┐            predictions that wait for nothing (fast mode)
   └────── Ray ── FastAPI ── Door ── checks ── handler
                                         └──── FastAPI's own routes
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.access.auth import Auth
from serve_app.errors import HttpError, InternalError, MethodNotAllowed, Overloaded
from serve_app.http.backend import Backend
from serve_app.http.headers import ID_HEADER, kept_id, new_id, require_text
from serve_app.http.permission import KeyCheck, require_plain_path
from serve_app.http.rate_headers import rate_headers
from serve_app.http.request import IncomingRequest
from serve_app.http.route import Check, Route
from serve_app.http.turns import Turns
from serve_app.serving.request_id import REQUEST_ID
from serve_app.statistics.histogram import Histogram

logger = logging.getLogger(__name__)

OK = 200
CLIENT_LEFT = 499
# Counted on every route: who tries keys asks where there is something to win.
NO_PERMISSION = (401, 403)
WRONG_METHOD = "This route does not take this method; GET / lists them."


def checks(backend: Backend, auth: Auth, more: Sequence[Check] = ()) -> list[Check]:
    """What every request passes, in this order; a check raises an HttpError to refuse it.

    A refusal is cheap where it comes early: who has no key, or finds an over-full server, is told
    so before a byte of the body is read; so is whom a check of `more` refuses, such as that of the
    caller's rate.
    """
    room = Room(backend)
    keys = [KeyCheck(auth).look] if auth.asks else []
    before = [identify, require_text_headers, require_plain_path, *keys]
    return [*before, room.look, *more, room.read_body, room.look_again]


async def identify(request: IncomingRequest, route: Route) -> None:
    """Every request has an id, for the answer and for the log: the client's own or a new one."""
    kept = kept_id(request.headers.get(ID_HEADER))
    request.id = kept or new_id()
    REQUEST_ID.set(request.id)
    if kept:
        return
    # In front, since the first one counts: FastAPI's handlers read the id there.
    headers = [(ID_HEADER, request.id.encode()), *request.scope["headers"]]
    request.scope["headers"] = headers


async def require_text_headers(request: IncomingRequest, route: Route) -> None:
    """Bytes that are no text are told so, whichever header they stand in. Raises BadHeader."""
    require_text(request.scope["headers"], request.id)


class Room:
    """Whether there is room for more.

    What takes it: rows under way, requests whose body is still coming, and what waits for the event
    loop.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._turns = Turns()
        self._n_reading = 0

    async def look(self, request: IncomingRequest, route: Route) -> None:
        """What is let in is answered; what is too much is told so. Raises Overloaded."""
        if not route.is_work:
            return
        limits = request.limits
        if self._backend.rows_under_way + self._n_reading >= limits.max_rows_under_way:
            raise Overloaded(
                f"This replica answers {limits.max_rows_under_way} rows at a time; "
                "try again later.",
                retry_after_s=limits.retry_after_s,
            )
        await self.look_again(request, route)

    async def look_again(self, request: IncomingRequest, route: Route) -> None:
        """Who has waited for much work of others is told so: those behind wait for more still.

        It is asked before the body is read and after it: a body may come in several turns, and
        where it was there at once nothing has changed. Raises Overloaded.
        """
        if not route.is_work or request.turn == self._turns.number:
            return
        limits = request.limits
        waited_s = self._turns.waited_s()
        request.turn = self._turns.number
        if waited_s * 1000 > limits.max_wait_ms:
            raise Overloaded(
                f"More than {limits.max_wait_ms} ms of work wait before this request; "
                "try again later.",
                retry_after_s=limits.retry_after_s,
            )

    async def read_body(self, request: IncomingRequest, route: Route) -> None:
        """Read a body of bounded size in bounded time, if the route takes one."""
        if route.max_body_kb is None:
            return
        max_kb = min(route.max_body_kb, request.limits.max_body_kb)
        if not route.is_work:
            await request.read_body(max_kb)
            return
        self._n_reading += 1
        try:
            await request.read_body(max_kb)
        finally:
            self._n_reading -= 1


class Door:
    """The ASGI application of a model: the checks, then a handler or FastAPI.

    `counts` holds status → number of predictions, and of requests to any route that had no right
    key; `seconds` is what predictions took in all, and `times` what each took that was answered:
    Ray does not see those that are answered in front of it. `has_origins`: requests with an Origin
    go through the layer that knows which origins are allowed.
    """

    def __init__(
        self,
        backend: Backend,
        routes: Iterable[Route],
        checks: Sequence[Check],
        build_rest: Callable[[], ASGIApp],
    ) -> None:
        self._backend = backend
        self._checks = tuple(checks)
        self._build_rest = build_rest
        self._rest: ASGIApp | None = None
        # By path, then by method.
        self._plain: dict[str, dict[str, Route]] = {}
        self._patterns: dict[str, dict[str, Route]] = {}
        for route in routes:
            self._add(route)
        self.has_origins = False
        self.counts: Counter[int] = Counter()
        self.seconds = 0.0
        self.times = Histogram()

    def _add(self, route: Route) -> None:
        known = self._plain
        key = route.path
        if "{" in route.path:
            known = self._patterns
            key = _pattern(route.path)
        methods = known.setdefault(key, {})
        for method in route.methods:
            if method in methods:
                raise ValueError(
                    f"{method} {route.path}: found two routes, expected one; remove the other"
                )
            methods[method] = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of ASGI."""
        if scope["type"] != "http":
            await self._to_rest(scope, receive, send)
            return
        root_path = scope.get("root_path", "")
        path = scope["path"].removeprefix(root_path)
        if path == "":
            # The model's own path without a slash at its end is its first page.
            path = "/"
            scope["path"] = root_path + path
            if "raw_path" in scope:
                scope["raw_path"] += b"/"
        route = self._route(path, scope["method"])
        request = self.incoming(scope, receive)
        if route.handler is not None:
            response = await self.answer(request, route)
            await response(scope, receive, send)
            return
        try:
            await self._pass(request, route)
        except Exception as error:
            refusal = told(error, request, route)
            self._count(refusal, route)
            await refusal(scope, receive, send)
            return
        is_read = route.max_body_kb is not None
        await self._to_rest(scope, request.receive_again if is_read else receive, send)

    def waiting_for_nothing(self, path: str, method: str) -> Route | None:
        """The route of a request that can be answered in one step of the event loop, if it can."""
        methods = self._plain.get(path)
        if methods is None or not self._backend.answers_at_once:
            return None
        route = methods.get(method)
        return route if route is not None and route.handler is not None else None

    def incoming(self, scope: Scope, receive: Receive) -> IncomingRequest:
        """A request under the limits in force."""
        return IncomingRequest(scope, receive, self._backend.limits)

    async def answer(self, request: IncomingRequest, route: Route) -> Response:
        """The answer of a route that has a handler, or what the client is told of an error."""
        assert route.handler is not None
        begin_s = monotonic()
        try:
            await self._pass(request, route)
            response = await route.handler(request)
        except Exception as error:
            response = told(error, request, route)
        if request.allowance is not None:
            response.raw_headers += rate_headers(request.allowance)
        self._count(response, route)
        if route.scope == "predict":
            seconds = monotonic() - begin_s
            self.seconds += seconds
            # What is refused is told at once: it would make slow answers look rare.
            if response.status_code == OK:
                self.times.add(seconds)
        return response

    def _count(self, response: Response, route: Route) -> None:
        if route.scope == "predict" or response.status_code in NO_PERMISSION:
            self.counts[response.status_code] += 1

    async def _pass(self, request: IncomingRequest, route: Route) -> None:
        for check in self._checks:
            await check(request, route)

    def _route(self, path: str, method: str) -> Route:
        methods = self._plain.get(path)
        if methods is None:
            found = (self._patterns[key] for key in self._patterns if re.fullmatch(key, path))
            methods = next(found, None)
        if methods is None:
            return UNDECLARED
        return methods.get(method) or _refusing_method(tuple(methods))

    async def _to_rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        """FastAPI's layers are built when one is needed: whatever was added until then counts."""
        if self._rest is None:
            self._rest = self._build_rest()
        await self._rest(scope, receive, send)


def _pattern(path: str) -> str:
    """A path with parameters as a regular expression, in which their names make no difference."""
    escaped = re.escape(path)
    escaped = re.sub(r"\\\{\w+:path\\\}", ".*", escaped)
    return re.sub(r"\\\{\w+\\\}", "[^/]+", escaped)


def told(error: Exception, request: IncomingRequest, route: Route) -> Response:
    """What the client is told of an error, in the manner of the route."""
    if isinstance(error, HttpError):
        return route.write_error(error, request.id)
    if isinstance(error, ClientDisconnect):
        return client_left()
    logger.error("a request failed", exc_info=error)
    return route.write_error(fault(), request.id)


def fault() -> InternalError:
    """What a client is told of a fault of ours: nothing of the inside."""
    return InternalError("The fault is in the service's log.")


def client_left() -> Response:
    """The answer that nobody reads; without it the log would hold a traceback."""
    return Response(status_code=CLIENT_LEFT)


# FastAPI says that there is no such route. One that it was given without a record here is reached,
# but only by those who may do everything.
UNDECLARED = Route("", (), "admin")


def _refusing_method(allowed: tuple[str, ...]) -> Route:
    async def refuse(request: IncomingRequest) -> Response:
        raise MethodNotAllowed(WRONG_METHOD, allow=allowed)

    return Route("", (), "open", handler=refuse)
