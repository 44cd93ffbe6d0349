"""What openapi.json allows is answered, what it forbids is refused, and every answer is in it."""

import json
from pathlib import Path

import pytest
from fakes import FakeBackend, FakeOperator
from keyring import NOW_S, entry, key_of, keyed
from whole_model import CANDIDATE, STABLE, whole_model

from serve_app.access.keys import KeyEntry
from serve_app.access.rates import Rates
from serve_app.access.shares import RatesReply
from serve_app.contract import ModelSpec
from serve_app.http.application import create_app
from serve_app.http.rate_limit import RateLimit
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


# Who asks where keys are asked for, and what they get among other answers. schemathesis takes the
# key away too, and wants a 401 then.
CALLERS: dict[str, tuple[KeyEntry | None, set[int]]] = {
    "nobody": (None, {401}),
    "a shop of twenty rows": (
        entry("shop", "predict", rows_per_s=0.01, burst_rows=20),
        {200, 401, 403, 429},
    ),
    "an operator": (entry("ops", "admin"), {200, 401, 404, 405, 415, 422}),
}


@pytest.mark.parametrize("who", CALLERS)
async def test_where_keys_are_asked_for_the_document_is_still_what_a_client_meets(
    who: str, tmp_path: Path
) -> None:
    """With 401, 403 and 429 among the answers, and their headers."""
    from openapi_attack import attack

    caller, wanted = CALLERS[who]
    known = (caller,) if caller else ()
    rates = Rates(lambda: NOW_S)
    rates.follow(RatesReply({}, 1.0, 1.0))
    options = {"auth": keyed(tmp_path, *known)[0], "more_checks": [RateLimit(rates).look]}
    log = tmp_path / "log"
    log.mkdir()
    app = await whole_model(get_spec("churn"), log, **options)
    headers = {"X-API-Key": key_of(caller.id)} if caller else {}
    found = attack(app, [STABLE, CANDIDATE], max_examples=3, headers=headers)
    assert found.failures == []
    seen = {status for label, status in found.statuses if label in WITH_BODY}
    assert seen >= wanted


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
