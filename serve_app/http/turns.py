"""How much work a request has waited for on the event loop.

A prediction that waits for nothing is one step of the loop, so under overload no row is under way:
what there is too much of waits in sockets and in the loop's own queue. What is ready there runs in
one go, a *turn*, in the order in which it came. What the thread has computed since the turn began
is what the request that runs now has waited for, at least.
"""

import asyncio
from time import thread_time


class Turns:
    """The turns of the event loop that runs; `number` is of the one that runs, 0 where it was not
    asked in this one.

    Counted is the thread's CPU time: a process that was merely stopped has not more to do than
    before, and by the clock all that wait for it would be turned away.
    """

    def __init__(self) -> None:
        self._began_s: float | None = None
        self._n_turns = 0
        self.number = 0

    def waited_s(self) -> float:
        """CPU seconds since this was first asked in this turn, when it was 0."""
        now_s = thread_time()
        if self._began_s is None:
            self._began_s = now_s
            self._n_turns += 1
            self.number = self._n_turns
            # It runs after everything that is ready now, and before what becomes so meanwhile.
            asyncio.get_running_loop().call_soon(self._end)
        return now_s - self._began_s

    def _end(self) -> None:
        self._began_s = None
        self.number = 0
