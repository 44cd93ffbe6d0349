"""What is answered in front of Ray's replica, and what is handed to it."""

from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from behind_door import PREFIX, BehindDoor
from fakes import FakeReplica, client_of, example_rows
from uvicorn.protocols.websockets import auto

from serve_app.http.edge import Edge, door_in_front, middlewares, put_in_front, route_prefix
from serve_app.models import get_spec

SPEC = get_spec("churn")
ROW = example_rows(SPEC)[0]
BAD = {"content": b"{", "headers": {"content-type": "application/json"}}


class Setup(BehindDoor):
    """A server's application behind Ray, behind the edge."""

    async def predict(self, path: str = "/churn/v1/predict", **headers: str) -> httpx.Response:
        """One row."""
        return await self.client.post(path, json=ROW, headers=headers)


@pytest.fixture
def setup() -> Iterator[Setup]:
    """The door in front belongs to the process: it is taken away again."""
    yield Setup("in front of Ray", SPEC)
    put_in_front(None)


def test_ray_is_given_the_edge_and_nothing_else() -> None:
    """By the callback that serve_config.yaml names."""
    [middleware] = middlewares()
    assert middleware.cls is Edge


def test_a_server_in_front_of_ray_speaks_no_websockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would pass the edge, and a connection that offers them would have no timer."""
    monkeypatch.setattr(auto, "AutoWebSocketsProtocol", auto.AutoWebSocketsProtocol)
    middlewares()
    config = uvicorn.Config(Edge(FakeReplica(None)), log_config=None)
    config.load()
    assert config.ws_protocol_class is None


async def test_a_prediction_is_answered_as_it_is_behind_ray(setup: Setup) -> None:
    """From the first request on, with the same body and headers."""
    at_once = await setup.predict(**{"X-Request-ID": "r-1"})
    assert setup.replica.seen == []
    setup.backend.at_once = False
    through = await setup.predict(**{"X-Request-ID": "r-2"})
    assert len(setup.replica.seen) == 1
    assert at_once.headers["X-Request-ID"] == "r-1"
    without_id = [{**answer.json(), "prediction_id": ""} for answer in (through, at_once)]
    assert without_id[0] == without_id[1]
    assert at_once.headers["X-Model-Version"] == through.headers["X-Model-Version"]


@pytest.mark.parametrize("given", [{}, {"X-Request-ID": ""}])
async def test_a_request_without_an_id_gets_one(setup: Setup, given: dict[str, str]) -> None:
    """The answer has it as a header, as from Ray, and the body of an error has the same."""
    bad = await setup.client.post(
        f"{PREFIX}/predict", content=b"{", headers={"content-type": "application/json", **given}
    )
    assert setup.replica.seen == []
    assert bad.status_code == 400
    assert len(bad.headers["X-Request-ID"]) == 32
    assert bad.json()["request_id"] == bad.headers["X-Request-ID"]


async def test_other_routes_and_methods_go_through_ray_unwatched(setup: Setup) -> None:
    """Ray is told not to look out for clients that leave."""
    assert (await setup.client.get(f"{PREFIX}/health")).status_code == 200
    assert (await setup.client.get(f"{PREFIX}/v1/predict")).status_code == 405
    assert (await setup.client.post(f"{PREFIX}/nothing")).status_code == 404
    assert [path for path, _ in setup.replica.seen] == [
        f"{PREFIX}/health",
        f"{PREFIX}/v1/predict",
        f"{PREFIX}/nothing",
    ]
    for _, headers in setup.replica.seen:
        assert headers[b"x-request-disconnect-disabled"] == b"?1"


async def test_what_may_wait_goes_through_ray(setup: Setup) -> None:
    """Ray's limits, timeouts and counts are for versions that coalesce or are isolated."""
    setup.backend.at_once = False
    assert (await setup.predict()).status_code == 200
    assert len(setup.replica.seen) == 1
    setup.backend.at_once = True
    assert (await setup.predict("/churn/predict")).status_code == 200
    assert len(setup.replica.seen) == 1


async def test_predictions_are_counted_whichever_way_they_came(setup: Setup) -> None:
    """The counts are by status; Ray does not see what is answered in front of it."""
    await setup.predict()
    setup.backend.at_once = False
    await setup.predict()
    await setup.client.post(f"{PREFIX}/predict", **BAD)
    await setup.client.get(f"{PREFIX}/health")
    door = door_in_front()
    assert door is not None
    assert door.counts == {200: 2, 400: 1}
    assert door.seconds > 0


async def test_without_a_server_in_the_process_everything_goes_on(setup: Setup) -> None:
    """Ray's own proxy has the same middleware."""
    put_in_front(None)
    assert (await setup.predict()).status_code == 200
    assert (await setup.predict()).status_code == 200
    assert len(setup.replica.seen) == 2


async def test_a_path_outside_of_the_models_own_goes_to_ray(setup: Setup) -> None:
    """The prefix is Ray's to say: no request can make the edge believe in another one."""
    for path in ("/predict", "/v1/predict", "/other/predict", "/churn2/predict", "/-/healthz"):
        await setup.predict(path)
    await setup.predict()
    assert [path for path, _ in setup.replica.seen] == [
        "/predict",
        "/v1/predict",
        "/other/predict",
        "/churn2/predict",
        "/-/healthz",
    ]


async def test_a_prefix_that_changes_is_followed_without_a_new_process(setup: Setup) -> None:
    """Ray changes `route_prefix` in place, so the edge asks again after a while (here: at once)."""
    client = client_of(Edge(setup.replica, ask_every_s=0))
    assert (await client.post("/churn/predict", json=ROW)).status_code == 200
    setup.replica.prefix = "/"
    assert (await client.post("/predict", json=ROW)).status_code == 200
    assert setup.replica.seen == []


async def test_a_replica_that_is_not_healthy_says_no_prefix(setup: Setup) -> None:
    """Its requests go through Ray, which knows what to answer."""
    setup.replica.is_healthy = False
    assert (await setup.predict()).status_code == 200
    assert len(setup.replica.seen) == 1


@pytest.mark.parametrize(("prefix", "expected"), [("/", ""), ("/churn", "/churn")])
async def test_the_prefix_is_asked_of_ray(prefix: str, expected: str) -> None:
    """By its route `/-/routes`, without a trace of the request that gave the occasion."""
    replica = FakeReplica(None, prefix)
    scope = {"type": "http", "method": "POST", "path": "/x", "headers": [(b"x-request-id", b"1")]}
    assert await route_prefix(replica, scope) == expected
