"""In plain mode a request reaches Ray when its body is there: what is half sent takes no place."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from fakes import until

from serve_app.http.held import MOST_HELD_KB, HeldBack

SCOPE = {"type": "http", "headers": [(b"x-request-id", b"id-1")]}
PART = {"type": "http.request", "body": b"{", "more_body": True}
REST = {"type": "http.request", "body": b"}", "more_body": False}
GONE = {"type": "http.disconnect"}


class Ray:
    """The application behind: reads whole bodies, and says what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.n_asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        self.n_asked += 1
        while not self.told or self.told[-1].get("more_body"):
            self.told.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def asked(
    ray: Any, messages: Sequence[Any], scope: Any = SCOPE, timeout_s: float = 60.0
) -> list[Any]:
    """What is sent to a client from which these messages come, and then nothing."""
    coming = list(messages)
    sent: list[Any] = []

    async def receive() -> Any:
        if not coming:
            await asyncio.Event().wait()
        return coming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await HeldBack(ray, timeout_s)(scope, receive, send)
    return sent


@pytest.mark.parametrize("messages", [[REST], [PART, REST], [PART, PART, REST]])
async def test_a_whole_body_reaches_ray_as_it_came(messages: list[Any]) -> None:
    """In one piece or several: nothing is joined, and nothing is left out."""
    ray = Ray()
    sent = await asked(ray, messages)
    assert ray.told == messages
    assert sent[0]["status"] == 200


async def test_half_a_body_reaches_nobody_and_is_a_408_with_its_id() -> None:
    """Some hundred of them took every place of the replicas, and all others got a 429."""
    ray = Ray()
    start, body = await asked(ray, [PART], timeout_s=0.05)
    assert ray.n_asked == 0
    assert start["status"] == 408
    headers = dict(start["headers"])
    assert headers[b"x-request-id"] == b"id-1"
    assert headers[b"connection"] == b"close"
    problem = json.loads(body["body"])
    assert (problem["code"], problem["request_id"]) == ("body_too_slow", "id-1")


async def test_a_client_that_leaves_before_the_end_is_nobodys_work() -> None:
    """Ray is not asked, and nothing is sent to where nobody is."""
    ray = Ray()
    assert await asked(ray, [PART, GONE]) == []
    assert ray.n_asked == 0


async def test_of_a_large_body_the_beginning_is_enough() -> None:
    """The server has limits of its own, and memory of the proxy is not for bodies."""
    half = {"type": "http.request", "body": b"x" * 512 * MOST_HELD_KB, "more_body": True}
    ray = Ray()
    reached = asyncio.Event()

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        reached.set()
        await ray(scope, receive, send)

    waiting = asyncio.create_task(asked(noting, [half, half]))
    await asyncio.wait_for(reached.wait(), 60)
    waiting.cancel()


async def test_more_than_may_be_held_in_all_is_handed_on_at_once() -> None:
    """A thousand half bodies without a key take no more memory of a proxy than so much."""
    n_waiting = 0
    n_reached = 0

    async def ray(scope: Any, receive: Any, send: Any) -> None:
        nonlocal n_reached
        n_reached += 1

    async def send(message: Any) -> None:
        raise AssertionError("found an answer, expected none")

    async def half_sent() -> None:
        coming = [{"type": "http.request", "body": b"x" * 1024, "more_body": True}]

        async def receive() -> Any:
            nonlocal n_waiting
            if not coming:
                n_waiting += 1
                await asyncio.Event().wait()
            return coming.pop()

        await back(SCOPE, receive, send)

    back = HeldBack(ray, timeout_s=60, most_kb=3)
    tasks = [asyncio.create_task(half_sent()) for _ in range(5)]
    # Two wait for their rest; each further one fills what may be held.
    await until(lambda: (n_waiting, n_reached) == (2, 3))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # What has gone takes no room.
    tasks = [asyncio.create_task(half_sent()) for _ in range(2)]
    await until(lambda: (n_waiting, n_reached) == (4, 3))
    for task in tasks:
        task.cancel()


async def test_what_is_no_request_goes_through() -> None:
    """Ray has a lifespan, and may have websockets."""
    seen: list[str] = []

    async def ray(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await asked(ray, [], scope={"type": "lifespan"})
    assert seen == ["lifespan"]
