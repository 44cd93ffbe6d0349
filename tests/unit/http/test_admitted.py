"""In plain mode few predictions are under way in a proxy, and who comes again at once waits."""

import asyncio
import json
from typing import Any

import pytest
from fakes import until

from serve_app.http import admitted
from serve_app.http.admitted import Admitted

MOST = 2


class Ray:
    """The application behind: each request waits there until it may answer."""

    def __init__(self) -> None:
        self.n_waiting = 0
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        self.n_waiting += 1
        try:
            await self.may_answer.wait()
        finally:
            self.n_waiting -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def body() -> Any:
    """The whole body, in one message."""
    return {"type": "http.request", "body": b"{}", "more_body": False}


async def asked(
    app: Any, port: int, path: str = "/churn/v1/predict", receive: Any = body
) -> list[Any]:
    """What is sent to the client of this port."""
    scope = {
        "type": "http",
        "path": path,
        "client": ("127.0.0.1", port),
        "headers": [(b"x-request-id", b"id-1")],
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def full(ray: Ray) -> tuple[Admitted, list[asyncio.Task[list[Any]]]]:
    """A proxy in which as many are under way as it takes."""
    app = Admitted(ray, most=MOST)
    first = [asyncio.create_task(asked(app, port)) for port in range(MOST)]
    await until(lambda: ray.n_waiting == MOST)
    return app, first


async def let_answer(ray: Ray, tasks: list[asyncio.Task[list[Any]]]) -> list[int]:
    """The statuses of what waited, once Ray answers."""
    ray.may_answer.set()
    return [sent[0]["status"] for sent in await asyncio.gather(*tasks)]


async def test_what_there_is_no_room_for_is_a_429_at_once_with_its_id() -> None:
    """And with Retry-After, in the words of all errors."""
    ray = Ray()
    app, first = await full(ray)
    start, told = await asked(app, 9)
    assert start["status"] == 429
    headers = dict(start["headers"])
    assert headers[b"retry-after"] == b"1"
    assert headers[b"x-request-id"] == b"id-1"
    problem = json.loads(told["body"])
    assert (problem["code"], problem["request_id"]) == ("overloaded", "id-1")
    assert await let_answer(ray, first) == [200] * MOST


async def test_each_model_has_room_of_its_own() -> None:
    """One whose calls are slow would keep the others out; what is over leaves nothing behind."""
    ray = Ray()
    app, first = await full(ray)
    other = asyncio.create_task(asked(app, 9, "/delivery_time/v1/predict"))
    await until(lambda: ray.n_waiting == MOST + 1)
    assert await let_answer(ray, [*first, other]) == [200] * (MOST + 1)
    assert not app._n_under_way


async def test_there_is_room_again_once_one_is_answered_or_has_failed() -> None:
    """Also where the client left and its request was given up."""
    ray = Ray()
    app, first = await full(ray)
    first[0].cancel()
    await until(lambda: ray.n_waiting == MOST - 1)
    another = asyncio.create_task(asked(app, 9))
    await until(lambda: ray.n_waiting == MOST)
    assert await let_answer(ray, [*first[1:], another]) == [200] * MOST


@pytest.mark.parametrize(
    "path", ["/-/healthz", "/churn/ready", "/churn/v1/rollout/out", "/churn/v1/feedback"]
)
async def test_only_predictions_are_counted(path: str) -> None:
    """A probe and an operator's command pass however full it is."""
    ray = Ray()
    app, first = await full(ray)
    other = asyncio.create_task(asked(app, 9, path))
    await until(lambda: ray.n_waiting == MOST + 1)
    assert await let_answer(ray, [*first, other]) == [200] * (MOST + 1)


async def test_who_comes_again_before_the_time_is_told_so_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Clients that do not wait took the processor of those that were let in."""
    monkeypatch.setattr(admitted, "monotonic", lambda: 100.0)
    monkeypatch.setattr(admitted, "RETRY_AFTER_S", 0.01)
    waited_s = []

    async def sleep(seconds: float) -> None:
        waited_s.append(seconds)

    ray = Ray()
    app, first = await full(ray)
    assert (await asked(app, 9))[0]["status"] == 429
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", sleep)
        # Also once more: it may be told to come again as often as it likes.
        assert (await asked(app, 9))[0]["status"] == 429
        assert (await asked(app, 9))[0]["status"] == 429
        assert (await asked(app, 10))[0]["status"] == 429
    assert len(waited_s) == 2
    assert all(0.01 <= seconds <= 0.02 for seconds in waited_s)
    assert await let_answer(ray, first) == [200] * MOST


async def test_the_body_of_who_waits_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand clients that wait would hold gigabytes here; so they hold them themselves."""
    monkeypatch.setattr(admitted, "RETRY_AFTER_S", 3_600)
    ray = Ray()
    app, first = await full(ray)
    assert (await asked(app, 9))[0]["status"] == 429
    n_read = 0

    async def read() -> Any:
        nonlocal n_read
        n_read += 1
        return await body()

    early = asyncio.create_task(asked(app, 9, receive=read))
    # Another connection is told at once, after the early one began to wait.
    assert (await asked(app, 10))[0]["status"] == 429
    assert not early.done()
    assert n_read == 0
    early.cancel()
    assert await let_answer(ray, first) == [200] * MOST


async def test_what_is_half_sent_takes_no_room() -> None:
    """Some hundred clients that send half a body and wait would keep all others out."""
    ray = Ray()
    app = Admitted(ray, most=MOST)
    n_read = 0

    async def read() -> Any:
        nonlocal n_read
        n_read += 1
        await asyncio.Event().wait()

    waiting = [asyncio.create_task(asked(app, port, receive=read)) for port in range(20, 25)]
    await until(lambda: n_read == len(waiting))
    whole = [asyncio.create_task(asked(app, port)) for port in range(MOST)]
    await until(lambda: ray.n_waiting == MOST)
    assert await let_answer(ray, whole) == [200] * MOST
    for task in waiting:
        task.cancel()


async def test_who_comes_again_in_time_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As is every one when the time is over; what is over is forgotten."""
    now_s = 100.0
    monkeypatch.setattr(admitted, "monotonic", lambda: now_s)
    ray = Ray()
    app, first = await full(ray)
    for port in range(9, 12):
        assert (await asked(app, port))[0]["status"] == 429
    assert len(app._told) == 3
    now_s += admitted.RETRY_AFTER_S
    assert (await asked(app, 9))[0]["status"] == 429
    assert list(app._told) == [("127.0.0.1", 9)]
    assert await let_answer(ray, first) == [200] * MOST


async def test_who_comes_early_is_let_in_where_there_is_room() -> None:
    """Nobody waits once the overload is over."""
    ray = Ray()
    app, first = await full(ray)
    assert (await asked(app, 9))[0]["status"] == 429
    assert await let_answer(ray, first) == [200] * MOST
    assert (await asked(app, 9))[0]["status"] == 200


async def test_a_client_without_an_address_is_told_at_once() -> None:
    """As one that comes over a socket of the file system, of which nobody knows which it is."""
    ray = Ray()
    app, first = await full(ray)
    headers = [(b"x-request-id", b"id-1")]
    scope = {"type": "http", "path": "/churn/v1/predict", "client": None, "headers": headers}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    for _ in range(2):
        await app(scope, body, send)
    assert [message["status"] for message in sent[::2]] == [429, 429]
    assert await let_answer(ray, first) == [200] * MOST
