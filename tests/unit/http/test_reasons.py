"""Where things lie on the machine stands in no answer of a server that lets everybody in."""

from typing import Any

import pytest
from fakes import FakeBackend, FakeDrift, FakeOperator, client_of
from hypothesis import given
from hypothesis import strategies as st
from labelled import CHURN, Unknowing
from views import event, rollout_view

from serve_app.access.auth import Auth
from serve_app.errors import HttpError, NoRollout, NotReady
from serve_app.http.application import create_app
from serve_app.http.reasons import without_places
from serve_app.monitoring.quality.view import QualityView
from serve_app.rollout.view import Unknown

PLACE = "/srv/secret state/churn/shop"
WHY = f"{PLACE}/quality.json: cannot be read (PermissionError)"
ASKED = ("/v1/quality", "/v1/drift", "/v1/rollout")
UNKNOWN = Unknown(status="none", detail=WHY)
QUALITY = QualityView(
    model="churn", versions=[], n_labels=3, n_duplicates=0, n_too_old=0, trouble=WHY
)
REFUSED = f"refused: {PLACE}/manifest.json: not found"


class Told:
    """The routes for operators, each of which has a place to tell."""

    def __init__(self, auth: Auth) -> None:
        self.operator = FakeOperator()
        self.drift = FakeDrift()
        self.quality = Unknowing()
        app = create_app(
            CHURN,
            FakeBackend(CHURN),
            self.operator,
            auth=auth,
            drift=self.drift,
            quality=self.quality,
        )
        self.client = client_of(app, headers={"content-type": "application/json"})

    async def answers(self) -> dict[str, Any]:
        """What each of them answers."""
        found = {
            path: await self.client.get(path)
            for path in ("/v1/quality", "/v1/drift", "/v1/rollout")
        }
        found["out"] = await self.client.post("/v1/rollout/out", content=b"{}")
        return found


@pytest.mark.parametrize(("is_disabled", "is_shown"), [(True, False), (False, True)])
async def test_what_is_wrong_with_a_state_is_told_with_its_place_on_the_loopback_alone(
    is_disabled: bool, is_shown: bool
) -> None:
    """That something is wrong everybody may know, and what was counted all the same."""
    told = Told(Auth(is_disabled=is_disabled))
    told.quality.found = QUALITY
    told.drift.view = told.drift.view.model_copy(update={"detail": WHY})
    told.operator.answer = rollout_view(
        trouble=WHY,
        config_error=WHY,
        now=f"1.1.0 waits for the log: {WHY}",
        reason=REFUSED,
        waits_for=WHY,
        events=[event(1, "aborted", 0.0, "coordinator", REFUSED)],
    )
    for path, answer in (await told.answers()).items():
        assert answer.status_code == 200, path
        assert ("secret" in answer.text) is is_shown, path
    quality = (await told.client.get("/v1/quality")).json()
    assert (quality["n_labels"], bool(quality["trouble"])) == (3, True)
    rollout = (await told.client.get("/v1/rollout")).json()
    assert rollout["trouble"]
    assert rollout["events"][0]["reason"].startswith("refused: ")
    assert rollout["events"][0]["reason"].endswith(": not found")


@pytest.mark.parametrize(("is_disabled", "is_shown"), [(True, False), (False, True)])
@pytest.mark.parametrize(
    "error", [NotReady(WHY), NoRollout(WHY), Unknown(status="none", detail=WHY)]
)
async def test_an_error_names_its_place_on_the_loopback_alone(
    is_disabled: bool, is_shown: bool, error: Any
) -> None:
    """What kind of error it is stays."""
    told = Told(Auth(is_disabled=is_disabled))
    told.operator.answer = error
    kind = error if isinstance(error, HttpError) else NoRollout(WHY)
    told.drift.error = kind

    async def view() -> Any:
        raise kind

    told.quality.view = view  # type: ignore[method-assign]
    paths = ("/v1/rollout", "out") if isinstance(kind, NoRollout) else None
    for path, answer in (await told.answers()).items():
        if paths is None or path in paths:
            assert answer.status_code == kind.status, path
            assert ("secret" in answer.text) is is_shown, path
            assert "PermissionError" in answer.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("5 %: 120 of 300 s", "5 %: 120 of 300 s"),
        ("candidate and/or stable, 3/4 of them", "candidate and/or stable, 3/4 of them"),
        ("state: s3://bucket/a b/c: no answer", "state: (a place that is not shown): no answer"),
        ("'/srv/x' cannot be opened (/srv/y)", "'(a place that is not shown) "
         "((a place that is not shown)"),
        ("/srv/x", "(a place that is not shown)"),
    ],
)  # fmt: skip
def test_a_sentence_keeps_what_is_no_place(text: str, shown: str) -> None:
    """Until the sentence goes on everything is one: a folder may have a space in it."""
    assert without_places(text) == shown


@given(st.text(max_size=20), st.text(alphabet="secrt /.-", max_size=20))
def test_no_path_is_left_over(before: str, path: str) -> None:
    """Whatever stands before it, unless that makes a word of it."""
    text = f"{before} /secret{path}: cannot be read"
    assert "/secret" not in without_places(text)
