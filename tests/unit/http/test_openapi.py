"""The documents that clients are generated from are kept in tests/openapi.

They may only change without breaking a client. After a change on purpose this writes them, and
refuses a breaking one: `PYTHONPATH=.:tests/support python tests/unit/http/test_openapi.py --write`
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from compatibility import breaking_changes
from fakes import FakeBackend, FakeDrift, FakeOperator, example_rows
from labelled import Predicting, Unknowing

from serve_app.contract import ModelSpec
from serve_app.http.application import create_app
from serve_app.models import MODELS, get_spec

FOLDER = Path(__file__).parents[3] / "tests/openapi"
Json = dict[str, Any]


def generated(name: str) -> Json:
    """The document of a model as the code makes it now."""
    spec = get_spec(name)
    document: Json = json.loads(
        json.dumps(
            create_app(
                spec,
                FakeBackend(spec),
                FakeOperator(),
                drift=FakeDrift(),
                feedback=Predicting(spec).feedback,
                quality=Unknowing(),
            ).openapi()
        )
    )
    return document


def kept(name: str) -> Json:
    """The document of a model as clients have it."""
    document: Json = json.loads((FOLDER / f"{name}.json").read_text())
    return document


def write() -> None:
    """Bring the kept documents up to date, unless that would break a client."""
    FOLDER.mkdir(exist_ok=True)
    for name in MODELS:
        path = FOLDER / f"{name}.json"
        if path.exists() and (breaks := breaking_changes(kept(name), generated(name))):
            raise SystemExit("\n".join([f"{path}: not written, old clients would break:", *breaks]))
        path.write_text(
            json.dumps(generated(name), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        )


@pytest.mark.parametrize("name", MODELS)
def test_no_client_of_the_kept_document_breaks(name: str) -> None:
    """What a client relies on in /v1 is still there: a break needs /v2."""
    assert breaking_changes(kept(name), generated(name)) == []


@pytest.mark.parametrize("name", MODELS)
def test_the_kept_document_is_current(name: str) -> None:
    """A change of the contract is seen in review: run this file with --write."""
    assert kept(name) == generated(name)


def test_every_kept_document_belongs_to_a_model() -> None:
    """A model that left the registry left its clients: that is a breaking change too."""
    assert {path.stem for path in FOLDER.glob("*.json")} == set(MODELS)


def body_of(document: Json, path: str, status: str | None = None) -> Json:
    """The component schema of a request (or of an answer) behind its reference."""
    operation = document["paths"][path]["post"]
    content = operation["requestBody"] if status is None else operation["responses"][status]
    name = content["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema: Json = document["components"]["schemas"][name]
    return schema


def test_every_field_and_bound_of_the_real_documents_is_watched(spec: ModelSpec) -> None:
    """Removing or narrowing a field of a request, or removing one of an answer, is noticed."""
    document = generated(spec.name)
    assert list(body_of(document, "/v1/predict")["properties"]) == [
        feature.name for feature in spec.contract
    ]
    for feature in spec.contract:
        for change, word in (
            (_remove, "was removed"),
            (_narrow, "narrower" if feature.choices is None else "taken"),
        ):
            new = copy.deepcopy(document)
            change(body_of(new, "/v1/predict")["properties"], feature.name)
            breaks = breaking_changes(document, new)
            for path in ("/v1/predict", "/v1/predict/batch", "/predict", "/predict/batch"):
                hit = [
                    line
                    for line in breaks
                    if line.startswith(f"POST {path}: request") and feature.name in line
                ]
                assert len(hit) == 1
                assert word in hit[0]
    for name in body_of(document, "/v1/predict", "200")["properties"]:
        new = copy.deepcopy(document)
        del body_of(new, "/v1/predict", "200")["properties"][name]
        assert f"POST /v1/predict: answer 200.{name}: was removed" in breaking_changes(
            document, new
        )


def _remove(properties: Json, name: str) -> None:
    del properties[name]


def _narrow(properties: Json, name: str) -> None:
    schema = properties[name]
    if "enum" in schema:
        schema["enum"] = schema["enum"][1:]
    else:
        schema["maximum"] -= 1


def test_the_documented_request_takes_the_examples_and_nothing_unknown(spec: ModelSpec) -> None:
    """The schema forbids unknown fields and requires all, as the routes do."""
    schema = body_of(generated(spec.name), "/v1/predict")
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == set(schema["properties"]) == set(example_rows(spec)[0])


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        raise SystemExit("expected --write")
    write()
