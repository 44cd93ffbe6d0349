"""The two placements of a version: in this process, or isolated behind a handle."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Any

import numpy as np
from ray import serve
from ray.serve.exceptions import BackPressureError

from serve_app.bundle.predictor import UNKNOWN_COST, Cost, Predictor
from serve_app.contract.block import Block, Scores
from serve_app.errors import DeadlineExceeded, NotReady, Overloaded
from serve_app.serving.coalescer import Coalescer
from serve_app.serving.opening import Described
from serve_app.serving.pace import Pace
from serve_app.settings import Batch, Coalesce

logger = logging.getLogger(__name__)

# @serve.batch costs 0.15 ms a request and a millisecond of latency: it is worth that above this.
EXPENSIVE_CALL_MS = 1.0
# The longest stay on the event loop, which health checks and other requests share.
INLINE_MS = 2.0
# A replica that has not answered for so long no longer counts as live.
REPLICA_MEMORY_S = 10.0
# One being scored, one on its way.
BLOCKS_PER_REPLICA = 2


class InServerVersion:
    """A version in this process: cheap calls run on the spot, expensive ones are coalesced."""

    def __init__(self, predictor: Predictor, coalesce: Coalesce, batch: Batch) -> None:
        self._predictor: Predictor | None = predictor
        self._cost = predictor.cost
        self._max_rows = batch.max_rows
        self.coalesces = coalesce == "always" or (
            coalesce == "auto" and self._cost.call_ms > EXPENSIVE_CALL_MS
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=predictor.manifest.version)
        self._idle = asyncio.Event()
        self._idle.set()
        self._batched: Any = serve.batch(
            max_batch_size=batch.max_rows,
            batch_wait_timeout_s=batch.wait_ms / 1000,
            batch_size_fn=self._n_rows,
        )(self._score_blocks)
        self._n_calls = 0
        self._n_rows_in = 0
        # Rows of the calls that the thread was given, the oldest first: that is being scored.
        self._n_rows_given: list[int] = []
        self._pace = Pace(self._cost)
        self._is_closed = False
        self._has_batches = False
        self._batches_ended = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None

    async def score(self, block: Block, deadline_s: float) -> Scores:
        """Score a block: (n_rows,), or (n_rows, n_outputs); NaN for a row that failed.

        Raises DeadlineExceeded, or NotReady when it was closed.
        """
        if self._is_closed:
            raise NotReady("This version has left the table.")
        if self._is_inline(len(block)):
            return self._score(block)
        self._n_calls += 1
        self._n_rows_in += len(block)
        try:
            async with asyncio.timeout(deadline_s):
                if not self.coalesces:
                    return await self._off_the_loop(block)
                # @serve.batch refuses an item above its maximum, so a larger block enters in
                # pieces.
                pieces = [
                    block[i : i + self._max_rows] for i in range(0, len(block), self._max_rows)
                ]
                return np.concatenate(
                    await asyncio.gather(*(self._enter(piece) for piece in pieces))
                )
        except TimeoutError:
            raise DeadlineExceeded(f"The model did not answer within {deadline_s:g} s.") from None
        finally:
            self._n_calls -= 1
            self._n_rows_in -= len(block)
            if self._is_closed:
                self._let_go()

    def wait_s(self, n_rows: int) -> float:
        """Seconds that so many rows would wait for those that wait already.

        0 where they are scored on the spot, and behind a single request, which may be under way.
        """
        if self._n_calls < 2 or self._is_inline(n_rows):
            return 0.0
        n_scoring = self._n_rows_given[0] if self._n_rows_given else 0
        # Of a batch that is scored some callers may have gone: hence the bound.
        n_waiting = max(0, self._n_rows_in - n_scoring)
        if self.coalesces:
            return self._pace.merged_s(n_waiting, self._max_rows)
        return self._pace.one_by_one_s(self._n_calls - 1, n_waiting)

    def _is_inline(self, n_rows: int) -> bool:
        return not self.coalesces and self._cost.of_rows(n_rows) <= INLINE_MS

    async def ping(self) -> None:
        """Return at once: what is loaded here can answer."""

    def close(self) -> None:
        """Take no more calls; when those under way have ended, free model, thread and queue."""
        self._is_closed = True
        self._let_go()

    def _let_go(self) -> None:
        if self._n_calls:
            return
        self._thread.shutdown(wait=False)
        if self._has_batches and self._ending is None:
            # In no client's context: Ray would cancel it with that client's request.
            self._ending = asyncio.get_running_loop().create_task(
                self._end_batches(), context=Context()
            )
        # Ray freezes the garbage collector, so that a cycle through this object would keep the
        # model.
        self._predictor = None

    async def _end_batches(self) -> None:
        """Stop the task of @serve.batch, which has no method for that and would wait for ever."""
        last = asyncio.ensure_future(self._batched(None))
        await self._batches_ended.wait()
        last.cancel()

    def _n_rows(self, blocks: "list[Block | None]") -> int:
        """The size of a batch.

        Ray's task asks for it when an item comes, and ends with the item that is None.
        """
        if blocks[-1] is None:
            self._batches_ended.set()
            raise asyncio.CancelledError
        return sum(len(block) for block in blocks if block is not None)

    def _score(self, block: Block) -> Scores:
        if self._predictor is None:
            raise NotReady("This version has left the table.")
        return self._predictor.score(block)

    async def _enter(self, piece: Block) -> Scores:
        # @serve.batch seals what has arrived while the model is busy into tiny batches. Entering
        # only when the model is idle lets everything that came meanwhile go in together.
        while not self._idle.is_set():
            await self._idle.wait()
        self._has_batches = True
        scores: Scores = await self._batched(piece)
        return scores

    async def _score_blocks(self, blocks: list[Block]) -> list[Scores]:
        self._idle.clear()
        try:
            scores = await self._off_the_loop(Block.concat(blocks))
        finally:
            self._idle.set()
        ends = np.cumsum([len(block) for block in blocks])
        return np.split(scores, ends[:-1])

    async def _off_the_loop(self, block: Block) -> Scores:
        loop = asyncio.get_running_loop()
        n_rows = len(block)
        self._n_rows_given.append(n_rows)
        try:
            call = loop.run_in_executor(self._thread, self._timed, block, loop.time)
            scores, seconds = await call
        finally:
            self._n_rows_given.remove(n_rows)
        self._pace.note(n_rows, seconds)
        return scores

    def _timed(self, block: Block, clock: Callable[[], float]) -> tuple[Scores, float]:
        """The scores, and the seconds that they took without those in the thread's queue."""
        begin_s = clock()
        return self._score(block), clock() - begin_s


class IsolatedApplication:
    """The application of an isolated version, found by its name.

    `deadline_s` bounds each call, as of now.
    """

    def __init__(self, deadline_s: Callable[[], float], name: str) -> None:
        self._deadline_s = deadline_s
        self._name = name
        self._handle: Any = None
        self._cost = UNKNOWN_COST

    async def describe(self) -> Described:
        """Who it says it is."""
        # In a thread: getting the handle asks Ray's controller, which would hold up the event loop
        # meanwhile.
        self._handle = await asyncio.to_thread(serve.get_app_handle, self._name)
        found = Described(**await self._handle.describe.remote())
        self._cost = found.cost
        return found

    def scorer(self, batch: Batch) -> "IsolatedVersion":
        """Scores through the handle."""
        return IsolatedVersion(self._handle, batch.max_rows, self._deadline_s, self._cost)


class IsolatedVersion:
    """A version in an application of its own: waiting rows leave together, bounded per replica.

    How many replicas are live is learned from the answers, each of which names its replica: more
    blocks go out as more replicas answer, and the blocks under way are what Serve's autoscaler
    counts.
    """

    def __init__(
        self,
        handle: Any,
        max_rows: int,
        deadline_s: Callable[[], float],
        cost: Cost = UNKNOWN_COST,
    ) -> None:
        self._handle = handle
        self._deadline_s = deadline_s
        self._last_answer_s: dict[str, float] = {}
        self._coalescer = Coalescer(self._send, max_rows, self._max_in_flight, cost)

    @property
    def waiting_rows(self) -> int:
        """Rows that wait in this replica for a call to become free."""
        return self._coalescer.waiting_rows

    async def score(self, block: Block, deadline_s: float) -> Scores:
        """Score a block: (n_rows,), or (n_rows, n_outputs); NaN for a row that failed.

        Raises DeadlineExceeded, Overloaded or NotReady.
        """
        try:
            async with asyncio.timeout(deadline_s):
                return await self._coalescer.score(block)
        except TimeoutError:
            raise DeadlineExceeded(f"The version did not answer within {deadline_s:g} s.") from None
        except ConnectionError:
            raise NotReady("The call of the version was cut off.") from None

    def wait_s(self, n_rows: int) -> float:
        """Seconds that rows would wait for those that wait in this replica for a call."""
        return self._coalescer.wait_s()

    async def ping(self) -> None:
        """Ask the application itself: Serve's own health check knows nothing of it."""
        try:
            await self._handle.ping.remote()
        except Exception as error:
            raise NotReady(f"The version does not answer ({type(error).__name__}).") from None

    def close(self) -> None:
        """The application goes on by itself."""

    def _max_in_flight(self) -> int:
        oldest_s = time.monotonic() - REPLICA_MEMORY_S
        self._last_answer_s = {
            name: at_s for name, at_s in self._last_answer_s.items() if at_s > oldest_s
        }
        return BLOCKS_PER_REPLICA * max(1, len(self._last_answer_s))

    async def _send(self, block: Block) -> Scores:
        """Ask a replica, and another one if the call died: a prediction is idempotent."""
        failure = ""
        async with asyncio.timeout(self._deadline_s()):
            for _ in range(2):
                try:
                    return await self._call(block)
                except BackPressureError:
                    raise Overloaded(
                        "The version has too many requests waiting.", retry_after_s=1
                    ) from None
                except Exception as error:
                    failure = type(error).__name__
                    logger.warning("a call of an isolated version failed: %s", failure)
        raise NotReady(f"The version does not answer ({failure}).")

    async def _call(self, block: Block) -> Scores:
        response = self._handle.score.remote(block)
        try:
            replica, scores = await response
        except asyncio.CancelledError:
            # Nobody waits any more: the replica need not score it.
            response.cancel()
            raise
        self._last_answer_s[replica] = time.monotonic()
        checked: Scores = scores
        return checked
