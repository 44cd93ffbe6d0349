"""Calls between processes: they take time, and may be lost, late or repeated."""

import asyncio
import pickle
import random
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from benchmarks.simulator.loop import Process, VirtualLoop, context_of

HOP_S = 0.001


@dataclass
class Wire:
    """The way between two processes; faults change it.

    Shares are of calls. `is_cut`: nothing gets through, and nobody is told so.
    """

    lost_share: float = 0.0
    lost_reply_share: float = 0.0
    repeated_share: float = 0.0
    late_share: float = 0.0
    late_s: float = 0.0
    is_cut: bool = False


# The instance that answers, and its process; None while there is none: calls wait for the next.
Target = Callable[[], tuple[Any, Process] | None]
POLL_S = 0.05


class Network:
    """Carries calls. Arguments are copied where somebody may change them, as counts are."""

    def __init__(self, loop: VirtualLoop, rng: random.Random) -> None:
        self._loop = loop
        self._rng = rng
        self.outside = context_of(None)
        # What waits for an answer of a process.
        self._open: dict[Process, set[asyncio.Future[Any]]] = {}

    def call(
        self,
        target: Target,
        wire: Wire,
        method: str,
        args: tuple[Any, ...],
        *,
        is_copied: bool = True,
    ) -> Any:
        """A future of the answer, which never comes when call or answer is lost."""
        loop = self._loop
        answer = loop.create_future()
        context = copy_context()
        payload = pickle.dumps(args) if is_copied else b""

        def arrive() -> None:
            found = target()
            if answer.done():
                return
            if found is None:
                # Ray keeps a call until there is a replica.
                loop.call_later(POLL_S, arrive, context=self.outside)
                return
            instance, process = found
            given = pickle.loads(payload) if is_copied else args
            # The call is made in the target's process, whatever state that is in.
            inside = context_of(process)
            task = loop.create_task(getattr(instance, method)(*given), context=inside)
            self._open.setdefault(process, set()).add(answer)
            answer.add_done_callback(self._open[process].discard, context=self.outside)
            task.add_done_callback(reply, context=inside)

        def reply(task: asyncio.Task[Any]) -> None:
            if wire.is_cut or self._hits(wire.lost_reply_share):
                return
            if task.cancelled():
                return
            error = task.exception()
            found = None if error else task.result()
            loop.call_later(HOP_S, _settle, answer, found, error, context=context)

        if wire.is_cut or self._hits(wire.lost_share):
            return answer
        for _ in range(2 if self._hits(wire.repeated_share) else 1):
            delay_s = wire.late_s if self._hits(wire.late_share) else HOP_S
            loop.call_later(delay_s, arrive, context=self.outside)
        return answer

    def died(self, process: Process) -> None:
        """Tell every caller that waits for a process that it is no more."""
        for answer in list(self._open.pop(process, ())):
            if not answer.done():
                answer.set_exception(ConnectionResetError(f"{process.name} died"))

    def _hits(self, share: float) -> bool:
        return bool(share) and self._rng.random() < share


def _settle(answer: asyncio.Future[Any], found: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(found)


class Handle:
    """What Ray's handle of a deployment is to a caller: `handle.method.remote(…)`."""

    def __init__(self, network: Network, target: Target, wire: Wire) -> None:
        self._network = network
        self._target = target
        self._wire = wire

    def __getattr__(self, method: str) -> "_Method":
        if method.startswith("_"):
            raise AttributeError(method)
        return _Method(self._network, self._target, self._wire, method)


@dataclass(frozen=True)
class _Method:
    network: Network
    target: Target
    wire: Wire
    method: str

    def remote(self, *args: Any) -> Any:
        """Call it in its process."""
        return self.network.call(self.target, self.wire, self.method, args)
