"""The routes of one model, made by a factory from a spec and a backend: the same under Ray and in a plain client."""

import secrets
from collections.abc import Sequence
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from serve_app.contract import Features, ModelSpec, Prediction
from serve_app.errors import (
    BadHeader,
    BodyTooLarge,
    HttpError,
    InternalError,
    InvalidRows,
    MethodNotAllowed,
    ModelFailed,
    NotFound,
    RequestError,
    UnsupportedMediaType,
)
from serve_app.gate import Answered
from serve_app.http import openapi
from serve_app.http.problems import problem_response, request_id_of, row_error
from serve_app.http.rows import RowReader
from serve_app.settings import Limits
from serve_app.status import Description, Health, Readiness

MODEL_FAILED = ModelFailed("The model gave no valid answer for this row; the service's log has the reason.")
MAX_KEY_LENGTH = 200


PATHS = {
    "predict": "/v1/predict",
    "predict_batch": "/v1/predict/batch",
    "model": "/v1/model",
    "health": "/health",
    "ready": "/ready",
    "docs": "/docs",
    "openapi": "/openapi.json",
}


class Links(BaseModel):
    """Where everything is."""

    model: str
    title: str
    links: dict[str, str]


class Backend(Protocol):
    """What the routes ask for answers (serve_app.gate.Gate under Ray)."""

    @property
    def limits(self) -> Limits:
        """What is accepted now."""

    async def predict(self, rows: Sequence[Features], routing_key: str, forced: str | None) -> Answered:
        """All rows answered by one version; raises an HttpError."""

    def health(self) -> Health:
        """Alive."""

    async def readiness(self) -> Readiness:
        """Whether stable answers now."""

    def description(self) -> Description:
        """Contract, versions, metrics, hashes."""


class Predictions:
    """The two hot routes: plain Starlette, since FastAPI's dependency machinery was a fifth of a request."""

    def __init__(self, spec: ModelSpec, backend: Backend) -> None:
        self._spec = spec
        self._backend = backend
        self._reader = RowReader(spec)

    async def one(self, request: Request) -> Response:
        """One row."""
        row = self._reader.one(await _body(request, self._backend.limits))
        answered = await self._backend.predict([row], _routing_key(request), _forced(request))
        if (prediction := answered.predictions[0]) is None:
            raise MODEL_FAILED
        return _answer(_encoded(prediction, answered.version), answered.version)

    async def many(self, request: Request) -> Response:
        """A list of rows, each with its own outcome."""
        limits = self._backend.limits
        rows = self._reader.many(await _body(request, limits), limits.max_rows)
        valid = [row for row in rows if isinstance(row, Features)]
        answered = Answered("", [])
        if valid:
            answered = await self._backend.predict(valid, _routing_key(request), _forced(request))
        predictions = iter(answered.predictions)
        entries = [
            _failed(row) if isinstance(row, InvalidRows) else _outcome(next(predictions), answered.version)
            for row in rows
        ]
        succeeded = len(valid) - answered.predictions.count(None)
        head = f'{{"total":{len(rows)},"succeeded":{succeeded},"failed":{len(rows) - succeeded},"predictions":['
        return _answer(head + ",".join(entries) + "]}", answered.version)


def create_app(spec: ModelSpec, backend: Backend) -> FastAPI:
    """The ASGI application of one model. Its `/docs` needs no internet."""
    app = FastAPIOffline(title=spec.title, version="1", redoc_url=None)
    predictions = Predictions(spec, backend)
    for prefix in ("/v1", ""):
        app.add_route(f"{prefix}/predict", predictions.one, methods=["POST"])
        app.add_route(f"{prefix}/predict/batch", predictions.many, methods=["POST"])
    app.include_router(_status_routes(spec, backend))
    openapi.describe_predictions(app, spec, lambda: backend.limits)
    app.add_exception_handler(HttpError, _on_http_error)
    app.add_exception_handler(HTTPException, _on_starlette_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_fault)
    return app


def _status_routes(spec: ModelSpec, backend: Backend) -> APIRouter:
    """The routes that people and probes ask: typed and documented by FastAPI itself."""
    router = APIRouter(tags=["status"])

    @router.get("/health")
    async def health() -> Health:
        """Alive: the process answers."""
        return backend.health()

    @router.get("/ready", responses={503: {"model": Readiness, "description": "The stable version does not answer"}})
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
        return Links(model=spec.name, title=spec.title, links={name: root + path for name, path in PATHS.items()})

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
    return problem_response(InternalError("The fault is in the service's log."), request_id_of(request))


async def _on_disconnect(_: Request, __: Any) -> Response:
    return Response(status_code=499)  # nobody reads it; without it the log would hold a traceback


async def _body(request: Request, limits: Limits) -> bytes:
    """The body, refused before it is parsed when it is not JSON or over the limit."""
    kind, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    if kind.strip() != "application/json" or ("charset" in parameters and "utf-8" not in parameters):
        raise UnsupportedMediaType("The content type is expected to be application/json in UTF-8.")
    limit = limits.max_body_kb * 1024
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:20]) > limit:
        raise _too_large(limits)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limits)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limits: Limits) -> BodyTooLarge:
    return BodyTooLarge(f"The body is expected to be at most {limits.max_body_kb} KB.")


def _routing_key(request: Request) -> str:
    """Who is asking: the same key always gets the same version."""
    key = request.headers.get("x-routing-key")
    if key is None:
        return request_id_of(request) or secrets.token_hex(16)
    if not 0 < len(key) <= MAX_KEY_LENGTH:
        raise BadHeader(f"X-Routing-Key: expected 1 to {MAX_KEY_LENGTH} characters.")
    return key


def _forced(request: Request) -> str | None:
    return request.headers.get("x-model-version")


def _encoded(prediction: Prediction, version: str) -> str:
    """An answer as JSON. Appending is safe and fast: a version and a hex id need no escaping."""
    text = prediction.model_dump_json()
    return f'{text[:-1]},"model_version":"{version}","prediction_id":"{secrets.token_hex(16)}"}}'


def _outcome(prediction: Prediction | None, version: str) -> str:
    if prediction is None:
        return _failed(MODEL_FAILED)
    return '{"status":"success",' + _encoded(prediction, version)[1:]


def _failed(error: HttpError) -> str:
    return '{"status":"error","error":' + bytes(JSONResponse(row_error(error)).body).decode() + "}"


def _answer(text: str, version: str) -> Response:
    return Response(text, headers={"X-Model-Version": version} if version else {}, media_type="application/json")
