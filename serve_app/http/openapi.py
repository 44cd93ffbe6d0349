"""The OpenAPI description of the hot routes, which FastAPI does not see: exact types, bounds, examples, errors."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, Field, create_model
from pydantic.json_schema import models_json_schema

from serve_app.contract import ModelSpec
from serve_app.errors import CommandError, FieldError, HttpError, http_errors
from serve_app.http.problems import MEDIA_TYPE, Problem
from serve_app.settings import Limits

SCHEMAS = "#/components/schemas/"
HEADERS = {
    "X-Routing-Key": "Who is asking: the same key always gets the same version. Default: the request id.",
    "X-Model-Version": "Ask for one version of the table.",
    "X-Request-ID": "Your id for this request; it comes back in the answer. Printable ASCII.",
}


class RowError(BaseModel):
    """Why one row of a batch has no answer."""

    code: str
    detail: str
    errors: list[FieldError]


class ErrorEntry(BaseModel):
    """A row of a batch that has no answer."""

    status: Literal["error"]
    error: RowError


def describe_predictions(app: FastAPI, spec: ModelSpec, limits_now: Callable[[], Limits]) -> None:
    """Add the prediction routes to what FastAPI documents by itself; made anew when the live limits change."""
    of_fastapi = app.openapi
    described: Limits | None = None

    def openapi() -> dict[str, Any]:
        nonlocal described
        document = of_fastapi()
        if described != (limits := limits_now()):
            batch = _batch_answer(spec)
            types: list[type[BaseModel]] = [spec.features, spec.answer_type, batch, Problem]
            _, extra = models_json_schema(
                [(kind, "serialization") for kind in types], ref_template=SCHEMAS + "{model}"
            )
            document.setdefault("components", {}).setdefault("schemas", {}).update(extra["$defs"])
            for prefix in ("/v1", ""):
                document["paths"] |= _paths(prefix, spec, batch, limits)
            described = limits
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way of extending it


def _batch_answer(spec: ModelSpec) -> type[BaseModel]:
    """The type of a batch's answer: entries in the order of the rows."""
    name = spec.answer_type.__name__.removesuffix("Answer")
    status: Any = (Literal["success"], ...)
    success: Any = create_model(f"{name}Entry", status=status, __base__=spec.answer_type)
    entries: Any = list[Annotated[success | ErrorEntry, Field(discriminator="status")]]
    return create_model(
        f"{name}BatchAnswer",
        __doc__="One entry a row, in order; a bad row is an error entry and hurts no other.",
        total=(int, ...),
        succeeded=(int, ...),
        failed=(int, ...),
        predictions=(entries, ...),
    )


def _paths(prefix: str, spec: ModelSpec, batch: type[BaseModel], limits: Limits) -> dict[str, Any]:
    row = {"$ref": SCHEMAS + spec.features.__name__}
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": limits.max_rows}
    examples = {
        example.name: {"summary": example.summary, "value": example.row.model_dump()}
        for example in spec.examples
    }
    many = {
        "all": {
            "summary": "all examples",
            "value": [example.row.model_dump() for example in spec.examples],
        }
    }
    return {
        f"{prefix}/predict": {
            "post": _operation(prefix, "predict", row, examples, spec.answer_type)
        },
        f"{prefix}/predict/batch": {"post": _operation(prefix, "predict_batch", rows, many, batch)},
    }


def _operation(
    prefix: str, name: str, body: dict[str, Any], examples: dict[str, Any], answer: type[BaseModel]
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {
            "description": "The answer",
            "headers": {
                "X-Model-Version": {"schema": {"type": "string"}, "description": "Who answered"}
            },
            "content": {"application/json": {"schema": {"$ref": SCHEMAS + answer.__name__}}},
        }
    }
    for error in http_errors():
        if issubclass(error, CommandError):
            continue
        known = responses.setdefault(str(error.status), _error_response(error))
        if (
            known["description"] != _described(error)
            and _described(error) not in known["description"]
        ):
            known["description"] += "; " + _described(error)
    return {
        "tags": ["predictions"],
        "summary": "One row" if name == "predict" else "A list of rows",
        "operationId": name + ("_v1" if prefix else ""),
        "parameters": [
            {
                "name": header,
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
                "description": text,
            }
            for header, text in HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "examples": examples}},
        },
        "responses": responses,
    }


def _error_response(error: type[HttpError]) -> dict[str, Any]:
    return {
        "description": _described(error),
        "content": {MEDIA_TYPE: {"schema": {"$ref": SCHEMAS + Problem.__name__}}},
    }


def _described(error: type[HttpError]) -> str:
    return f"`{error.code}`: {error.title}"
