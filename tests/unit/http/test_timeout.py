"""A time limit that sets no timer where there is nothing to wait for."""

import asyncio

import pytest

from serve_app.http.timeout import within

LONG_S = 600.0


async def test_what_is_there_already_is_given_without_a_timer() -> None:
    """Not even a limit of no time at all ends what has nothing to wait for."""

    async def there() -> str:
        return "body"

    assert await within(0, there()) == "body"


async def test_what_comes_in_time_is_given() -> None:
    """It makes no difference how many steps it takes."""

    async def slow() -> list[int]:
        found = []
        for i in range(3):
            await asyncio.sleep(0.001 * i)
            found.append(i)
        return found

    assert await within(LONG_S, slow()) == [0, 1, 2]


async def test_what_does_not_come_in_time_is_ended() -> None:
    """It learns of it by a cancellation, as from asyncio, and can clean up."""
    ended = []

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    with pytest.raises(TimeoutError):
        await within(0.01, never())
    assert ended == ["cleaned up"]


@pytest.mark.parametrize("wait_s", [0.0, 0.001])
async def test_an_error_is_the_callers(wait_s: float) -> None:
    """Whether it is raised before the first wait or after it."""

    async def broken() -> None:
        if wait_s:
            await asyncio.sleep(wait_s)
        raise KeyError("x")

    with pytest.raises(KeyError):
        await within(LONG_S, broken())


async def test_a_cancellation_from_outside_is_no_timeout() -> None:
    """A request whose client has left ends as it would without a limit."""
    begun = asyncio.Event()

    async def never() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(within(LONG_S, never()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
