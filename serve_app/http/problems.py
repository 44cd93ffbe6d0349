"""Errors as `application/problem+json` (RFC 9457): code and text, never what was sent."""

from typing import Any

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from serve_app.errors import FieldError, HttpError

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """The body of every error."""

    type: str = Field(description="urn:sluice:error:<code>")
    title: str
    status: int
    detail: str
    code: str = Field(description="stable, for programs")
    request_id: str
    errors: list[FieldError] = Field(
        default_factory=list, description="for invalid input: one entry a field"
    )


def problem_response(error: HttpError, request_id: str) -> Response:
    """An error as its HTTP answer."""
    body = Problem(
        type=f"urn:sluice:error:{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        request_id=request_id,
        errors=list(error.errors),
    )
    return Response(body.model_dump_json(), error.status, error.headers, MEDIA_TYPE)


def row_error(error: HttpError) -> dict[str, Any]:
    """An error as the entry of one row of a batch."""
    return {
        "code": error.code,
        "detail": error.detail,
        "errors": [fault.model_dump() for fault in error.errors],
    }


def request_id_of(request: Request) -> str:
    """The id of a request that FastAPI has: the door has seen to it that there is a good one."""
    return request.headers.get("x-request-id", "")
