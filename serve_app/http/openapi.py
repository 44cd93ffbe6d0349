"""The OpenAPI description of the door's own routes, which FastAPI does not see.

For predictions: exact types, bounds, examples and errors.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, Field, create_model
from pydantic.json_schema import models_json_schema

from serve_app.contract import ModelSpec
from serve_app.errors import (
    CommandError,
    FieldError,
    HttpError,
    InternalError,
    LabelError,
    http_errors,
)
from serve_app.http.problems import MEDIA_TYPE, Problem
from serve_app.http.request import MAX_KEY_LENGTH
from serve_app.http.route import Documented, Route
from serve_app.settings import Limits

SCHEMAS = "#/components/schemas/"
TEXT = {"type": "string"}
HEADERS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "X-Routing-Key": (
        TEXT | {"minLength": 1, "maxLength": MAX_KEY_LENGTH},
        "Who is asking: the same key always gets the same version. Default: the request id.",
    ),
    "X-Model-Version": (
        TEXT,
        "Ask for one version of the table. Takes a key with the scope admin, where keys are asked.",
    ),
    "X-Request-ID": (
        TEXT,
        "Your id for this request, which comes back in the answer: 1 to 128 letters, digits, dots, "
        "dashes and underscores. Another one is replaced.",
    ),
}

ANSWER_HEADERS = {
    "X-Model-Version": "Who answered",
    "RateLimit-Policy": "The rows that the key allows (q) in some seconds (w), if it has a rate.",
    "RateLimit": "Rows that are left (r), and the seconds until there is one more (t).",
}
KEY_SCHEME = "ApiKey"
KEY_DOCUMENT = {
    "type": "apiKey",
    "in": "header",
    "name": "X-API-Key",
    "description": "`<id>.<secret>`, as `sluice keys add` printed it.",
}

Document = Callable[[Limits], Documented]


class RowError(BaseModel):
    """Why one row of a batch has no answer."""

    code: str
    detail: str
    errors: list[FieldError]


class ErrorEntry(BaseModel):
    """A row of a batch that has no answer."""

    status: Literal["error"]
    error: RowError


def describe(
    app: FastAPI,
    spec: ModelSpec,
    routes: Iterable[Route],
    limits_now: Callable[[], Limits],
    secured: Iterable[Route],
) -> None:
    """Add the door's own routes to what FastAPI documents; again when the live limits change.

    Those of `secured` that are not open take a key.
    """
    of_fastapi = app.openapi
    documented = [route for route in routes if route.document is not None]
    keyed = [route for route in secured if route.scope != "open"]
    described: Limits | None = None
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        nonlocal described, document
        limits = limits_now()
        if described != limits:
            # Another object, by which those who keep it see that it has changed.
            document = dict(of_fastapi())
            _add(document, documented, limits)
            _narrow(document, spec)
            _secure(document, keyed)
            described = limits
        return document

    # FastAPI's documented way of extending the document.
    app.openapi = openapi  # type: ignore[method-assign]


def _add(document: dict[str, Any], routes: Iterable[Route], limits: Limits) -> None:
    types: dict[type[BaseModel], None] = {Problem: None}
    for route in routes:
        assert route.document is not None
        documented = route.document(limits)
        types |= dict.fromkeys(documented.types)
        document["paths"][route.path] = {
            method.lower(): documented.operation for method in route.methods
        }
    _, extra = models_json_schema(
        [(kind, "serialization") for kind in types], ref_template=SCHEMAS + "{model}"
    )
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(extra["$defs"])


def _narrow(document: dict[str, Any], spec: ModelSpec) -> None:
    """Say of this model what it is, and not all that a model may be.

    A client of it need not know kinds and types of fields that it never gets to see, nor does it
    break when there are more of them.
    """
    schemas = document["components"]["schemas"]
    schemas["Description"]["properties"]["kind"]["enum"] = [spec.kind]
    dtypes = {feature.dtype for feature in spec.contract}
    schemas["AllowedFeature"]["properties"]["dtype"]["enum"] = sorted(dtypes)


def _secure(document: dict[str, Any], routes: Iterable[Route]) -> None:
    """Say which operations take a key, so that clients and `/docs` ask for one."""
    for route in routes:
        for method in route.methods:
            operation = document["paths"].get(route.path, {}).get(method.lower())
            if operation is not None:
                operation["security"] = [{KEY_SCHEME: []}]
                document["components"]["securitySchemes"] = {KEY_SCHEME: KEY_DOCUMENT}


class PredictionDocuments:
    """What openapi.json says of the prediction routes of a model."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._batch_answer = _batch_answer(spec)
        self._row = {"$ref": SCHEMAS + spec.features.__name__}

    def one(self, prefix: str) -> Document:
        """Describe one row."""
        examples = {
            example.name: {"summary": example.summary, "value": example.row.model_dump(mode="json")}
            for example in self._spec.examples
        }
        answer = self._spec.answer_type

        def document(limits: Limits) -> Documented:
            operation = _operation(prefix, "predict", self._row, examples, answer)
            return Documented(operation, (self._spec.features, answer))

        return document

    def many(self, prefix: str) -> Document:
        """A list of rows, at most as many as the table allows."""
        rows = [example.row.model_dump(mode="json") for example in self._spec.examples]
        examples = {"all": {"summary": "all examples", "value": rows}} if rows else {}
        answer = self._batch_answer

        def document(limits: Limits) -> Documented:
            body = {
                "type": "array",
                "items": self._row,
                "minItems": 1,
                "maxItems": limits.max_rows,
            }
            operation = _operation(prefix, "predict_batch", body, examples, answer)
            return Documented(operation, (self._spec.features, answer))

        return document


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


def _operation(
    prefix: str,
    name: str,
    body: Mapping[str, Any],
    examples: Mapping[str, Any],
    answer: type[BaseModel],
) -> dict[str, Any]:
    headers = {name: {"schema": TEXT, "description": text} for name, text in ANSWER_HEADERS.items()}
    content = {"application/json": {"schema": {"$ref": SCHEMAS + answer.__name__}}}
    operation_id = name + ("_v1" if prefix else "")
    success: dict[str, Any] = {
        "description": "The answer",
        "headers": headers,
        "content": content,
    }
    if name == "predict":
        success["links"] = {"same_version": _same_version(operation_id)}
    errors = [error for error in http_errors() if not issubclass(error, CommandError | LabelError)]
    return {
        "tags": ["predictions"],
        "summary": "One row" if name == "predict" else "A list of rows",
        "operationId": operation_id,
        "parameters": [
            {
                "name": header,
                "in": "header",
                "required": False,
                "schema": schema,
                "description": text,
            }
            for header, (schema, text) in HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "examples": examples}},
        },
        "responses": {"200": success, **error_responses(errors)},
    }


def _same_version(operation_id: str) -> dict[str, Any]:
    """The link from an answer to the next request that the same version is to answer."""
    return {
        "operationId": operation_id,
        "parameters": {"X-Model-Version": "$response.body#/model_version"},
        "description": "The version that answered can be asked for again.",
    }


def error_responses(errors: Iterable[type[HttpError]]) -> dict[int | str, Any]:
    """By status: what a client is told in errors of these kinds."""
    responses: dict[int | str, Any] = {}
    for error in errors:
        text = f"`{error.code}`: {error.title}"
        status = str(error.status)
        if status in responses:
            responses[status]["description"] += "; " + text
        else:
            schema = {"$ref": SCHEMAS + Problem.__name__}
            responses[status] = {"description": text, "content": {MEDIA_TYPE: {"schema": schema}}}
    return responses


# Whatever the handler of a route breaks, the door tells it.
FAULTS = error_responses([InternalError])
