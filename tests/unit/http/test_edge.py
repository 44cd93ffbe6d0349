"""What is answered in front of Ray's replica, and what is handed to it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fakes import FakeBackend, example_rows

from serve_app.http.application import create_app
from serve_app.http.edge import Edge, Lane, middlewares
from serve_app.models import get_spec

SPEC = get_spec("churn")
ROW = example_rows(SPEC)[0]
PREFIX = "/churn"


class FakeReplica:
    """Ray's part: sets the model's prefix, notes what it was given, and calls the application."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.seen: list[tuple[str, dict[bytes, bytes]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        self.seen.append((scope["path"], dict(scope["headers"])))
        await self.app({**scope, "root_path": PREFIX}, receive, send)


class Setup:
    """A server's application behind Ray, behind the edge."""

    def __init__(self) -> None:
        self.backend = FakeBackend(SPEC)
        app = create_app(SPEC, self.backend)
        Lane.shortcut = app.state.shortcut
        self.replica = FakeReplica(app)
        [middleware] = middlewares()
        assert middleware.cls is Edge
        transport = httpx.ASGITransport(app=Edge(self.replica), raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://sluice")

    async def predict(self, path: str = "/v1/predict", **headers: str) -> httpx.Response:
        """One row."""
        return await self.client.post(PREFIX + path, json=ROW, headers=headers)


@pytest.fixture
def setup() -> Iterator[Setup]:
    """The lane belongs to the process: it is closed again."""
    yield Setup()
    Lane.shortcut = None


async def test_the_first_request_goes_through_ray_and_the_next_are_answered_at_once(
    setup: Setup,
) -> None:
    """The model's prefix is Ray's to say; then predictions are answered with the same answer and headers."""
    through = await setup.predict(**{"X-Request-ID": "r-1"})
    at_once = await setup.predict(**{"X-Request-ID": "r-2"})
    assert len(setup.replica.seen) == 1
    assert at_once.headers["X-Request-ID"] == "r-2"
    without_id = [{**answer.json(), "prediction_id": ""} for answer in (through, at_once)]
    assert without_id[0] == without_id[1]
    assert at_once.headers["X-Model-Version"] == through.headers["X-Model-Version"]


async def test_a_request_without_an_id_gets_one(setup: Setup) -> None:
    """As from Ray: in the answer, and in the body of an error."""
    await setup.predict()
    bad = await setup.client.post(
        f"{PREFIX}/predict", content=b"{", headers={"content-type": "application/json"}
    )
    assert len(setup.replica.seen) == 1
    assert bad.status_code == 400
    assert len(bad.headers["X-Request-ID"]) == 32
    assert bad.json()["request_id"] == bad.headers["X-Request-ID"]


async def test_other_routes_and_methods_go_through_ray_unwatched(setup: Setup) -> None:
    """Ray is told not to look out for clients that leave."""
    await setup.predict()
    assert (await setup.client.get(f"{PREFIX}/health")).status_code == 200
    assert (await setup.client.get(f"{PREFIX}/v1/predict")).status_code == 405
    assert [path for path, _ in setup.replica.seen[1:]] == [
        f"{PREFIX}/health",
        f"{PREFIX}/v1/predict",
    ]
    assert all(
        headers[b"x-request-disconnect-disabled"] == b"?1" for _, headers in setup.replica.seen
    )


async def test_what_may_wait_goes_through_ray(setup: Setup) -> None:
    """A coalesced or isolated version: Ray's limits, timeouts and counts are for such requests."""
    await setup.predict()
    setup.backend.at_once = False
    assert (await setup.predict()).status_code == 200
    assert len(setup.replica.seen) == 2
    setup.backend.at_once = True
    assert (await setup.predict("/predict")).status_code == 200
    assert len(setup.replica.seen) == 2


async def test_predictions_are_counted_whichever_way_they_came(setup: Setup) -> None:
    """By status, since Ray does not see those that are answered at once."""
    await setup.predict()
    await setup.predict()
    await setup.client.post(
        f"{PREFIX}/predict", content=b"", headers={"content-type": "application/json"}
    )
    await setup.client.get(f"{PREFIX}/health")
    assert Lane.shortcut is not None
    assert Lane.shortcut.counts == {200: 2, 400: 1}
    assert Lane.shortcut.seconds > 0


async def test_without_a_server_in_the_process_everything_goes_on(setup: Setup) -> None:
    """Ray's own proxy has the same middleware."""
    Lane.shortcut = None
    assert (await setup.predict()).status_code == 200
    assert (await setup.predict()).status_code == 200
    assert len(setup.replica.seen) == 2
