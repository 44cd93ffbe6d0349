"""An event loop whose clock is virtual: it never waits, and jumps to what is due next.

One loop carries all processes of a simulated cluster. A callback belongs to the process whose
context it was made in; while that process is busy or stalled its callbacks wait, and after its
death they never run. Nothing else runs at the same time: the same seed gives the same order of
callbacks.
"""

import asyncio
import heapq
import inspect
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from inspect import CORO_CREATED
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(eq=False)
class Process:
    """A simulated process: one event loop, which does one thing at a time.

    `busy_until_s`: it computes, or is stopped, until then. `wall_offset_s`: how far its clock of
    the day is off.
    """

    name: str
    busy_until_s: float = 0.0
    wall_offset_s: float = 0.0
    is_dead: bool = False


# In which process a callback runs. None: outside of all, as clients and faults are.
PROCESS: ContextVar[Process | None] = ContextVar("PROCESS", default=None)


def context_of(process: Process | None) -> Context:
    """A context in which everything belongs to this process."""
    context = copy_context()
    context.run(PROCESS.set, process)
    return context


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs callbacks in the order of their virtual times.

    `run_in_executor` is a stand-in without threads: the function runs at once, what it spends of
    time is added up, and its caller hears of the outcome after that time.
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        # (when, number, handle): of the same time, what was planned first comes first.
        self._timers: list[tuple[float, int, asyncio.Handle]] = []
        self._n_timers = 0
        # What a function in a stand-in for a thread has spent so far; None outside of one.
        self._thread_s: float | None = None
        self._is_stopping = False

    def time(self) -> float:
        """Seconds since the beginning, as the process sees it that runs now."""
        process = PROCESS.get()
        now_s = self._now_s
        if self._thread_s is not None:
            now_s += self._thread_s
        elif process is not None and process.busy_until_s > now_s:
            now_s = process.busy_until_s
        return now_s

    def spend(self, seconds: float) -> None:
        """Let time pass for who calls: its thread, or its whole process, is busy meanwhile."""
        if self._thread_s is not None:
            self._thread_s += seconds
            return
        process = PROCESS.get()
        if process is not None:
            process.busy_until_s = max(self._now_s, process.busy_until_s) + seconds

    def stall(self, process: Process, seconds: float) -> None:
        """Stop a process for a while, from outside."""
        process.busy_until_s = max(self._now_s, process.busy_until_s) + seconds

    def stop(self) -> None:
        """End `run_until` before the next time."""
        self._is_stopping = True

    def close(self) -> None:
        """End what has not begun; nothing runs afterwards."""
        for task in asyncio.all_tasks(self):
            _never_begin(task)

    def run_until(self, until_s: float) -> None:
        """Run until `stop`, or nothing is left to do, or this time has come."""
        self._is_stopping = False
        timers = self._timers
        asyncio._set_running_loop(self)
        try:
            self._run_ready()
            while not self._is_stopping:
                if not timers or timers[0][0] > until_s:
                    self._now_s = max(self._now_s, until_s)
                    return
                # What is due at the same time is ready before any of it runs, as in asyncio: after
                # a stall an answer that has come and its deadline are both there.
                self._now_s = max(self._now_s, timers[0][0])
                while timers and timers[0][0] <= self._now_s:
                    self._ready.append(heapq.heappop(timers)[2])
                self._run_ready()
        finally:
            asyncio._set_running_loop(None)

    def _run_ready(self) -> None:
        """Everything that is ready, and what becomes so meanwhile; no time passes."""
        ready = self._ready
        now_s = self._now_s
        while ready:
            handle = ready.popleft()
            if handle._cancelled:
                continue
            # A handle keeps the context in which it was made.
            process = handle._context.get(PROCESS)  # type: ignore[attr-defined]
            if process is not None:
                if process.is_dead:
                    _never_begin(getattr(handle._callback, "__self__", None))  # type: ignore[attr-defined]
                    continue
                if process.busy_until_s > now_s:
                    self._plan(process.busy_until_s, handle)
                    continue
            handle._run()

    def _plan(self, when_s: float, handle: asyncio.Handle) -> None:
        self._n_timers += 1
        heapq.heappush(self._timers, (when_s, self._n_timers, handle))

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """In the next turn."""
        handle = asyncio.Handle(callback, args, self, _ours(context))
        self._ready.append(handle)
        return handle

    # There are no other threads.
    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """After so many seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call a function at this time."""
        handle = asyncio.TimerHandle(when, callback, args, self, _ours(context))
        self._plan(when, handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """A task of the process that makes it, whatever context it is given."""
        return asyncio.Task(coro, loop=self, name=name, context=_ours(context))

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run a function as a thread would; its caller waits as long as it spends."""
        future = self.create_future()
        before_s = self._thread_s
        begin_s = self.time()
        self._thread_s = begin_s - self._now_s
        found: Any = None
        error: Exception | None = None
        try:
            found = func(*args)
        except Exception as raised:
            error = raised
        end_s = self._now_s + self._thread_s
        self._thread_s = before_s
        self.call_at(end_s, _settle, future, found, error)
        return future

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Whenever somebody asks."""
        return True

    def is_closed(self) -> bool:
        """Never."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell of what raised; an answer that nobody waited for any more is no fault."""
        error = context.get("exception")
        is_task = isinstance(context.get("future"), asyncio.Task)
        is_answer = "future" in context and not is_task
        if error is not None and not is_answer:
            logger.error("%s", context.get("message"), exc_info=error)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""


def _ours(context: Context | None) -> Context | None:
    """A context that code made empty still belongs to the process that runs now."""
    if context is not None and PROCESS not in context:
        context.run(PROCESS.set, PROCESS.get())
    return context


def _never_begin(task: Any) -> None:
    """End the coroutine of a task that waits for its first step.

    Python warns of one that nobody awaited, whenever it comes to collect it.
    """
    if not isinstance(task, asyncio.Task):
        return
    coroutine = task.get_coro()
    if inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == CORO_CREATED:
        coroutine.close()


def _settle(future: asyncio.Future[Any], found: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(found)


def running_loop() -> VirtualLoop:
    """The loop of the simulation that runs now."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop
