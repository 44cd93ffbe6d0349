"""The body of errors, and the tree that they come from."""

import json
import re
from inspect import getdoc

import pytest
from starlette.requests import Request

import serve_app.errors
from serve_app.errors import (
    BodyTooSlow,
    FieldError,
    HttpError,
    InvalidRows,
    MethodNotAllowed,
    Overloaded,
    RequestError,
    ServiceError,
    http_errors,
)
from serve_app.http.problems import problem_response, request_id_of, row_error

ALL = pytest.mark.parametrize("kind", http_errors(), ids=lambda kind: kind.__name__)


@ALL
def test_every_error_has_a_code_a_title_and_the_status_of_its_branch(kind: type[HttpError]) -> None:
    """What the client can fix is 4xx, what the operator can fix is 5xx."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert kind.title
    assert getdoc(kind)
    assert kind.status // 100 == (4 if issubclass(kind, RequestError) else 5)
    assert issubclass(kind, RequestError | ServiceError)


def test_no_two_errors_share_a_code() -> None:
    """A program can tell them apart by the code alone."""
    codes = [kind.code for kind in http_errors()]
    assert len(codes) == len(set(codes)) >= 13


@ALL
def test_every_error_stands_in_the_drawn_tree_with_its_status(kind: type[HttpError]) -> None:
    """The tree in the module's docstring is what a reader believes."""
    drawn = re.search(rf"── {kind.__name__}\s+(\d+)", serve_app.errors.__doc__ or "")
    assert drawn, f"{kind.__name__} is not drawn"
    assert int(drawn[1]) == kind.status


@ALL
def test_every_error_becomes_a_problem_document(kind: type[HttpError]) -> None:
    """RFC 9457: type, title, status, detail; and ours: code, request_id, errors."""
    response = problem_response(kind("Said to the caller."), "id-1")
    assert response.status_code == kind.status
    assert response.media_type == "application/problem+json"
    assert json.loads(bytes(response.body)) == {
        "type": f"urn:sluice:error:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": "Said to the caller.",
        "code": kind.code,
        "request_id": "id-1",
        "errors": [],
    }


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (Overloaded("busy", retry_after_s=12), "Retry-After", "12"),
        (MethodNotAllowed("not so", allow=("GET", "HEAD")), "Allow", "GET, HEAD"),
        (BodyTooSlow("late"), "Connection", "close"),
    ],
)
def test_an_error_carries_its_own_headers(error: HttpError, name: str, value: str) -> None:
    """Whoever writes the answer need not know which error has which header."""
    assert error.headers == {name: value}
    assert problem_response(error, "").headers[name] == value


def test_field_errors_are_listed_alike_alone_and_in_a_batch() -> None:
    """A client reads the same list in a problem and in the entry of a row."""
    fault = FieldError(field="nps_score", reason="is missing", allowed="integer from 0 to 10")
    error = InvalidRows("1 of the fields cannot be used.", errors=(fault,))
    entry = row_error(error)
    assert entry == {"code": "invalid_rows", "detail": error.detail, "errors": [fault.model_dump()]}
    assert json.loads(bytes(problem_response(error, "").body))["errors"] == entry["errors"]


def test_an_error_of_fastapi_tells_the_id_that_the_door_has_seen_to() -> None:
    """It stands in front of whatever the client sent."""
    scope = {"type": "http", "headers": [(b"x-request-id", b"r-1"), (b"x-request-id", b"<b>")]}
    assert request_id_of(Request(scope)) == "r-1"
    assert request_id_of(Request({"type": "http", "headers": []})) == ""
