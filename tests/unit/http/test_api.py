"""The routes as a client sees them, for every registered model."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import (
    REQUEST_ID,
    VERSION,
    Api,
    assert_problem,
    example_rows,
    expected_answer,
    patient,
    serving,
)
from pydantic import TypeAdapter

from serve_app.errors import DeadlineExceeded, NotReady, Overloaded
from serve_app.http import docs_page
from serve_app.http.application import DOCS_PATHS, PATHS
from serve_app.models import get_spec

SINGLE = ("/v1/predict", "/predict")
BATCH = ("/v1/predict/batch", "/predict/batch")


@pytest.mark.parametrize("path", SINGLE)
async def test_one_row_gets_its_own_answer_with_version_and_id(api: Api, path: str) -> None:
    """Two rows get the two answers of the model, each with who answered and under which id."""
    ids = set()
    for row in example_rows(api.spec):
        response = await api.post(path, row)
        body = response.json()
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-model-version"] == body.pop("model_version") == VERSION
        prediction_id = body.pop("prediction_id")
        assert re.fullmatch(r"[0-9a-f]{32}", prediction_id)
        ids.add(prediction_id)
        assert body == expected_answer(api.spec, row)
    assert len(ids) == len(api.spec.examples)


async def test_a_churn_answer_reads_as_documented() -> None:
    """The exact keys of a churn answer: what the tutorial's clients read."""
    async with serving(get_spec("churn")) as api:
        body = (await api.post("/predict", example_rows(api.spec)[0])).json()
    assert set(body) == {
        "prediction",
        "label",
        "churn_probability",
        "risk_level",
        "model_version",
        "prediction_id",
    }
    assert body["prediction"] in (0, 1)
    assert body["label"] == ("Retained", "Churned")[body["prediction"]]


async def test_a_delivery_answer_reads_as_documented() -> None:
    """The exact keys of a delivery answer, with an interval around the expected minutes."""
    async with serving(get_spec("delivery_time")) as api:
        body = (await api.post("/predict", example_rows(api.spec)[0])).json()
    assert set(body) == {
        "delivery_minutes",
        "low_minutes",
        "high_minutes",
        "coverage",
        "model_version",
        "prediction_id",
    }
    assert body["low_minutes"] < body["delivery_minutes"] < body["high_minutes"]


@pytest.mark.parametrize("path", BATCH)
async def test_a_batch_answers_in_order_and_a_bad_row_hurts_no_other(api: Api, path: str) -> None:
    """Good and bad rows come back in order, each with its outcome, and the totals add up."""
    first, second = example_rows(api.spec)[:2]
    name = api.spec.contract[0].name
    bad = first | {name: "wrong"}
    response = await api.post(path, [first, bad, second, 17, first])
    body = response.json()
    assert response.status_code == 200
    assert response.headers["x-model-version"] == VERSION
    assert (body["total"], body["succeeded"], body["failed"]) == (5, 3, 2)
    assert [entry["status"] for entry in body["predictions"]] == [
        "success",
        "error",
        "success",
        "error",
        "success",
    ]
    for index, row in {0: first, 2: second, 4: first}.items():
        entry = body["predictions"][index]
        assert entry.pop("status") == "success"
        assert entry.pop("model_version") == VERSION
        assert re.fullmatch(r"[0-9a-f]{32}-" + str(index), entry.pop("prediction_id"))
        assert entry == expected_answer(api.spec, row)
    error = body["predictions"][1]["error"]
    assert error["code"] == "invalid_rows"
    assert [fault["field"] for fault in error["errors"]] == [name]
    assert "wrong" not in response.text


async def test_every_entry_of_a_batch_has_its_own_prediction_id(api: Api) -> None:
    """A late label can be sent for each row, so no two rows share an id."""
    body = (await api.post("/v1/predict/batch", example_rows(api.spec)[:1] * 50)).json()
    assert len({entry["prediction_id"] for entry in body["predictions"]}) == 50


async def test_a_batch_of_only_bad_rows_is_answered_without_asking_the_model(api: Api) -> None:
    """All rows bad: 200 with failed == total, and no version that answered."""
    response = await api.post("/v1/predict/batch", [{}, 1, None])
    body = response.json()
    assert response.status_code == 200
    assert (body["total"], body["succeeded"], body["failed"]) == (3, 0, 3)
    assert [entry["status"] for entry in body["predictions"]] == ["error"] * 3
    assert "x-model-version" not in response.headers
    assert api.backend.asked == []


async def test_a_batch_reaches_the_model_as_one_question(api: Api) -> None:
    """The valid rows go to the backend together and in order: one version answers them all."""
    first, second = example_rows(api.spec)[:2]
    await api.post("/v1/predict/batch", [second, {}, first])
    (asked,) = api.backend.asked
    assert [row.model_dump() for row in asked.rows] == [second, first]


@pytest.mark.parametrize("path", [*SINGLE, *BATCH])
async def test_the_routing_key_and_the_forced_version_are_passed_on(
    churn_api: Api, path: str
) -> None:
    """X-Routing-Key and X-Model-Version reach the choice of the version as they were sent."""
    row = example_rows(churn_api.spec)[0]
    body = [row] if "batch" in path else row
    response = await churn_api.post(path, body, x_routing_key="customer-7", x_model_version="2.0.0")
    (asked,) = churn_api.backend.asked
    assert (asked.routing_key, asked.forced) == ("customer-7", "2.0.0")
    assert response.headers["x-model-version"] == "2.0.0"


async def test_without_a_routing_key_the_request_id_is_the_key(churn_api: Api) -> None:
    """A retry under the same request id gets the same version."""
    row = example_rows(churn_api.spec)[0]
    await churn_api.post("/v1/predict", row)
    await churn_api.post("/v1/predict", row, x_request_id="another")
    assert [asked.routing_key for asked in churn_api.backend.asked] == [REQUEST_ID, "another"]
    assert churn_api.backend.asked[0].forced is None


async def test_without_any_id_every_request_gets_a_key_of_its_own(churn_api: Api) -> None:
    """Anonymous requests are spread over the versions, not all sent to the same one."""
    row = example_rows(churn_api.spec)[0]
    for _ in range(3):
        await churn_api.client.post("/v1/predict", json=row)
    assert len({asked.routing_key for asked in churn_api.backend.asked} - {""}) == 3


async def test_a_row_that_the_model_fails_on_is_a_500_problem_alone(api: Api) -> None:
    """A single row without a valid answer is the service's fault, never a made-up number."""
    api.backend.failing = lambda _: True
    response = await api.post("/v1/predict", example_rows(api.spec)[0])
    assert_problem(response, 500, "model_failed")
    api.assert_documented("/v1/predict", response)


async def test_a_row_that_the_model_fails_on_is_an_error_entry_in_a_batch(api: Api) -> None:
    """The rows next to it keep their answers."""
    first, second = example_rows(api.spec)[:2]
    api.backend.failing = lambda row: row.model_dump() == first
    response = await api.post("/v1/predict/batch", [second, first, {}, second])
    body = response.json()
    assert response.status_code == 200
    assert (body["total"], body["succeeded"], body["failed"]) == (4, 2, 2)
    assert [entry["status"] for entry in body["predictions"]] == [
        "success",
        "error",
        "error",
        "success",
    ]
    assert [body["predictions"][index]["error"]["code"] for index in (1, 2)] == [
        "model_failed",
        "invalid_rows",
    ]


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/predict/batch"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Overloaded("busy", retry_after_s=7), 429),
        (NotReady("not yet"), 503),
        (DeadlineExceeded("late"), 504),
    ],
)
async def test_what_is_refused_below_has_its_status(
    churn_api: Api, path: str, error: object, status: int
) -> None:
    """429 with Retry-After, 503 while stable is away, 504 after the deadline."""
    churn_api.backend.error = error
    row = example_rows(churn_api.spec)[0]
    response = await churn_api.post(path, [row] if "batch" in path else row)
    assert_problem(response, status, error.code)
    assert response.headers.get("retry-after") == ("7" if status == 429 else None)
    churn_api.assert_documented(path, response)


async def test_a_fault_in_the_service_is_a_500_without_its_text(churn_api: Api) -> None:
    """The problem tells a client nothing of the inside, and the next request works."""
    row = example_rows(churn_api.spec)[0]
    churn_api.backend.error = ZeroDivisionError("secret-of-the-house in /opt/model")
    response = await churn_api.post("/v1/predict", row)
    assert_problem(response, 500, "internal_error")
    assert "secret" not in response.text
    assert "ZeroDivision" not in response.text
    churn_api.backend.error = None
    assert (await churn_api.post("/v1/predict", row)).status_code == 200


async def test_the_limits_of_the_table_in_force_are_the_ones_that_count(churn_api: Api) -> None:
    """A change of max_rows is live, for what is accepted and for the documentation."""
    rows = example_rows(churn_api.spec)[:1] * 101
    assert_problem(await churn_api.post("/v1/predict/batch", rows), 400, "too_many_rows")
    churn_api.backend.limits = patient(max_rows=101)
    assert (await churn_api.post("/v1/predict/batch", rows)).json()["succeeded"] == 101
    document = (await churn_api.client.get("/openapi.json")).json()
    body = document["paths"]["/v1/predict/batch"]["post"]["requestBody"]["content"][
        "application/json"
    ]
    assert body["schema"]["maxItems"] == 101


async def test_health_says_alive_even_when_nothing_is_loaded(api: Api) -> None:
    """A liveness probe must not restart a process that is still loading."""
    api.backend.is_ready = False
    response = await api.client.get("/health")
    assert response.status_code == 200
    assert response.json() == {"status": "healthy", "model_loaded": False, "model_version": VERSION}


@pytest.mark.parametrize(("is_ready", "status"), [(True, 200), (False, 503)])
async def test_ready_follows_stable(api: Api, is_ready: bool, status: int) -> None:
    """200 when stable answers, 503 with the same body when it does not."""
    api.backend.is_ready = is_ready
    response = await api.client.get("/ready")
    assert response.status_code == status
    assert response.json()["ready"] is is_ready
    assert response.json()["stable"] == VERSION
    assert str(status) in api.document["paths"]["/ready"]["get"]["responses"]


async def test_the_model_route_names_the_model(api: Api) -> None:
    """A client can ask what it is talking to."""
    body = (await api.client.get("/v1/model")).json()
    assert (body["model"], body["title"], body["stable"]) == (
        api.spec.name,
        api.spec.title,
        VERSION,
    )


async def test_the_model_route_tells_the_whole_description(api: Api) -> None:
    """The contract, which is kept as bytes, stands in its place among the rest."""
    body = (await api.client.get("/v1/model")).content
    assert body == api.backend.description().model_dump_json().encode()
    assert len(json.loads(body)["contract"]) == len(api.spec.contract) > 0


async def test_what_never_changes_is_encoded_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may ask for the contract and the document, and no rate bounds them: lists of choices
    that are encoded each time take milliseconds of everybody.
    """
    n_encoded = {"contract": 0, "document": 0}
    dump = TypeAdapter.dump_json

    def dump_json(*arguments: Any, **options: Any) -> bytes:
        n_encoded["contract"] += 1
        return dump(*arguments, **options)

    def dumps(*arguments: Any, **options: Any) -> str:
        n_encoded["document"] += 1
        return json.dumps(*arguments, **options)

    monkeypatch.setattr(TypeAdapter, "dump_json", dump_json)
    monkeypatch.setattr(docs_page, "json", SimpleNamespace(dumps=dumps))
    for path in ("/v1/model", "/openapi.json"):
        answers = {(await api.client.get(path)).content for _ in range(3)}
        assert len(answers) == 1
    assert n_encoded["contract"] <= 1
    assert n_encoded["document"] <= 1


async def test_the_root_lists_links_that_exist(api: Api) -> None:
    """Every link of `/` leads somewhere: none is a 404."""
    body = (await api.client.get("/")).json()
    assert body["model"] == api.spec.name
    assert body["links"] == PATHS | DOCS_PATHS | {"drift": "/v1/drift"}
    for path in body["links"].values():
        assert (await api.client.get(path)).status_code in (200, 405), path


async def test_the_docs_load_nothing_from_the_internet(api: Api) -> None:
    """All parts of the page come from this server: it is not blank in a closed network."""
    page = await api.client.get("/docs")
    assert page.status_code == 200
    assert api.spec.title in page.text
    parts = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)["']""", page.text)
    assert len(parts) >= 2
    for part in parts:
        assert not re.match(r"(?:[a-z]+:)?//", part), part
        assert (await api.client.get(part)).status_code == 200, part


async def test_openapi_describes_both_prediction_routes_with_the_examples(api: Api) -> None:
    """It has the versioned and the short paths, and its examples are rows that are taken."""
    document = (await api.client.get("/openapi.json")).json()
    for path in (*SINGLE, *BATCH):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            response = await api.post(path, example["value"])
            assert response.status_code == 200
            assert json.loads(response.text).get("failed", 0) == 0


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1", "/v2/predict", "/static-offline-docs/none.js", "/v1/predict/0"]
)
async def test_an_unknown_path_is_a_404_problem(churn_api: Api, path: str) -> None:
    """No HTML, no plain text: the same error body as everywhere, and the path is not echoed."""
    response = await churn_api.client.get(path, headers={"x-request-id": REQUEST_ID})
    assert_problem(response, 404, "not_found")
    assert path not in response.text


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/predict", "POST"),
        ("PUT", "/predict/batch", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/v1/model", "GET"),
    ],
)
async def test_a_wrong_method_is_a_405_problem_that_names_the_right_one(
    churn_api: Api, method: str, path: str, allowed: str
) -> None:
    """The Allow header says what would work (RFC 9110, 15.5.6)."""
    response = await churn_api.client.request(method, path, headers={"x-request-id": REQUEST_ID})
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed
