"""Labels over HTTP: one, a list, what is refused and why, and who may ask how good it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeBackend, client_of
from keyring import key_of, keyed
from labelled import CHURN, NOW_S, InMemory, Predicting, Unknowing

from serve_app.access.auth import Auth
from serve_app.http.application import create_app
from serve_app.http.routes.labels import MAX_LABELS
from serve_app.monitoring.labels.shapes import Shaper
from serve_app.monitoring.quality.report import Quality, QualityReporter
from serve_app.monitoring.quality.score_counter import ScoreCounter

UNKNOWN = "A" * 64


class Asked:
    """The routes of a model with its server's end of labels."""

    def __init__(self, auth: Auth | None = None) -> None:
        self.server = Predicting()
        self.quality = Unknowing()
        app = create_app(
            CHURN,
            FakeBackend(CHURN),
            auth=auth,
            feedback=self.server.feedback,
            quality=self.quality,
        )
        self.client = client_of(app)

    async def post(self, body: Any, **headers: str) -> Any:
        """Send labels."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **headers}
        return await self.client.post("/v1/feedback", content=content, headers=headers)


async def test_one_label_is_taken() -> None:
    """And waits for the next report."""
    asked = Asked()
    (one,) = asked.server.answer([0.5])
    answer = await asked.post({"prediction_id": one, "actual": 1})
    assert (answer.status_code, answer.json()) == (200, {"status": "success"})
    assert len(asked.server.feedback.take()) == 1


async def test_each_label_of_a_list_has_its_own_outcome_in_order() -> None:
    """Those that are refused hurt no other, and nothing of them comes back."""
    asked = Asked()
    first, second = asked.server.answer([0.5, 0.25])
    body = [
        {"prediction_id": first, "actual": 1},
        {"prediction_id": UNKNOWN, "actual": 1},
        {"prediction_id": second, "actual": "maybe-secret"},
        {"prediction_id": second},
        17,
        {"prediction_id": second, "actual": False},
    ]
    answer = await asked.post(body)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["total"], found["succeeded"], found["failed"]) == (6, 2, 4)
    assert [one.get("error", {}).get("code", "") for one in found["labels"]] == [
        "",
        "unknown_prediction",
        "invalid_label",
        "invalid_label",
        "invalid_label",
        "",
    ]
    assert "maybe-secret" not in answer.text
    assert UNKNOWN not in answer.text
    assert [label.truth for label in asked.server.feedback.take()] == [(1.0,), (0.0,)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"prediction_id": UNKNOWN, "actual": 1}, 404, "unknown_prediction"),
        ({"prediction_id": "3671e56ca0000c96c284e88cbc2f684d", "actual": 1}, 404, None),
        ({"prediction_id": UNKNOWN}, 422, "invalid_label"),
        ({"prediction_id": UNKNOWN, "actual": 1, "more": 1}, 422, "invalid_label"),
        ([], 422, "invalid_label"),
        ([1] * (MAX_LABELS + 1), 422, "invalid_label"),
        ("text", 422, "invalid_label"),
        (b"{", 400, "malformed_json"),
        (b'{"prediction_id": NaN}', 400, "malformed_json"),
        (b"[" * 100_000, 400, "malformed_json"),
        (b"[" * 60_000, 400, "malformed_json"),
        (b'{"prediction_id":"a","actual":0,"actual":1}', 422, "invalid_label"),
        (b'{"prediction_id":"a","actual":{"x":0,"x":1}}', 422, "invalid_label"),
    ],
)
async def test_what_is_no_label_is_refused_with_its_reason(
    body: Any, status: int, code: str | None
) -> None:
    """As problem+json, with a code for programs."""
    asked = Asked()
    answer = await asked.post(body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if code is not None:
        assert answer.json()["code"] == code
    assert asked.server.feedback.take() == ()


async def test_a_label_that_names_its_truth_twice_counts_nowhere() -> None:
    """Which of both came true nobody knows; others of its list count."""
    asked = Asked()
    first, second = asked.server.answer([0.5, 0.25])
    twice = f'{{"prediction_id":"{first}","actual":0,"actual":1}}'
    answer = await asked.post(f'[{twice},{{"prediction_id":"{second}","actual":1}}]'.encode())
    assert [one["status"] for one in answer.json()["labels"]] == ["error", "success"]
    assert "stands twice" in answer.json()["labels"][0]["error"]["detail"]
    assert asked.server.feedback.n_waiting == 1


async def test_labels_take_the_scope_feedback_and_quality_takes_admin(tmp_path: Path) -> None:
    """A key that may predict tells nothing of what came true."""
    auth, _ = keyed(tmp_path)
    asked = Asked(auth)
    (one,) = asked.server.answer([0.5])
    label = {"prediction_id": one, "actual": 1}
    assert (await asked.post(label)).status_code == 401
    refused = await asked.post(label, **{"x-api-key": key_of("shop")})
    assert refused.status_code == 403
    for id_ in ("labels", "ops"):
        taken = await asked.post(label, **{"x-api-key": key_of(id_)})
        assert taken.status_code == 200
    assert (await asked.client.get("/v1/quality")).status_code == 401
    headers = {"x-api-key": key_of("ops")}
    assert (await asked.client.get("/v1/quality", headers=headers)).status_code == 503


async def test_quality_is_what_the_coordinator_knows() -> None:
    """Or that it knows nothing yet."""
    asked = Asked()
    assert (await asked.client.get("/v1/quality")).status_code == 503
    quality = Quality(CHURN, InMemory(), lambda: NOW_S)
    await quality.keep()
    ids = asked.server.answer([0.75] * 20)
    await asked.post([{"prediction_id": one, "actual": 1} for one in ids])

    class NoVersions:
        """A server whose versions are not open yet."""

        def members(self) -> dict[str, Any]:
            """None."""
            return {}

    reporter = QualityReporter(
        asked.server.feedback,
        ScoreCounter(Shaper(CHURN)),
        NoVersions(),  # type: ignore[arg-type]
    )
    quality.hear("server", reporter.take(), is_new=True)
    asked.quality.found = quality.view()
    found = (await asked.client.get("/v1/quality")).json()
    assert found["versions"][0]["windows"][0]["realised"]["brier"]["value"] == pytest.approx(
        0.0625, abs=1e-4
    )
    assert "no fair sample" in found["selection"]
