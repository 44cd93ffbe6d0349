"""Ports that tests which run side by side do not take from each other."""

import os
import socket
from contextlib import suppress

# Below the ports that `sluice up` picks from (20,000 on), and those that the system gives clients
# (32,768 on).
FIRST = 10_000
N_BLOCKS = 40
BLOCK = 250


class PortBlock:
    """250 ports. Whoever listens on the first one has them all: the system lets only one process do
    so, and frees it when that process ends.
    """

    def __init__(self) -> None:
        for n in range(N_BLOCKS):
            first = FIRST + (os.getpid() + n) % N_BLOCKS * BLOCK
            guard = socket.socket()
            try:
                guard.bind(("127.0.0.1", first))
                guard.listen()
            except OSError:
                guard.close()
                continue
            self._guard = guard
            self._next = first + 1
            self._end = first + BLOCK
            return
        raise AssertionError(f"all {N_BLOCKS} blocks of ports from {FIRST} on are in use")

    def one(self) -> int:
        """The next port that nobody listens on."""
        while self._next < self._end:
            port = self._next
            self._next += 1
            with socket.socket() as probe, suppress(OSError):
                probe.bind(("0.0.0.0", port))
                return port
        raise AssertionError(f"no port left before {self._end}")

    def several(self, n: int) -> tuple[int, int]:
        """The first and the last of the next n ports; whoever gets them tries the next one where
        one is in use.
        """
        first = self._next
        self._next += n
        assert self._next <= self._end, (
            f"{n} ports wanted from {first} on, the block ends at {self._end}"
        )
        return first, self._next - 1

    def close(self) -> None:
        """Leave the ports to others."""
        self._guard.close()
