"""The two placements of a version behind one protocol: held in this process, or isolated behind a handle."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from ray import serve
from ray.serve.exceptions import BackPressureError

from serve_app.bundle.predictor import Predictor
from serve_app.contract.block import Block, Scores
from serve_app.errors import DeadlineExceeded, NotReady, Overloaded
from serve_app.serving.coalescer import Coalescer
from serve_app.settings import Batch, Coalesce

logger = logging.getLogger(__name__)

DEAR_CALL_MS = (
    1.0  # @serve.batch costs 0.15 ms a request and a millisecond of latency: worth it above this
)
INLINE_MS = 2.0  # longest stay on the event loop, which health checks and other requests share
REPLICA_MEMORY_S = 10.0  # a replica that has not answered for so long no longer counts as live
BLOCKS_PER_REPLICA = 2  # one being scored, one on its way


class InServerVersion:
    """A version in this process: scored on the spot where a call is cheap, coalesced where it is dear."""

    def __init__(self, predictor: Predictor, coalesce: Coalesce, batch: Batch) -> None:
        self._predictor: Predictor | None = predictor
        self._cost = predictor.cost
        self._max_rows = batch.max_rows
        self.coalesces = coalesce == "always" or (
            coalesce == "auto" and self._cost.call_ms > DEAR_CALL_MS
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=predictor.manifest.version)
        self._idle = asyncio.Event()
        self._idle.set()
        self._batched: Any = serve.batch(
            max_batch_size=batch.max_rows,
            batch_wait_timeout_s=batch.wait_ms / 1000,
            batch_size_fn=lambda blocks: sum(len(block) for block in blocks),
        )(self._score_blocks)

    async def score(self, block: Block, deadline_s: float) -> Scores:
        """(n_rows,) scores. Raises DeadlineExceeded."""
        if not self.coalesces and self._cost.of_rows(len(block)) <= INLINE_MS:
            return self._score(block)
        try:
            async with asyncio.timeout(deadline_s):
                if not self.coalesces:
                    return await self._off_the_loop(block)
                # @serve.batch refuses an item above its maximum, so a larger block enters in pieces.
                pieces = [
                    block[i : i + self._max_rows] for i in range(0, len(block), self._max_rows)
                ]
                return np.concatenate(
                    await asyncio.gather(*(self._enter(piece) for piece in pieces))
                )
        except TimeoutError:
            raise DeadlineExceeded(f"The model did not answer within {deadline_s:g} s.") from None

    async def ping(self) -> None:
        """A held version that is loaded can answer."""

    def close(self) -> None:
        """Let the model go. Ray freezes the garbage collector, and @serve.batch keeps a cycle through this object."""
        self._predictor = None
        self._thread.shutdown(wait=False)

    def _score(self, block: Block) -> Scores:
        if self._predictor is None:
            raise NotReady("This version has left the table.")
        return self._predictor.score(block)

    async def _enter(self, piece: Block) -> Scores:
        # @serve.batch seals what has arrived while the model is busy into tiny batches. Entering only when the
        # model is idle lets everything that came meanwhile go in together.
        while not self._idle.is_set():
            await self._idle.wait()
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
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._score, block)


class IsolatedVersion:
    """A version in an application of its own: waiting rows leave together, bounded per live replica.

    How many replicas are live is learned from the answers, each of which names its replica: more blocks go
    out as more replicas answer, and the blocks under way are what Serve's autoscaler counts.
    """

    def __init__(self, handle: Any, max_rows: int, deadline_s: Callable[[], float]) -> None:
        self._handle = handle
        self._deadline_s = deadline_s
        self._last_answer_s: dict[str, float] = {}
        self._coalescer = Coalescer(self._send, max_rows, self._max_in_flight)

    @property
    def waiting_rows(self) -> int:
        """Rows that wait in this replica for a call to become free."""
        return self._coalescer.waiting_rows

    async def score(self, block: Block, deadline_s: float) -> Scores:
        """(n_rows,) scores. Raises DeadlineExceeded, Overloaded or NotReady."""
        try:
            async with asyncio.timeout(deadline_s):
                return await self._coalescer.score(block)
        except TimeoutError:
            raise DeadlineExceeded(f"The version did not answer within {deadline_s:g} s.") from None
        except ConnectionError:
            raise NotReady("The call of the version was cut off.") from None

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
        """A prediction is idempotent, so a call that died with its replica goes once more, to another one."""
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
            response.cancel()  # nobody waits any more: the replica need not score it
            raise
        self._last_answer_s[replica] = time.monotonic()
        checked: Scores = scores
        return checked
