"""Calls that may hang: one thread waits for one, however often its answer is asked for."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any


class OneCall:
    """A call in a thread, of which one is under way at a time.

    Threads cannot be ended. If each attempt took one, a store that hangs would soon have all those
    of the process, and what is written elsewhere would wait as well.
    """

    def __init__(self) -> None:
        self._about: Hashable = None
        self._task: asyncio.Task[Any] | None = None

    async def ask(self, about: Hashable, call: Callable[[], Any], timeout_s: float) -> Any:
        """Return what the call returns, or raise what it raises. Raises TimeoutError.

        A call that was given up and is `about` the same is waited for again; its answer is as old
        as it is.
        """
        task = self._task
        if task is None or self._about != about:
            task = asyncio.ensure_future(asyncio.to_thread(call))
            task.add_done_callback(_is_heard)
            self._task = task
            self._about = about
        await asyncio.wait({task}, timeout=timeout_s)
        if not task.done():
            raise TimeoutError
        if self._task is task:
            self._task = None
        return task.result()


def _is_heard(task: asyncio.Task[Any]) -> None:
    """Asyncio complains of an error that nobody asks for; whoever gave up has said so already."""
    if not task.cancelled():
        task.exception()
