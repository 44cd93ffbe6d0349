"""Routes of what came true: labels come in, and how good the model is now goes out."""

import asyncio
from typing import Any, Literal, Protocol

from fastapi import APIRouter
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from serve_app.access.auth import Auth
from serve_app.contract import ModelSpec
from serve_app.contract.elements import collected_later
from serve_app.contract.rows import AT_ONCE_BYTES
from serve_app.errors import (
    CommandError,
    DeadlineExceeded,
    HttpError,
    InvalidLabel,
    InvalidRows,
    KeyRequired,
    ModelFailed,
    NotAllowed,
    NotReady,
    TooManyRows,
    Unconfirmed,
    UnknownVersion,
    http_errors,
)
from serve_app.http.label_bodies import (
    LABELS_A_STEP,
    MAX_LABELS,
    SentLabel,
    labels_at_once,
    labels_in_steps,
)
from serve_app.http.openapi import FAULTS, SCHEMAS, ErrorEntry, error_responses
from serve_app.http.problems import row_error
from serve_app.http.reasons import hidden, shows_reasons, without_places
from serve_app.http.request import IncomingRequest
from serve_app.http.route import Documented, Route
from serve_app.monitoring.labels.feedback import Feedback
from serve_app.monitoring.quality.view import QualityView

FEEDBACK = "/v1/feedback"
QUALITY = "/v1/quality"
MAX_BODY_KB = 1_024
QUALITY_TEXT = (
    "How good each version is now, by the labels that came, with intervals; and what its scores "
    "alone let expect. Windows are days of predictions."
)
FEEDBACK_TEXT = (
    "What came true for predictions, up to 1,000 at once: of a list each label has its own "
    "outcome. It is joined with the prediction by the id alone, also months later, and counts once."
)

# Errors that no label can meet.
OF_PREDICTIONS = (TooManyRows, UnknownVersion, InvalidRows, ModelFailed, DeadlineExceeded)


class Accepted(BaseModel):
    """A label that was joined with its prediction."""

    status: Literal["success"]


class LabelsAnswer(BaseModel):
    """One entry a label, in order; a label that is refused hurts no other."""

    total: int
    succeeded: int
    failed: int
    labels: list[Accepted | ErrorEntry]


def actual_schema(spec: ModelSpec) -> dict[str, Any]:
    """What a label of a model may be, as openapi.json says it."""
    if spec.is_classifier:
        return {"enum": list(spec.classes)}
    if spec.outputs and not spec.target:
        return {
            "type": "object",
            "properties": {name: {"type": "number"} for name in spec.outputs},
            "required": list(spec.outputs),
            "additionalProperties": False,
        }
    return {"type": "number"}


class QualityHere(Protocol):
    """What the route asks (the coordinator, under Ray)."""

    async def view(self) -> QualityView:
        """How good the versions are. Raises NotReady."""


def feedback_route(spec: ModelSpec, feedback: Feedback) -> Route:
    """`POST /v1/feedback`."""
    return Route(
        FEEDBACK,
        ("POST",),
        "feedback",
        handler=Labels(feedback).receive,
        is_work=True,
        max_body_kb=MAX_BODY_KB,
        document=lambda limits: _documented(spec),
    )


class Labels:
    """The handler."""

    def __init__(self, feedback: Feedback) -> None:
        self._feedback = feedback
        # One large body at a time, as of those of predictions.
        self._turn = asyncio.Lock()

    async def receive(self, request: IncomingRequest) -> Response:
        """Take one label, or a list of them. Raises an HttpError."""
        if len(request.body) > AT_ONCE_BYTES:
            async with self._turn:
                sent = await labels_in_steps(request.body)
        else:
            with collected_later():
                found = labels_at_once(request.body)
            if not isinstance(found, list):
                self._feedback.require_room(1)
                self._feedback.add(*found)
                return _response({"status": "success"})
            sent = found
        request.count_rows(len(sent))
        self._feedback.require_room(len(sent))
        outcomes: list[dict[str, Any]] = []
        for i, label in enumerate(sent):
            if i and i % LABELS_A_STEP == 0:
                await asyncio.sleep(0)
            outcomes.append(self._outcome(label))
        n_failed = sum(outcome["status"] == "error" for outcome in outcomes)
        return _response(
            {
                "total": len(outcomes),
                "succeeded": len(outcomes) - n_failed,
                "failed": n_failed,
                "labels": outcomes,
            }
        )

    def _outcome(self, label: SentLabel | InvalidLabel) -> dict[str, Any]:
        try:
            if isinstance(label, InvalidLabel):
                raise label
            self._feedback.add(*label)
        except HttpError as error:
            return {"status": "error", "error": row_error(error)}
        return {"status": "success"}


def _response(body: dict[str, Any]) -> Response:
    return Response(to_json(body), media_type="application/json")


def _documented(spec: ModelSpec) -> Documented:
    label = {
        "type": "object",
        "properties": {
            "prediction_id": {"type": "string", "description": "`prediction_id` of an answer"},
            "actual": actual_schema(spec),
        },
        "required": ["prediction_id", "actual"],
        "additionalProperties": False,
    }
    body = {
        "oneOf": [
            label,
            {"type": "array", "items": label, "minItems": 1, "maxItems": MAX_LABELS},
        ]
    }
    answers = {"anyOf": [{"$ref": SCHEMAS + kind.__name__} for kind in (Accepted, LabelsAnswer)]}
    errors = [
        error
        for error in http_errors()
        if not issubclass(error, CommandError) and error not in OF_PREDICTIONS
    ]
    operation = {
        "tags": ["labels"],
        "summary": "What came true",
        "description": FEEDBACK_TEXT,
        "operationId": "feedback_v1",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {
                "description": "Joined, and counted within seconds",
                "content": {"application/json": {"schema": answers}},
            },
            **error_responses(errors),
        },
    }
    return Documented(operation, (Accepted, LabelsAnswer))


def quality_router(quality: QualityHere, auth: Auth) -> APIRouter:
    """`GET /v1/quality`; why labels are not kept is told to those who may see paths."""
    router = APIRouter(tags=["labels"], responses=FAULTS)

    @router.get(
        QUALITY,
        description=QUALITY_TEXT,
        responses=error_responses([KeyRequired, NotAllowed, Unconfirmed]),
    )
    async def found(request: Request) -> QualityView:
        shows = shows_reasons(auth, request)
        try:
            view = await quality.view()
        except NotReady as error:
            raise Unconfirmed(error.detail if shows else without_places(error.detail)) from None
        return view if shows else view.model_copy(update={"trouble": hidden(view.trouble)})

    return router
