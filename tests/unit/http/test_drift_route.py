"""`GET /v1/drift` over HTTP."""

from fakes import REQUEST_ID, FakeBackend, FakeDrift, assert_problem, client_of

from serve_app.errors import NotReady, Unconfirmed
from serve_app.http.application import create_app
from serve_app.models import get_spec

SPEC = get_spec("churn")


async def test_what_is_known_of_drift_is_answered() -> None:
    """As JSON; without a source there is no such route."""
    async with client_of(create_app(SPEC, FakeBackend(SPEC), drift=FakeDrift())) as client:
        answer = await client.get("/v1/drift")
    assert answer.status_code == 200
    assert answer.json() == {
        "model": "churn",
        "detail": "",
        "versions": {},
        "since": None,
        "answered": {},
        "refused": {},
    }
    async with client_of(create_app(SPEC, FakeBackend(SPEC))) as client:
        assert (await client.get("/v1/drift")).status_code == 404


async def test_a_coordinator_that_does_not_answer_is_a_503_of_its_own() -> None:
    """The versions answer all the same."""
    drift = FakeDrift()
    drift.error = NotReady("The coordinator does not answer.")
    async with client_of(create_app(SPEC, FakeBackend(SPEC), drift=drift)) as client:
        answer = await client.get("/v1/drift", headers={"x-request-id": REQUEST_ID})
    assert_problem(answer, 503, Unconfirmed.code)
