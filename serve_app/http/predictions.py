"""The two hot routes, kept in one place: bytes to rows, rows to the backend, answers to bytes.

Plain Starlette: FastAPI's dependency machinery was a fifth of a request. `openapi` describes them by hand.
"""

import secrets
from collections.abc import Sequence
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve_app.contract import Features, ModelSpec, Prediction
from serve_app.errors import HttpError, InvalidRows, ModelFailed
from serve_app.gate import Answered
from serve_app.http.problems import row_error
from serve_app.http.request import forced_version, read_body, routing_key
from serve_app.http.rows import RowReader
from serve_app.settings import Limits
from serve_app.status import Description, Health, Readiness

MODEL_FAILED = ModelFailed("The model gave no valid answer for this row; the service's log has the reason.")
MAX_ROW_KB = 64  # one row is small; listing the faults of a megabyte would hold up everybody for half a second


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
    """The handlers."""

    def __init__(self, spec: ModelSpec, backend: Backend) -> None:
        self._spec = spec
        self._backend = backend
        self._reader = RowReader(spec)

    async def one(self, request: Request) -> Response:
        """One row."""
        row = self._reader.one(await read_body(request, min(self._backend.limits.max_body_kb, MAX_ROW_KB)))
        answered = await self._backend.predict([row], routing_key(request), forced_version(request))
        if (prediction := answered.predictions[0]) is None:
            raise MODEL_FAILED
        return _answer(_encoded(prediction, answered.version), answered.version)

    async def many(self, request: Request) -> Response:
        """A list of rows, each with its own outcome."""
        limits = self._backend.limits
        rows = self._reader.many(await read_body(request, limits.max_body_kb), limits.max_rows)
        valid = [row for row in rows if isinstance(row, Features)]
        answered = Answered("", [])
        if valid:
            answered = await self._backend.predict(valid, routing_key(request), forced_version(request))
        predictions = iter(answered.predictions)
        entries = [
            _failed(row) if isinstance(row, InvalidRows) else _outcome(next(predictions), answered.version)
            for row in rows
        ]
        succeeded = len(valid) - answered.predictions.count(None)
        head = f'{{"total":{len(rows)},"succeeded":{succeeded},"failed":{len(rows) - succeeded},"predictions":['
        return _answer(head + ",".join(entries) + "]}", answered.version)


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
