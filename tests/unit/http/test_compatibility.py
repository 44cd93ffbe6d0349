"""The comparison of two OpenAPI documents names each break and lets harmless changes through."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from compatibility import breaking_changes

Json = dict[str, Any]
Change = Callable[[Json], Any]

# A small document with all that the comparison knows; each case below changes one thing of it.
OLD: Json = {
    "paths": {
        "/v1/predict": {
            "post": {
                "parameters": [{"in": "header", "name": "X-Key", "required": False}],
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Row"}}
                    }
                },
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}
                        }
                    },
                    "400": {"content": {"application/json": {"schema": {"type": "object"}}}},
                },
            }
        },
        "/health": {"get": {"responses": {"200": {"description": "alive"}}}},
    },
    "components": {
        "schemas": {
            "Row": {
                "type": "object",
                "additionalProperties": False,
                "required": ["age", "plan", "ratio", "maybe", "tags", "place"],
                "properties": {
                    "age": {"type": "integer", "minimum": 0, "maximum": 100},
                    "ratio": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                    "plan": {"type": "string", "enum": ["a", "b"]},
                    "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                    "tags": {
                        "type": "array",
                        "items": {"type": "string", "maxLength": 9},
                        "minItems": 1,
                        "maxItems": 5,
                    },
                    "place": {"$ref": "#/components/schemas/Place"},
                    "note": {"type": "string", "pattern": "^x"},
                },
            },
            "Place": {"type": "object", "properties": {"city": {"type": "string"}}},
            "Answer": {
                "type": "object",
                "required": ["label", "share"],
                "properties": {
                    "label": {"type": "string", "enum": ["yes", "no"]},
                    "share": {"type": "number", "minimum": 0, "maximum": 1},
                    "count": {"type": "integer"},
                    "kind": {"const": "v"},
                    "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "outcome": {
                        "oneOf": [
                            {"$ref": "#/components/schemas/Good"},
                            {"$ref": "#/components/schemas/Bad"},
                        ],
                    },
                },
            },
            "Good": {"type": "object", "required": ["ok"], "properties": {"ok": {"const": True}}},
            "Bad": {
                "type": "object",
                "required": ["why"],
                "properties": {"why": {"type": "string"}},
            },
        }
    },
}


def _post(document: Json) -> Json:
    operation: Json = document["paths"]["/v1/predict"]["post"]
    return operation


def _row(document: Json) -> Json:
    schema: Json = document["components"]["schemas"]["Row"]
    return schema


def _in(document: Json, kind: str, name: str) -> Json:
    schema: Json = document["components"]["schemas"][kind]["properties"][name]
    return schema


BREAKING: dict[str, tuple[Change, str]] = {
    "path removed": (lambda d: d["paths"].pop("/health"), "GET /health: was removed"),
    "method removed": (
        lambda d: d["paths"]["/v1/predict"].pop("post"),
        "POST /v1/predict: was removed",
    ),
    "answer 200 removed": (lambda d: _post(d)["responses"].pop("200"), "answer 200 was removed"),
    "content type of the request removed": (
        lambda d: _post(d)["requestBody"]["content"].pop("application/json"),
        "request: application/json was removed",
    ),
    "content type of the answer removed": (
        lambda d: _post(d)["responses"]["200"].pop("content"),
        "answer 200: application/json was removed",
    ),
    "header required": (
        lambda d: _post(d)["parameters"][0].update(required=True),
        "header X-Key is now required",
    ),
    "new required request field": (
        lambda d: (
            _row(d)["properties"].update(new={"type": "integer"}),
            _row(d)["required"].append("new"),
        ),
        "request.new: is now required",
    ),
    "optional request field required": (
        lambda d: _row(d)["required"].append("note"),
        "request.note: is now required",
    ),
    "request field removed": (
        lambda d: _row(d)["properties"].pop("note"),
        "request.note: was removed",
    ),
    "nested request field removed": (
        lambda d: d["components"]["schemas"]["Place"]["properties"].pop("city"),
        "request.place.city: was removed",
    ),
    "upper bound narrower": (
        lambda d: _in(d, "Row", "age").update(maximum=99),
        "request.age: upper bound is narrower",
    ),
    "lower bound narrower": (
        lambda d: _in(d, "Row", "age").update(minimum=1),
        "request.age: lower bound is narrower",
    ),
    "bound added": (
        lambda d: _in(d, "Row", "maybe")["anyOf"][0].update(minimum=0),
        "request.maybe: lower bound",
    ),
    "bound made exclusive": (
        lambda d: _in(d, "Row", "age").update(exclusiveMinimum=0),
        "request.age: lower bound",
    ),
    "upper bound made exclusive": (
        lambda d: _in(d, "Row", "ratio").update(exclusiveMaximum=1),
        "ratio: upper bound",
    ),
    "more items wanted": (
        lambda d: _in(d, "Row", "tags").update(minItems=2),
        "request.tags: minItems is narrower",
    ),
    "fewer items taken": (
        lambda d: _in(d, "Row", "tags").update(maxItems=4),
        "request.tags: maxItems is narrower",
    ),
    "shorter items": (
        lambda d: _in(d, "Row", "tags")["items"].update(maxLength=8),
        "request.tags[]: maxLength is",
    ),
    "longer items wanted": (
        lambda d: _in(d, "Row", "tags")["items"].update(minLength=1),
        "request.tags[]: minLength",
    ),
    "pattern changed": (
        lambda d: _in(d, "Row", "note").update(pattern="^y"),
        "request.note: pattern changed",
    ),
    "enum narrower": (
        lambda d: _in(d, "Row", "plan").update(enum=["a"]),
        "request.plan: ['b'] no longer taken",
    ),
    "enum added": (
        lambda d: _in(d, "Row", "age").update(enum=[1, 2]),
        "request.age: only [1, 2] are taken now",
    ),
    "null no longer taken": (
        lambda d: _in(d, "Row", "maybe")["anyOf"].pop(),
        "request.maybe: null became integer",
    ),
    "request type changed": (
        lambda d: _in(d, "Row", "age").update(type="string"),
        "age: integer became string",
    ),
    "number became integer": (
        lambda d: _in(d, "Row", "ratio").update(type="integer"),
        "ratio: number became integer",
    ),
    "item type changed": (
        lambda d: _in(d, "Row", "tags")["items"].update(type="integer"),
        "tags[]: string became int",
    ),
    "answer field removed": (
        lambda d: d["components"]["schemas"]["Answer"]["properties"].pop("count"),
        "answer 200.count: was removed",
    ),
    "answer field optional": (
        lambda d: d["components"]["schemas"]["Answer"]["required"].remove("share"),
        "answer 200.share: may now be missing",
    ),
    "answer type changed": (
        lambda d: _in(d, "Answer", "label").update(type="integer"),
        "label: string became integer",
    ),
    "answer number was integer": (
        lambda d: _in(d, "Answer", "count").update(type="number"),
        "integer became number",
    ),
    "answer may be null": (
        lambda d: _in(d, "Answer", "count").update(type=["integer", "null"]),
        "answer 200.count: integer became null",
    ),
    "answer enum wider": (
        lambda d: _in(d, "Answer", "label")["enum"].append("perhaps"),
        "answer 200.label: may now be ['perhaps']",
    ),
    "answer enum gone": (
        lambda d: _in(d, "Answer", "label").pop("enum"),
        "label: no longer limited to ['yes', 'no']",
    ),
    "answer constant changed": (
        lambda d: _in(d, "Answer", "kind").update(const="w"),
        "kind: may now be ['w']",
    ),
    "answer bound wider": (
        lambda d: _in(d, "Answer", "share").update(maximum=100),
        "share: upper bound is wider",
    ),
    "answer map's type changed": (
        lambda d: _in(d, "Answer", "counts")["additionalProperties"].update(type="string"),
        "answer 200.counts.*: integer became string",
    ),
    "field of a variant of the answer removed": (
        lambda d: d["components"]["schemas"]["Bad"]["properties"].pop("why"),
        "answer 200.outcome",
    ),
    "new variant of the answer": (
        lambda d: _in(d, "Answer", "outcome")["oneOf"].append({"type": "string"}),
        "answer 200.outcome: object became string",
    ),
}

HARMLESS: dict[str, Change] = {
    "nothing": lambda d: None,
    "new path": lambda d: d["paths"].update({"/v1/new": {"get": {"responses": {"200": {}}}}}),
    "new method": lambda d: d["paths"]["/health"].update(head={"responses": {"200": {}}}),
    "new error status": lambda d: _post(d)["responses"].update({"418": {}}),
    "error status removed": lambda d: _post(d)["responses"].pop("400"),
    "new optional header": lambda d: _post(d)["parameters"].append(
        {"in": "header", "name": "X-New"}
    ),
    "description": lambda d: _in(d, "Row", "age").update(description="in years", title="Age"),
    "new optional request field": lambda d: _row(d)["properties"].update(new={"type": "integer"}),
    "required request field optional": lambda d: _row(d)["required"].remove("age"),
    "wider bounds": lambda d: _in(d, "Row", "age").update(minimum=-1, maximum=101),
    "exclusive bound made inclusive": lambda d: (
        _in(d, "Row", "ratio").pop("exclusiveMinimum"),
        _in(d, "Row", "ratio").update(minimum=0),
    ),
    "wider enum": lambda d: _in(d, "Row", "plan")["enum"].append("c"),
    "enum dropped": lambda d: _in(d, "Row", "plan").pop("enum"),
    "integer became number": lambda d: _in(d, "Row", "age").update(type="number"),
    "null taken": lambda d: _in(d, "Row", "age").update(type=["integer", "null"]),
    "more items taken": lambda d: _in(d, "Row", "tags").update(minItems=0, maxItems=9),
    "pattern dropped": lambda d: _in(d, "Row", "note").pop("pattern"),
    "new answer field": lambda d: d["components"]["schemas"]["Answer"]["properties"].update(
        new={"type": "null"}
    ),
    "answer enum narrower": lambda d: _in(d, "Answer", "label").update(enum=["yes"]),
    "answer number is integer": lambda d: _in(d, "Answer", "share").update(type="integer"),
    "answer bound narrower": lambda d: _in(d, "Answer", "share").update(maximum=0.5),
    "answer field always there": lambda d: d["components"]["schemas"]["Answer"]["required"].append(
        "count"
    ),
    "variant of the answer gone": lambda d: _in(d, "Answer", "outcome")["oneOf"].pop(),
    "schema renamed": lambda d: (
        d["components"]["schemas"].update(Renamed=d["components"]["schemas"].pop("Place")),
        _in(d, "Row", "place").update({"$ref": "#/components/schemas/Renamed"}),
    ),
}


@pytest.mark.parametrize(("change", "sentence"), BREAKING.values(), ids=BREAKING)
def test_a_breaking_change_is_named(change: Change, sentence: str) -> None:
    """One change, found once, with its place and both sides."""
    new = copy.deepcopy(OLD)
    change(new)
    (found,) = breaking_changes(OLD, new)
    assert sentence in found


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_a_harmless_change_is_let_through(change: Change) -> None:
    """A request that became wider, an answer that became narrower or richer: old clients go on."""
    new = copy.deepcopy(OLD)
    change(new)
    assert breaking_changes(OLD, new) == []


def test_a_schema_that_contains_itself_is_compared_once() -> None:
    """A circle of references ends where it began."""
    new = copy.deepcopy(OLD)
    new["components"]["schemas"]["Place"]["properties"]["inside"] = {
        "$ref": "#/components/schemas/Place"
    }
    assert breaking_changes(OLD, new) == []
    assert breaking_changes(new, new) == []
