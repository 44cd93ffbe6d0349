"""A turn of the event loop is told from the next, and its work is counted in CPU time."""

import asyncio

import pytest

from serve_app.http.turns import Turns


async def test_what_is_ready_together_waits_for_what_came_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first of a turn has waited for nothing, the next ones for the work of those before."""
    seconds = [100.0]
    monkeypatch.setattr("serve_app.http.turns.thread_time", lambda: seconds[0])
    turns = Turns()
    found: list[float] = []

    async def work() -> None:
        found.append(turns.waited_s())
        seconds[0] += 2.0

    await asyncio.gather(*(work() for _ in range(3)))
    await asyncio.gather(*(work() for _ in range(2)))
    assert found == [0.0, 2.0, 4.0, 0.0, 2.0]
