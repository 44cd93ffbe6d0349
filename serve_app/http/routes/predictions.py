"""The two hot routes: bytes to rows, rows to the backend, answers to bytes.

Their handlers belong to the door, not to FastAPI: its layers cost as much as the answer itself.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from serve_app.contract import Features, ModelSpec, Prediction
from serve_app.contract.elements import MAX_ROW_KB
from serve_app.contract.rows import RowReader
from serve_app.errors import HttpError, InvalidRows, ModelFailed, Overloaded
from serve_app.http.backend import Backend
from serve_app.http.openapi import PredictionDocuments
from serve_app.http.problems import row_error
from serve_app.http.refused_rows import RefusedRows
from serve_app.http.request import IncomingRequest
from serve_app.http.route import Route
from serve_app.settings import Limits

MODEL_FAILED = ModelFailed(
    "The model gave no valid answer for this row; the service's log has the reason."
)
# The table's limits.max_body_kb is the limit; this is the largest that it can say.
MAX_BATCH_KB = 102_400


def prediction_routes(
    spec: ModelSpec, backend: Backend, refused: RefusedRows | None = None
) -> list[Route]:
    """`POST /v1/predict` and `POST /v1/predict/batch`, and both without the interface's version.

    Refused rows are counted in `refused`.
    """
    predictions = Predictions(spec, backend, refused or RefusedRows(spec))
    documents = PredictionDocuments(spec)
    routes = []
    for prefix in ("/v1", ""):
        one = Route(
            prefix + "/predict",
            ("POST",),
            "predict",
            handler=predictions.one,
            is_work=True,
            max_body_kb=MAX_ROW_KB,
            document=documents.one(prefix),
        )
        many = Route(
            prefix + "/predict/batch",
            ("POST",),
            "predict",
            handler=predictions.many,
            is_work=True,
            max_body_kb=MAX_BATCH_KB,
            document=documents.many(prefix),
        )
        routes += [one, many]
    return routes


class Predictions:
    """The handlers of both routes of predictions."""

    def __init__(self, spec: ModelSpec, backend: Backend, refused: RefusedRows) -> None:
        self._backend = backend
        self._refused = refused
        self._reader = RowReader(spec)
        # One large body at a time: of a hundred that are read by turns, each step of each would
        # come before the next step of everybody else.
        self._turn = asyncio.Lock()
        self._n_waiting = 0

    async def one(self, request: IncomingRequest) -> Response:
        """Answer one row. Raises an HttpError."""
        try:
            row = self._reader.one(request.body)
        except InvalidRows as error:
            self._refused.count(error)
            raise
        answered = await self._backend.predict([row], request.routing_key, request.forced_version)
        prediction = answered.predictions[0]
        if prediction is None:
            raise MODEL_FAILED
        version = answered.version
        return _response(_answer(prediction, version, answered.ids[0]), version)

    async def many(self, request: IncomingRequest) -> Response:
        """Answer a list of rows, each with its own outcome. Raises an HttpError."""
        rows = await self._counted_rows(request)
        request.count_rows(len(rows))
        positions = [i for i, row in enumerate(rows) if isinstance(row, Features)]
        outcomes = {i: _failed(row) for i, row in enumerate(rows) if isinstance(row, InvalidRows)}
        version = ""
        n_failed = len(outcomes)
        if positions:
            valid = [row for row in rows if isinstance(row, Features)]
            answered = await self._backend.predict(
                valid, request.routing_key, request.forced_version, positions
            )
            version = answered.version
            n_failed += answered.n_failed
            for i, prediction, id_ in zip(
                positions, answered.predictions, answered.ids, strict=True
            ):
                outcomes[i] = _outcome(prediction, version, id_)
        body = {
            "total": len(rows),
            "succeeded": len(rows) - n_failed,
            "failed": n_failed,
            "predictions": [outcomes[i] for i in range(len(rows))],
        }
        return _response(body, version)

    async def _counted_rows(self, request: IncomingRequest) -> Sequence[Features | InvalidRows]:
        """As `_rows`, with those that are refused counted."""
        try:
            rows = await self._rows(request)
        except InvalidRows as error:
            self._refused.count(error)
            raise
        for row in rows:
            if isinstance(row, InvalidRows):
                self._refused.count(row)
        return rows

    async def _rows(self, request: IncomingRequest) -> Sequence[Features | InvalidRows]:
        """The rows of a body. Others are answered between the steps of one that is large or bad.

        A thread would be no help: it holds the interpreter's lock for as long as a step takes.
        Raises an HttpError, and Overloaded where too many such bodies wait for their turn, or this
        one has waited for as long as an answer may take.
        """
        limits = request.limits
        good = self._reader.good_rows(request.body, limits.max_rows)
        if good is not None:
            return good
        # How many rows they hold is not known yet.
        n_waiting_rows = self._n_waiting * limits.max_rows
        if self._n_waiting and n_waiting_rows >= limits.max_rows_under_way:
            raise Overloaded(
                f"{self._n_waiting} large bodies wait to be read; try again later.",
                retry_after_s=limits.retry_after_s,
            )
        rows: list[Features | InvalidRows] = []
        self._n_waiting += 1
        try:
            await self._take_turn(limits)
            try:
                for step in self._reader.in_steps(request.body, limits.max_rows):
                    rows += step
                    await asyncio.sleep(0)
            finally:
                self._turn.release()
        finally:
            self._n_waiting -= 1
        return rows

    async def _take_turn(self, limits: Limits) -> None:
        try:
            async with asyncio.timeout(limits.deadline_ms / 1000):
                await self._turn.acquire()
        except TimeoutError:
            raise Overloaded(
                f"Large bodies that came before were still being read after {limits.deadline_ms} "
                "ms; try again later.",
                retry_after_s=limits.retry_after_s,
            ) from None


def _answer(prediction: Prediction, version: str, prediction_id: str) -> dict[str, Any]:
    """An answer as plain values, which were validated when the prediction was made."""
    return {**prediction.__dict__, "model_version": version, "prediction_id": prediction_id}


def _outcome(prediction: Prediction | None, version: str, prediction_id: str) -> dict[str, Any]:
    if prediction is None:
        return _failed(MODEL_FAILED)
    return {"status": "success", **_answer(prediction, version, prediction_id)}


def _failed(error: HttpError) -> dict[str, Any]:
    return {"status": "error", "error": row_error(error)}


def _response(body: dict[str, Any], version: str) -> Response:
    headers = {"X-Model-Version": version} if version else {}
    return Response(to_json(body), headers=headers, media_type="application/json")
