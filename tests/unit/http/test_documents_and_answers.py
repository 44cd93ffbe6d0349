"""What openapi.json allows is answered, what it forbids is refused, and every answer is in it."""

import json
from pathlib import Path

import pytest
from fakes import FakeBackend, FakeOperator
from whole_model import CANDIDATE, STABLE, whole_model

from serve_app.contract import ModelSpec
from serve_app.http.application import create_app
from serve_app.models import MODELS, get_spec

WITH_BODY = {
    "POST /v1/predict": {200, 405, 415, 422},
    "POST /v1/predict/batch": {200, 405, 415, 422},
    "POST /v1/rollout/{command}": {200, 405, 415, 422},
    # Nobody guesses the id of a prediction; a list has an entry for each of them.
    "POST /v1/feedback": {200, 404, 405, 415, 422},
}


@pytest.mark.parametrize("name", MODELS)
async def test_whatever_the_document_says_is_what_a_client_meets(name: str, tmp_path: Path) -> None:
    """Some hundred requests of schemathesis with all its checks, alone and one after another: no
    5xx, no status, header, type or shape that the document does not have, and no bad data taken.
    """
    from openapi_attack import attack

    app = await whole_model(get_spec(name), tmp_path)
    found = attack(app, [STABLE, CANDIDATE], max_examples=6)
    assert found.failures == []
    assert set(found.cases) >= {"examples", "coverage", "fuzzing", "stateful"}
    for operation, wanted in WITH_BODY.items():
        seen = {status for label, status in found.statuses if label == operation}
        assert seen >= wanted, operation


def test_both_names_of_a_route_have_one_document(spec: ModelSpec) -> None:
    """What holds for `/v1/predict` holds for `/predict`, which clients of the first edition use."""
    paths = create_app(spec, FakeBackend(spec)).openapi()["paths"]
    for name in ("/predict", "/predict/batch"):
        versioned = json.dumps(paths[f"/v1{name}"])
        operation_id = paths[name]["post"]["operationId"]
        assert versioned.replace(f'"{operation_id}_v1"', f'"{operation_id}"') == json.dumps(
            paths[name]
        )


async def test_a_fault_of_ours_is_in_the_document_of_every_route(spec: ModelSpec) -> None:
    """A client that was generated from it knows what an error looks like, wherever it happens."""
    paths = create_app(spec, FakeBackend(spec), FakeOperator()).openapi()["paths"]
    for path, operations in paths.items():
        for operation in operations.values():
            problem = operation["responses"]["500"]["content"]["application/problem+json"]
            assert problem["schema"]["$ref"].endswith("/Problem"), path
