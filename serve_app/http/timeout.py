"""A time limit that costs nothing where there is nothing to wait for."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


async def within(timeout_s: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result. Raises TimeoutError when it is not there in time.

    `asyncio.timeout` alone costs 3 % of a prediction, and most bodies are there when they are asked
    for. So the first step is taken without it, and a timer is set only if that step has to wait.
    """
    result: T
    steps = coroutine.__await__()
    try:
        waits_for = next(steps)
    except StopIteration as finished:
        result = finished.value
        return result
    async with asyncio.timeout(timeout_s):
        result = await _Resumed(steps, waits_for)
        return result


class _Resumed(Generator[Any, Any, Any]):
    """The steps of an awaitable whose first one was taken: what that one waits for comes first
    again.
    """

    def __init__(self, steps: Generator[Any, Any, Any], waits_for: Any) -> None:
        self._steps = steps
        self._waits_for = waits_for
        self._is_resumed = False

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def send(self, value: Any) -> Any:
        """Take the next step."""
        if self._is_resumed:
            return self._steps.send(value)
        self._is_resumed = True
        return self._waits_for

    def throw(self, *error: Any) -> Any:
        """Raise an error (a cancellation) where the steps wait."""
        return self._steps.throw(*error)
