"""Every kind of model and every type of field over HTTP, as a client sees them."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

import pytest
from every_kind import CLASSIFIER, EXAMPLE, KINDS, YES_NO
from fakes import (
    Api,
    FakeScorer,
    assert_problem,
    client_of,
    example_rows,
    expected_answer,
    opened,
    serving,
    table,
)
from pydantic import create_model

from serve_app.contract import Example, Features, ModelSpec
from serve_app.http.application import create_app
from serve_app.serving.member import Opened
from serve_app.serving.router import Router
from serve_app.serving.versions import Versions
from serve_app.settings import Table, VersionEntry

SINGLE, BATCH = "/v1/predict", "/v1/predict/batch"
ROW = EXAMPLE.row.model_dump(mode="json")
KIND = pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
# As a list of merchants is: 5,000 texts, some of which differ in one letter.
MERCHANTS = tuple(
    f"{first}{second} & Söhne {n:02d}"
    for first in "ABCDE"
    for second in "abcdefghij"
    for n in range(100)
)
LIMIT_BYTES = 200_000


class PaymentFeatures(Features):
    """A field with very many choices, which may be missing."""

    merchant: Literal[MERCHANTS] | None  # type: ignore[valid-type]


PAYMENTS = ModelSpec(
    name="payments",
    title="Payments",
    kind="regressor",
    target="amount",
    features=PaymentFeatures,
    examples=(Example("one", "A payment", PaymentFeatures(merchant=MERCHANTS[0])),),
)


@pytest.fixture
async def payments() -> AsyncIterator[Api]:
    """The routes of a model with 5,000 choices."""
    async with serving(PAYMENTS) as found:
        yield found


@KIND
async def test_every_kind_answers_alone_and_in_a_batch(api: Api, spec: ModelSpec) -> None:
    """The fields of its kind, then the version and the id."""
    expected = expected_answer(spec, ROW)
    one = (await api.post(SINGLE, ROW)).json()
    assert one == expected | {key: one[key] for key in ("model_version", "prediction_id")}
    many = (await api.post(BATCH, [ROW, ROW | {"amount": "much"}])).json()
    assert (many["succeeded"], many["failed"]) == (1, 1)
    assert expected.items() <= many["predictions"][0].items()


@KIND
async def test_the_document_of_every_kind_describes_its_answers(api: Api, spec: ModelSpec) -> None:
    """Labels are an enum, examples are JSON, and the kind is that of this model alone."""
    document = json.loads(json.dumps(api.document))
    schemas = document["components"]["schemas"]
    answer = schemas[spec.answer_type.__name__]
    assert set(expected_answer(spec, ROW)) < set(answer["required"])
    if spec.is_classifier:
        assert answer["properties"]["label"]["enum"] == list(spec.classes)
    assert schemas["Description"]["properties"]["kind"]["enum"] == [spec.kind]
    content = document["paths"][SINGLE]["post"]["requestBody"]["content"]["application/json"]
    assert content["examples"]["plain"]["value"] == ROW
    fields = schemas[spec.features.__name__]["properties"]
    assert fields["ordered_at"]["format"] == "date-time-local"
    assert fields["city"]["maxLength"] == 40
    assert fields["is_gift"]["type"] == "boolean"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", '"3"', "true"])
async def test_a_number_without_bounds_is_finite_all_the_same(value: str) -> None:
    """It is the one rule that it has; every finite number is taken."""
    async with serving(CLASSIFIER) as api:
        body = json.dumps(ROW).replace(json.dumps(ROW["amount"]), value, 1)
        (fault,) = assert_problem(await api.post(SINGLE, body.encode()), 422, "invalid_rows")[
            "errors"
        ]
        assert (fault["field"], fault["allowed"]) == ("amount", "finite number")
        rows = [ROW | {"amount": number} for number in (-1.7e308, 0, 5e-324, 2**53)]
        assert (await api.post(BATCH, rows)).json()["failed"] == 0


async def test_what_a_field_of_a_new_type_allows_is_taken() -> None:
    """Null where the contract has it, texts with quotes, and both ways to write a time."""
    async with serving(CLASSIFIER) as api:
        changes: list[dict[str, Any]] = [
            {"weight_kg": None, "channel": None, "is_member": None, "birthday": None},
            {"city": 'a "quoted" \\ city\n'},
            {"city": "x" * 40},
            {"ordered_at": "2026-11-28 18:30:00.250"},
            {"birthday": "1678-01-01", "is_gift": True},
        ]
        found = (await api.post(BATCH, [ROW | change for change in changes])).json()
        assert found["failed"] == 0
        assert len({json.dumps(one["probabilities"]) for one in found["predictions"]}) == 5


def described(spec: ModelSpec) -> AbstractAsyncContextManager[Any]:
    """Return a client of the real routes and the real router of a model."""
    found = opened(FakeScorer(lambda _: 0.5))
    object.__setattr__(found.manifest, "parameters", {"threshold": 0.2})

    async def open_version(version: str, entry: VersionEntry, of: Table) -> Opened:
        return found

    class Client:
        async def __aenter__(self) -> Any:
            versions = Versions(open_version)
            await versions.start(table())
            self.client = client_of(create_app(spec, Router(spec, versions)))
            return await self.client.__aenter__()

        async def __aexit__(self, *error: Any) -> None:
            await self.client.__aexit__(*error)

    return Client()


async def test_the_description_says_what_a_model_answers() -> None:
    """Classes, the positive one, and the threshold that decides the label."""
    async with described(YES_NO) as client:
        found = (await client.get("/v1/model")).json()
    assert (found["kind"], found["classes"], found["positive"]) == (
        "binary_classifier",
        ["yes", "no"],
        "yes",
    )
    assert (found["outputs"], found["targets"]) == ([], ["returned"])
    assert found["versions"]["1.0.0"]["parameters"] == {"threshold": 0.2}
    allowed = {field["name"]: field["allowed_values"] for field in found["contract"]}
    assert allowed["amount"] == "finite number"
    assert allowed["is_member"] == "true or false or null"
    assert allowed["city"] == "text of 1 to 40 characters"


async def test_thousands_of_choices_are_listed_once_in_each_document(payments: Api) -> None:
    """A client may want the list, but not many times over."""
    async with described(PAYMENTS) as client:
        described_bytes = (await client.get("/v1/model")).content
        document = (await client.get("/openapi.json")).content
    last = json.dumps(MERCHANTS[-1], ensure_ascii=False).encode()
    for found in (described_bytes, document):
        assert found.count(last) == 1
        assert len(found) < LIMIT_BYTES


async def test_a_wrong_choice_of_thousands_is_told_the_nearest_ones(payments: Api) -> None:
    """Short, with what may have been meant and how many more there are; never what was sent."""
    response = await payments.post(SINGLE, {"merchant": "bc and Sohne 07"})
    (fault,) = assert_problem(response, 422, "invalid_rows")["errors"]
    assert fault["reason"] == "is not one of the allowed values"
    assert fault["allowed"].startswith("one of Bc & Söhne 07, ")
    assert fault["allowed"].endswith(" (the nearest) and 4,995 more or null")
    assert "bc and Sohne" not in response.text
    assert len(response.content) < 2_000


@pytest.mark.parametrize("value", ["?", "x" * 5_000, "", 7, None, ["Ba"], True])
async def test_what_is_near_to_nothing_is_told_the_first_choices(
    payments: Api, value: object
) -> None:
    """A text that no choice is like, or that is none, gets the beginning of the list."""
    if value is None:
        assert (await payments.post(SINGLE, {"merchant": None})).status_code == 200
        return
    response = await payments.post(SINGLE, {"merchant": value})
    (fault,) = assert_problem(response, 422, "invalid_rows")["errors"]
    assert fault["allowed"].startswith("one of Aa & Söhne 00, Aa & Söhne 01")
    assert fault["allowed"].endswith("and 4,980 more or null")
    assert len(response.content) < 2_000


async def test_of_many_wrong_rows_the_first_few_get_suggestions(payments: Api) -> None:
    """Comparing takes time in which nobody else is served, so a request has a budget."""
    rows = [{"merchant": f"Bc & Söhne {n}"} for n in range(100, 200)]
    response = await payments.post(BATCH, rows)
    entries = response.json()["predictions"]
    faults = [entry["error"]["errors"][0]["allowed"] for entry in entries]
    assert ["nearest" in fault for fault in faults] == [True] * 3 + [False] * 97
    assert len(response.content) < 100_000


async def test_a_fault_that_is_no_wrong_choice_has_no_suggestion(payments: Api) -> None:
    """A missing field, or an unknown one, is not spelt wrongly."""
    response = await payments.post(SINGLE, {"shop": "Bc & Söhne 07"})
    faults = assert_problem(response, 422, "invalid_rows")["errors"]
    assert not any("nearest" in fault["allowed"] for fault in faults)
    assert "Bc & S" not in response.text


async def test_an_unknown_field_of_a_wide_model_gets_a_short_answer() -> None:
    """Three hundred names, listed for each of twenty faults, would be 100 KB."""
    fields: dict[str, Any] = dict.fromkeys(
        (f"measurement_number_{n}" for n in range(300)), (bool, ...)
    )
    wide = create_model("Wide", __base__=Features, **fields)
    row = dict.fromkeys(fields, True)
    spec = ModelSpec(
        name="wide",
        title="Wide",
        kind="regressor",
        target="y",
        features=wide,
        examples=(Example("one", "All true", wide(**row)),),
    )
    async with serving(spec) as api:
        assert (await api.post(SINGLE, example_rows(spec)[0])).status_code == 200
        extra = {f"made_up_{n}": 1 for n in range(30)}
        response = await api.post(SINGLE, row | extra)
        assert_problem(response, 422, "invalid_rows")
        assert "and 250 more" in response.text
        assert len(response.content) < 50_000
