"""Refused rows are counted by field and reason, and nothing that clients make up is kept."""

from fakes import FakeBackend, client_of, example_rows

from serve_app.contract.rows import MAX_FIELD_ERRORS
from serve_app.errors import FieldError, InvalidRows
from serve_app.http.application import create_app
from serve_app.http.refused_rows import NO_ROW, OTHER, RefusedRows
from serve_app.models import get_spec

SPEC = get_spec("churn")
ROW = example_rows(SPEC)[0]


async def test_each_fault_of_a_refused_row_is_counted_in_both_routes() -> None:
    """Alone it refuses the request; in a batch it is one row of several."""
    refused = RefusedRows(SPEC)
    app = create_app(SPEC, FakeBackend(SPEC), refused=refused)
    bad = {**ROW, "nps_score": 99, "num_team_members": "three"}
    async with client_of(app) as client:
        assert (await client.post("/v1/predict", json=bad)).status_code == 422
        answer = await client.post("/v1/predict/batch", json=[ROW, bad, ROW])
        assert answer.json()["failed"] == 1
        assert (await client.post("/v1/predict/batch", json=[])).status_code == 422
    assert dict(refused.counts) == {
        ("nps_score", "is out of range"): 2,
        ("num_team_members", "is not an integer"): 2,
        (OTHER, NO_ROW): 1,
    }
    assert refused.n_rows == 3


async def test_a_flood_of_made_up_fields_is_one_entry() -> None:
    """Memory and labels stay as they are, whatever clients call their fields."""
    refused = RefusedRows(SPEC)
    app = create_app(SPEC, FakeBackend(SPEC), refused=refused)
    async with client_of(app) as client:
        for n in range(50):
            made_up = {f"field_{n}_{k}": 1 for k in range(30)}
            assert (await client.post("/v1/predict", json={**ROW, **made_up})).status_code == 422
    assert dict(refused.counts) == {(OTHER, "is not a field of this model"): 50 * MAX_FIELD_ERRORS}


def test_a_field_without_a_plain_name_is_counted_as_other() -> None:
    """Its name is not shown to the client either."""
    refused = RefusedRows(SPEC)
    error = FieldError(field="", reason="is not a field of this model", allowed="")
    refused.count(InvalidRows("1 of the fields", errors=(error,)))
    assert dict(refused.counts) == {(OTHER, "is not a field of this model"): 1}
