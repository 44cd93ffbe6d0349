"""The routes of one model, from a spec and a backend: the same under Ray and in a plain client."""

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.routing import Route as StarletteRoute

from serve_app.access.caller import Permission
from serve_app.contract import ModelSpec
from serve_app.errors import HttpError, InternalError, MethodNotAllowed, NotFound
from serve_app.http import openapi
from serve_app.http.backend import Backend
from serve_app.http.door import (
    WRONG_METHOD,
    Check,
    Door,
    Route,
    checks,
    client_left,
    fault,
)
from serve_app.http.problems import problem_response, request_id_of
from serve_app.http.routes.predictions import prediction_routes
from serve_app.http.routes.rollout import MAX_BODY_KB, Operator, rollout_router
from serve_app.http.routes.status import status_router

PATHS = {
    "predict": "/v1/predict",
    "predict_batch": "/v1/predict/batch",
    "model": "/v1/model",
    "rollout": "/v1/rollout",
    "health": "/health",
    "ready": "/ready",
    "docs": "/docs",
    "openapi": "/openapi.json",
}
# Ray traces and counts requests itself; FastAPI would do it again, inside each request.
NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False}
NO_ROUTE = "There is no such route; GET / lists them."


def create_app(
    spec: ModelSpec,
    backend: Backend,
    operator: Operator | None = None,
    *,
    more_routes: Iterable[Route] = (),
    more_checks: Sequence[Check] = (),
) -> FastAPI:
    """The ASGI application of one model, behind the door that `app.state.door` holds.

    Without an operator it has no rollout routes. `more_routes` and `more_checks` come after those
    that are listed here and in `door.checks`. `/docs` needs no internet.
    Raises ValueError when a path is declared twice.
    """
    app: FastAPI = FastAPIOffline(
        title=spec.title,
        version="1",
        redoc_url=None,
        telemetry=NO_TELEMETRY,
        redirect_slashes=False,
        exception_handlers={
            HttpError: _on_http_error,
            HTTPException: _on_starlette_error,
            ClientDisconnect: _on_disconnect,
            Exception: _on_fault,
        },
    )
    docs = _declared(app.routes, "open")
    of_status = status_router(spec, backend, PATHS)
    of_fastapi = [*docs, *_declared(of_status.routes, "open")]
    app.include_router(of_status)
    if operator is not None:
        of_rollout = rollout_router(operator)
        of_fastapi += _declared(of_rollout.routes, "admin", MAX_BODY_KB)
        app.include_router(of_rollout)
    ours = [*prediction_routes(spec, backend), *more_routes]
    openapi.describe(app, spec, ours, lambda: backend.limits)
    every_check = [*checks(backend), *more_checks]
    door = Door(backend, [*ours, *of_fastapi], every_check, app.build_middleware_stack)
    # Ray names its metrics by the routes that FastAPI has; requests to these end at the door.
    app.router.routes += [
        StarletteRoute(route.path, door, methods=list(route.methods)) for route in ours
    ]
    app.middleware_stack = door
    app.state.door = door
    return app


def _declared(
    routes: Iterable[BaseRoute], scope: Permission, max_body_kb: int | None = None
) -> list[Route]:
    """What FastAPI has, as the door's own records; the door reads the body of a POST."""
    records = []
    for route in routes:
        if isinstance(route, Mount):
            records.append(Route(route.path + "/{path:path}", ("GET", "HEAD"), scope))
        elif isinstance(route, StarletteRoute):
            methods = tuple(sorted(route.methods or ()))
            largest = max_body_kb if "POST" in methods else None
            records.append(Route(route.path, methods, scope, max_body_kb=largest))
    return records


async def _on_http_error(request: Request, error: Any) -> Response:
    return problem_response(error, request_id_of(request))


async def _on_starlette_error(request: Request, error: Any) -> Response:
    """What FastAPI and its static files refuse themselves."""
    found: HttpError = InternalError("The request could not be handled.")
    if error.status_code == 404:
        found = NotFound(NO_ROUTE)
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "").split(", ")
        found = MethodNotAllowed(WRONG_METHOD, allow=allowed)
    return problem_response(found, request_id_of(request))


async def _on_fault(request: Request, _: Any) -> Response:
    return problem_response(fault(), request_id_of(request))


async def _on_disconnect(_: Request, __: Any) -> Response:
    return client_left()
