"""Whatever bytes or nearly valid rows are posted, the fault is the client's and never ours."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from fakes import assert_problem, example_rows, serving
from hypothesis import given
from hypothesis import strategies as st

from serve_app.contract import ModelSpec
from serve_app.models import MODELS, get_spec

SINGLE, BATCH = "/v1/predict", "/v1/predict/batch"
PATHS = pytest.mark.parametrize("path", [SINGLE, BATCH])

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
MUTATIONS = st.sampled_from(["set", "remove", "add", "rename"])


def answers(spec: ModelSpec, *requests: tuple[str, bytes]) -> list[httpx.Response]:
    """The answers of a server, each checked: no 5xx, documented, an error is a whole problem."""

    async def ask() -> list[httpx.Response]:
        async with serving(spec) as api:
            responses = [await api.post(path, body) for path, body in requests]
        for (path, _), response in zip(requests, responses, strict=True):
            assert response.status_code < 500
            api.assert_documented(path, response)
            if response.status_code != 200:
                assert_problem(response, response.status_code, response.json()["code"])
        return responses

    return asyncio.run(ask())


@PATHS
@given(body=st.binary(max_size=200))
def test_arbitrary_bytes_never_give_a_5xx(path: str, body: bytes) -> None:
    """Whatever is posted, the fault is named as the client's."""
    (response,) = answers(get_spec("churn"), (path, body))
    assert response.status_code in (400, 422)


@pytest.mark.parametrize("name", MODELS)
@given(value=anything)
def test_arbitrary_json_never_gives_a_5xx(name: str, value: Any) -> None:
    """Any JSON value is a 422 alone; a list of them has one failed entry a row."""
    body = json.dumps(value).encode()
    alone, together = answers(get_spec(name), (SINGLE, body), (BATCH, body))
    assert alone.status_code == 422
    if together.status_code == 200:
        assert together.json()["failed"] == together.json()["total"] == len(value)
        assert [entry["status"] for entry in together.json()["predictions"]] == ["error"] * len(
            value
        )
    else:
        assert together.status_code == 422


@pytest.mark.parametrize("name", MODELS)
@given(data=st.data())
def test_a_mutated_row_is_answered_alike_alone_and_in_a_batch(
    name: str, data: st.DataObject
) -> None:
    """A valid row with one change gives 200 or 422, never 5xx, and both routes agree on which."""
    spec = get_spec(name)
    row = dict(data.draw(st.sampled_from(example_rows(spec))))
    key, kind = data.draw(st.sampled_from(list(row))), data.draw(MUTATIONS)
    if kind == "set":
        row[key] = data.draw(anything)
    elif kind == "remove":
        del row[key]
    elif kind == "add":
        row[data.draw(st.text(max_size=12))] = data.draw(anything)
    else:
        row[data.draw(st.text(max_size=12))] = row.pop(key)
    body = json.dumps(row).encode()
    alone, together = answers(spec, (SINGLE, body), (BATCH, b"[" + body + b"]"))
    assert alone.status_code in (200, 422)
    if together.status_code == 200:
        (entry,) = together.json()["predictions"]
        assert (entry["status"] == "success") == (alone.status_code == 200)
        if alone.status_code == 422:
            assert entry["error"]["errors"] == alone.json()["errors"]
    else:  # a lone surrogate: no row of the list can be read
        assert together.status_code == alone.status_code == 422
