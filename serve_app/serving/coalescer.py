"""Rows that wait leave together: what an isolated version is asked with, one call a block."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context

from serve_app.bundle.predictor import UNKNOWN_COST, Cost
from serve_app.contract.block import Block, Scores
from serve_app.serving.pace import Pace

# What a call may take besides being scored, where nothing is busy.
WAY_MS = 5.0
# A block, and the caller that waits for its scores.
Waiting = tuple[Block, asyncio.Future[Scores]]


class Coalescer:
    """Merges waiting blocks into one call while at most `max_in_flight()` calls are under way.

    Nothing waits while a call is free: coalescing happens only under load, and costs no latency
    without it. `cost` is that of a call, as far as it is known.
    """

    def __init__(
        self,
        send: Callable[[Block], Awaitable[Scores]],
        max_rows: int,
        max_in_flight: Callable[[], int],
        cost: Cost = UNKNOWN_COST,
    ) -> None:
        self._send = send
        self._max_rows = max_rows
        self._max_in_flight = max_in_flight
        self._pace = Pace(cost, WAY_MS)
        self._waiting: deque[Waiting] = deque()
        self._in_flight: set[asyncio.Task[None]] = set()
        self.waiting_rows = 0

    def wait_s(self) -> float:
        """Seconds that further rows would wait for those that wait already; 0 while a call is free.

        A call that is under way is no overload, so that what is left of it does not count.
        """
        n_calls = self._max_in_flight()
        if len(self._in_flight) < n_calls:
            return 0.0
        return self._pace.merged_s(self.waiting_rows, self._max_rows, n_calls)

    async def score(self, block: Block) -> Scores:
        """Score a block, whatever it travels with: (n_rows,), or (n_rows, n_outputs).

        Raises what the call raised.
        """
        future: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        self._waiting.append((block, future))
        self.waiting_rows += len(block)
        self._dispatch()
        return await future

    def _dispatch(self, done: "asyncio.Task[None] | None" = None) -> None:
        if done is not None:
            self._in_flight.discard(done)
        while self._waiting and len(self._in_flight) < self._max_in_flight():
            batch = self._take()
            if batch:
                # A call carries rows of many clients: it must not run in the context of one of
                # them, whose cancelled request Ray would cancel it with.
                task = asyncio.get_running_loop().create_task(self._call(batch), context=Context())
                self._in_flight.add(task)
                task.add_done_callback(self._dispatch, context=Context())

    def _take(self) -> list[Waiting]:
        """The oldest blocks up to max_rows (at least one), without those whose caller has gone."""
        batch: list[Waiting] = []
        n_rows = 0
        while self._waiting and (not batch or n_rows + len(self._waiting[0][0]) <= self._max_rows):
            block, future = self._waiting.popleft()
            self.waiting_rows -= len(block)
            if not future.done():
                batch.append((block, future))
                n_rows += len(block)
        return batch

    async def _call(self, batch: list[Waiting]) -> None:
        loop = asyncio.get_running_loop()
        whole = Block.concat([block for block, _ in batch])
        begin_s = loop.time()
        try:
            scores = await self._send(whole)
        except Exception as error:
            _fail(batch, error)
            return
        except BaseException:
            # A caller must get an answer whatever happened to the call.
            _fail(batch, ConnectionError("the call was cancelled"))
            raise
        self._pace.note(len(whole), loop.time() - begin_s)
        start = 0
        for block, future in batch:
            if not future.done():
                future.set_result(scores[start : start + len(block)])
            start += len(block)


def _fail(batch: list[Waiting], error: Exception) -> None:
    """Raise an error in every caller that still waits."""
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
