"""A server's heartbeat: once a second it reports to the coordinator and follows the reply."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from serve_app.cluster.report import Reply, Report, ServerPart, named

logger = logging.getLogger(__name__)

PERIOD_S = 1.0
ANSWER_TIMEOUT_S = 5.0


class Heartbeat:
    """Reports the parts of one server; knows nothing of what they hold.

    While the coordinator is away, the parts keep counting, and decide themselves how long they
    follow what they were told last. `count_waiting` is called before they are asked.
    """

    def __init__(
        self,
        server: str,
        parts: Iterable[ServerPart],
        send: Callable[[Report], Awaitable[Reply]],
        clock: Callable[[], float] = time.monotonic,
        count_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self._server = server
        self._parts = named(parts)
        self._send = send
        self._clock = clock
        self._count_waiting = count_waiting
        self._heard_s = clock()
        self._seq = 0
        # A report whose reply was lost. The coordinator may have counted it, so it is sent again
        # as it was, and what came since waits for the next one.
        self._unanswered: Report | None = None
        # At the end of a replica it is beaten next to the beats of each second.
        self._beating = asyncio.Lock()

    @property
    def age_s(self) -> float:
        """Seconds since the coordinator last answered a report, or since the start."""
        return self._clock() - self._heard_s

    async def beat_forever(self) -> None:
        """Report once a second until cancelled."""
        while True:
            await self.beat()
            await asyncio.sleep(PERIOD_S)

    async def beat_while(self, is_waiting: Callable[[], bool], most_s: float) -> None:
        """Report until nothing waits any more, for so long at most: a coordinator may come back."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                while is_waiting():
                    if not await self.beat():
                        await asyncio.sleep(PERIOD_S)

    async def beat(self) -> bool:
        """Send one report; whether the coordinator answered. Never raises."""
        async with self._beating:
            return await self._beat()

    async def _beat(self) -> bool:
        report = self._unanswered or self._report()
        self._unanswered = report
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                reply = await self._send(report)
        except Exception as error:
            kind = type(error).__name__
            logger.warning("the coordinator does not answer (%s)", kind)
            await self._be_alone()
            return False
        self._heard_s = self._clock()
        self._unanswered = None
        self._follow(reply)
        return True

    async def _be_alone(self) -> None:
        seconds = self._clock() - self._heard_s
        for name, part in self._parts.items():
            try:
                await part.alone(seconds)
            except Exception:
                logger.exception("the part %s of the report cannot go on alone", name)

    def _report(self) -> Report:
        self._seq += 1
        self._count_waiting()
        taken = {}
        for name, part in self._parts.items():
            try:
                taken[name] = part.take()
            except Exception:
                # One broken part must not keep the others from the coordinator.
                logger.exception("the part %s of the report cannot be taken", name)
        return Report(self._server, self._seq, taken)

    def _follow(self, reply: Reply) -> None:
        for name, part in self._parts.items():
            if name not in reply.parts:
                continue
            try:
                part.follow(reply.parts[name])
            except Exception:
                logger.exception("the part %s of the report cannot follow", name)
