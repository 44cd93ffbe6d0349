"""The two hot routes, kept in one place: bytes to rows, rows to the backend, answers to bytes.

Plain Starlette handlers, called before FastAPI's middlewares and router (`shortcut`): its dependencies were a fifth
of a request, and those cost as much as the answer itself. `openapi` describes the routes by hand.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serve_app.contract import Features, ModelSpec, Prediction
from serve_app.contract.rows import RowReader
from serve_app.errors import HttpError, InvalidRows, ModelFailed
from serve_app.http.problems import row_error
from serve_app.http.request import forced_version, read_body, routing_key
from serve_app.serving.answer import Answered
from serve_app.serving.status import Description, Health, Readiness
from serve_app.settings import Limits

Handler = Callable[[Request], Awaitable[Response]]

MODEL_FAILED = ModelFailed(
    "The model gave no valid answer for this row; the service's log has the reason."
)
MAX_ROW_KB = 64  # one row is small; listing the faults of a megabyte would hold up everybody for half a second


class Backend(Protocol):
    """What the routes ask for answers (serve_app.serving.router.Router under Ray)."""

    @property
    def limits(self) -> Limits:
        """What is accepted now."""

    @property
    def answers_at_once(self) -> bool:
        """Whether a prediction waits for nothing now: no other process, no batch to fill."""

    async def predict(
        self, rows: Sequence[Features], routing_key: str, forced: str | None, positions: Sequence[int] | None = None
    ) -> Answered:
        """All rows answered by one version; raises an HttpError."""

    def health(self) -> Health:
        """Alive."""

    async def readiness(self) -> Readiness:
        """Whether stable answers now."""

    def description(self) -> Description:
        """Contract, versions, metrics, hashes."""


class Predictions:
    """The handlers."""

    def __init__(self, spec: ModelSpec, backend: Backend) -> None:
        self._spec = spec
        self._backend = backend
        self._reader = RowReader(spec)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """By path: both routes, with and without the version of the interface."""
        return {
            prefix + path: handler
            for prefix in ("/v1", "")
            for path, handler in (("/predict", self.one), ("/predict/batch", self.many))
        }

    def routes(self) -> list[Route]:
        """The same as routes, for what asks the router: other methods, and Ray, which names its metrics by route."""
        return [Route(path, handler, methods=["POST"]) for path, handler in self.handlers.items()]

    async def one(self, request: Request) -> Response:
        """One row."""
        row = self._reader.one(
            await read_body(request, min(self._backend.limits.max_body_kb, MAX_ROW_KB))
        )
        answered = await self._backend.predict([row], routing_key(request), forced_version(request))
        if (prediction := answered.predictions[0]) is None:
            raise MODEL_FAILED
        return _response(_answer(prediction, answered.version, answered.ids[0]), answered.version)

    async def many(self, request: Request) -> Response:
        """A list of rows, each with its own outcome."""
        limits = self._backend.limits
        rows = self._reader.many(await read_body(request, limits.max_body_kb), limits.max_rows)
        valid = {i: row for i, row in enumerate(rows) if isinstance(row, Features)}
        version, n_failed = "", 0
        outcomes = iter(())
        if valid:
            answered = await self._backend.predict(
                list(valid.values()), routing_key(request), forced_version(request), list(valid)
            )
            version, n_failed = answered.version, answered.n_failed
            outcomes = iter(zip(answered.predictions, answered.ids))
        entries = [
            _failed(row) if isinstance(row, InvalidRows) else _outcome(*next(outcomes), version)
            for row in rows
        ]
        succeeded = len(valid) - n_failed
        failed = len(rows) - succeeded
        body = {
            "total": len(rows),
            "succeeded": succeeded,
            "failed": failed,
            "predictions": entries,
        }
        return _response(body, version)


def _answer(prediction: Prediction, version: str, prediction_id: str) -> dict[str, Any]:
    """An answer as plain values: they were validated when the prediction was made, and are encoded in one go."""
    return {**prediction.__dict__, "model_version": version, "prediction_id": prediction_id}


def _outcome(prediction: Prediction | None, prediction_id: str, version: str) -> dict[str, Any]:
    if prediction is None:
        return _failed(MODEL_FAILED)
    return {"status": "success", **_answer(prediction, version, prediction_id)}


def _failed(error: HttpError) -> dict[str, Any]:
    return {"status": "error", "error": row_error(error)}


def _response(body: dict[str, Any], version: str) -> Response:
    headers = {"X-Model-Version": version} if version else {}
    return Response(to_json(body), headers=headers, media_type="application/json")
