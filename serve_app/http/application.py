"""The routes of one model, made by a factory from a spec and a backend: the same under Ray and in a plain client."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from serve_app.contract import ModelSpec
from serve_app.errors import HttpError, InternalError, MethodNotAllowed, NotFound, RequestError
from serve_app.http import openapi
from serve_app.http.fast_path import Shortcut, fault, left
from serve_app.http.problems import problem_response, request_id_of
from serve_app.http.routes.predictions import Backend, Predictions
from serve_app.http.routes.rollout import Operator, rollout_routes
from serve_app.serving.status import Description, Health, Readiness

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


# Ray traces and counts requests itself; FastAPI's own telemetry would do it again, inside each request.
NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False}


class Links(BaseModel):
    """Where everything is."""

    model: str
    title: str
    links: dict[str, str]


def create_app(spec: ModelSpec, backend: Backend, operator: Operator | None = None) -> FastAPI:
    """The ASGI application of one model; without an operator it has no rollout routes. `/docs` needs no internet."""
    predictions = Predictions(spec, backend)
    app: FastAPI = FastAPIOffline(
        title=spec.title, version="1", redoc_url=None, telemetry=NO_TELEMETRY
    )
    app.router.routes[:0] = predictions.routes()  # in front: routes are matched in order
    app.include_router(_status_routes(spec, backend))
    if operator is not None:
        app.include_router(rollout_routes(operator))
    openapi.describe_predictions(app, spec, lambda: backend.limits)
    app.add_exception_handler(HttpError, _on_http_error)
    app.add_exception_handler(HTTPException, _on_starlette_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_fault)
    rest = app.build_middleware_stack()
    app.middleware_stack = app.state.shortcut = Shortcut(
        predictions.handlers, rest, lambda: backend.answers_at_once
    )
    return app


def _status_routes(spec: ModelSpec, backend: Backend) -> APIRouter:
    """The routes that people and probes ask: typed and documented by FastAPI itself."""
    router = APIRouter(tags=["status"])

    @router.get("/health")
    async def health() -> Health:
        """Alive: the process answers."""
        return backend.health()

    @router.get(
        "/ready",
        responses={503: {"model": Readiness, "description": "The stable version does not answer"}},
    )
    async def ready(response: Response) -> Readiness:
        """Ready: the stable version answers now."""
        state = await backend.readiness()
        response.status_code = 200 if state.ready else 503
        return state

    @router.get("/v1/model")
    async def model() -> Description:
        """What is served: contract, versions with weights, metrics, hashes."""
        return backend.description()

    @router.get("/")
    async def links(request: Request) -> Links:
        """Where everything is."""
        root = request.scope.get("root_path", "")
        return Links(
            model=spec.name,
            title=spec.title,
            links={name: root + path for name, path in PATHS.items()},
        )

    return router


async def _on_http_error(request: Request, error: Any) -> Response:
    return problem_response(error, request_id_of(request))


async def _on_starlette_error(request: Request, error: Any) -> Response:
    known: dict[int, RequestError] = {
        404: NotFound("There is no such route; GET / lists them."),
        405: MethodNotAllowed("This route does not take this method; GET / lists them."),
    }
    found = known.get(error.status_code, InternalError("The request could not be handled."))
    response = problem_response(found, request_id_of(request))
    response.headers.update(error.headers or {})  # Allow, which a 405 must name (RFC 9110)
    return response


async def _on_fault(request: Request, _: Any) -> Response:
    return fault(request)


async def _on_disconnect(_: Request, __: Any) -> Response:
    return left()
