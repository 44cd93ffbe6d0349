"""The routes of one model, from a spec and a backend: the same under Ray and in a plain client."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp

from serve_app.access.auth import Auth
from serve_app.access.caller import Permission
from serve_app.contract import ModelSpec
from serve_app.errors import HttpError, InternalError, MethodNotAllowed, NotFound
from serve_app.http import openapi
from serve_app.http.backend import Backend
from serve_app.http.docs_page import DOCS, OPENAPI, docs_route, openapi_route
from serve_app.http.door import WRONG_METHOD, Door, checks, client_left, fault
from serve_app.http.headers import Guarded
from serve_app.http.problems import NO_ROUTE, problem_response, request_id_of
from serve_app.http.refused_rows import RefusedRows
from serve_app.http.route import Check, Route
from serve_app.http.routes.drift import DRIFT, DriftSource, drift_router
from serve_app.http.routes.labels import (
    FEEDBACK,
    QUALITY,
    QualityHere,
    feedback_route,
    quality_router,
)
from serve_app.http.routes.predictions import prediction_routes
from serve_app.http.routes.rollout import MAX_BODY_KB, Operator, rollout_router
from serve_app.http.routes.status import status_router
from serve_app.monitoring.labels.feedback import Feedback

PATHS = {
    "predict": "/v1/predict",
    "predict_batch": "/v1/predict/batch",
    "model": "/v1/model",
    "rollout": "/v1/rollout",
    "health": "/health",
    "ready": "/ready",
}
DOCS_PATHS = {"docs": DOCS, "openapi": OPENAPI}
# What a script of another origin may send and read; what is not here are headers that every
# browser lets through.
CORS_REQUEST = ("X-API-Key", "X-Model-Version", "X-Request-ID", "X-Routing-Key")
CORS_ANSWER = (
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Model-Version",
    "X-Request-ID",
)
# Ray traces and counts requests itself; FastAPI would do it again, inside each request.
NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False}


def create_app(
    spec: ModelSpec,
    backend: Backend,
    operator: Operator | None = None,
    *,
    drift: DriftSource | None = None,
    auth: Auth | None = None,
    docs: bool = True,
    cors_origins: Sequence[str] = (),
    feedback: Feedback | None = None,
    quality: QualityHere | None = None,
    more_routes: Iterable[Route] = (),
    more_checks: Sequence[Check] = (),
    refused: RefusedRows | None = None,
    at_end: Callable[[], Awaitable[None]] | None = None,
) -> FastAPI:
    """The ASGI application of one model, behind the door that `app.state.door` holds.

    Without an operator it has no rollout routes. `drift` says how rows differ from training,
    `feedback` takes labels and `quality` says what they say: without one of them its route is not
    there. `auth` says whether keys are asked for; None: as on a loopback. `docs` is whether it has
    `/docs`, which needs no internet, and `/openapi.json`. Scripts of pages from `cors_origins` may
    read its answers. `more_routes` come after those that are listed here; `more_checks` before a
    body is read, as `door.checks` says. Rows that are refused are counted in `refused`. `at_end` is
    awaited once nobody asks any more. Raises ValueError when a path is declared twice.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if at_end is not None:
            await at_end()

    make: Callable[..., FastAPI] = FastAPIOffline if docs else FastAPI
    app = make(
        title=spec.title,
        version="1",
        openapi_url=OPENAPI if docs else None,
        docs_url=None,
        redoc_url=None,
        telemetry=NO_TELEMETRY,
        lifespan=lifespan,
        redirect_slashes=False,
        exception_handlers={
            HttpError: _on_http_error,
            HTTPException: _on_starlette_error,
            ClientDisconnect: _on_disconnect,
            Exception: _on_fault,
        },
    )
    auth = auth or Auth()
    # Its own route of the document encodes it for each request; ours is below.
    of_docs = [route for route in _declared(app.routes, "open") if route.path != OPENAPI]
    paths = PATHS | DOCS_PATHS if docs else PATHS
    if drift is not None:
        paths = paths | {"drift": DRIFT}
    if feedback is not None:
        paths = paths | {"feedback": FEEDBACK}
    if quality is not None:
        paths = paths | {"quality": QUALITY}
    of_status = status_router(spec, backend, paths, auth)
    of_fastapi = [*of_docs, *_declared(of_status.routes, "open")]
    app.include_router(of_status)
    if operator is not None:
        of_rollout = rollout_router(operator, auth)
        of_fastapi += _declared(of_rollout.routes, "admin", MAX_BODY_KB)
        app.include_router(of_rollout)
    if drift is not None:
        of_drift = drift_router(drift, auth)
        of_fastapi += _declared(of_drift.routes, "admin")
        app.include_router(of_drift)
    if quality is not None:
        of_quality = quality_router(quality, auth)
        of_fastapi += _declared(of_quality.routes, "admin")
        app.include_router(of_quality)
    ours = [*prediction_routes(spec, backend, refused), *more_routes]
    if feedback is not None:
        ours.append(feedback_route(spec, feedback))
    if docs:
        ours += [docs_route(spec.title), openapi_route(lambda: app.openapi())]
    secured = [*ours, *of_fastapi] if auth.asks else []
    openapi.describe(app, spec, ours, lambda: backend.limits, secured)
    every_check = checks(backend, auth, more_checks)
    door = Door(backend, [*ours, *of_fastapi], every_check, app.build_middleware_stack)
    # Ray names its metrics by the routes that FastAPI has; requests to these end at the door.
    app.router.routes += [
        StarletteRoute(route.path, door, methods=list(route.methods)) for route in ours
    ]
    app.middleware_stack = Guarded(_with_cors(door, cors_origins))
    app.state.door = door
    return app


def _with_cors(door: Door, origins: Sequence[str]) -> ASGIApp:
    """The door, behind what browsers ask before a page of another origin may use it.

    Credentials of the browser (cookies) are not allowed: nothing here reads them.
    """
    if not origins:
        return door
    door.has_origins = True
    return CORSMiddleware(
        door,
        allow_origins=origins,
        allow_methods=("GET", "HEAD", "POST"),
        allow_headers=CORS_REQUEST,
        expose_headers=CORS_ANSWER,
    )


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
