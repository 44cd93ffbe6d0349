"""Latency at a fixed rate: an open loop. Every request has its moment, whether the server keeps up or not.

A latency counts from that moment, so waiting that the server caused is never left out (no coordinated omission,
as wrk2 does it). Ours because none of the kept ones fits; docs/performance.md says why.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools
import numpy as np

MOST_CONNECTIONS = 256
DRAIN_S = 15.0
ROUNDING_S = 1e-6  # of moments that are sums: without it the one at the very end may slip in
LOOK_S = 0.001  # how often a closed loop looks for a user who is free


@dataclass(frozen=True, slots=True)
class Shot:
    """One request: its moment, how late it was sent, its latency from that moment, and what came back."""

    index: int  # which of the bodies
    due_s: float  # since the beginning
    late_ms: float
    latency_ms: float
    status: int  # 0: no answer
    body: bytes


@dataclass
class Stream:
    """Requests to one URL at a rate that may change with time.

    `users` makes it a closed loop: at most so many requests at a time, the next one when one is answered.
    """

    url: str
    bodies: Sequence[bytes]
    rate: Callable[[float], float]  # requests/s at a time since the beginning
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Callable[[float], int] | None = None
    most_connections: int = MOST_CONNECTIONS
    keep_bodies: bool = False
    shots: list[Shot] = field(default_factory=list)
    under_way: int = 0
    ended: bool = False  # set it to end the load early

    def requests(self) -> list[bytes]:
        """The requests as bytes."""
        parts = urlsplit(self.url)
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in self.bodies]


@dataclass(frozen=True)
class Steady:
    """What an open loop saw."""

    offered_rate: float
    requests: int
    errors: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    late_p99_ms: float  # of the generator, when it could not send in time (or all connections were taken)


class _Connection(asyncio.Protocol):
    """One connection; calls `answered` once for each request."""

    def __init__(self, gun: "_Gun") -> None:
        self._gun = gun
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: list[bytes] = []
        self._current: tuple[int, float, float] | None = None  # index, due, sent
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self._parser.feed_data(data)

    def connection_lost(self, _: Exception | None) -> None:
        """A request under way is lost."""
        self.transport = None
        if self._current is not None:
            self._finish(0)

    def send(self, index: int, due_s: float) -> None:
        """Post one request."""
        self._current = index, due_s, time.perf_counter()
        assert self.transport is not None
        self.transport.write(self._gun.requests[index])

    def on_body(self, data: bytes) -> None:
        """Collect."""
        self._chunks.append(data)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        status, keep = self._parser.get_status_code(), self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)
        if not keep and self.transport is not None:
            self.transport.close()
            self.transport = None
        self._finish(status)

    def _finish(self, status: int) -> None:
        assert self._current is not None
        (index, due_s, sent_s), self._current = self._current, None
        body, self._chunks = b"".join(self._chunks), []
        self._gun.note(index, due_s, sent_s, status, body)
        self._gun.release(self)


class _Gun:
    """Sends a stream's requests at their moments over as many connections as needed."""

    def __init__(self, stream: Stream, seconds: float) -> None:
        self._stream, self._seconds = stream, seconds - ROUNDING_S
        self.requests = stream.requests()
        self._free: list[_Connection] = []
        self._waiting: deque[tuple[int, float]] = deque()
        self._n_open = 0
        self._begin_s = 0.0
        self._opening: set[asyncio.Task[None]] = set()

    async def fire(self) -> None:
        """Until the time is over and every answer is in, or DRAIN_S have passed."""
        loop = asyncio.get_running_loop()
        self._begin_s = due_s = time.perf_counter()
        turn = 0
        while due_s - self._begin_s < self._seconds and not self._stream.ended:
            while (now_s := time.perf_counter()) >= due_s and due_s - self._begin_s < self._seconds:
                if self._all_users_wait(now_s):
                    due_s = now_s + LOOK_S
                    break
                self._shoot(turn % len(self.requests), due_s, loop)
                turn += 1
                due_s += 1 / max(self._stream.rate(due_s - self._begin_s), 0.1)
            await asyncio.sleep(max(0.0, due_s - now_s))
        until_s = time.perf_counter() + DRAIN_S
        while self._stream.under_way and time.perf_counter() < until_s:  # noqa: ASYNC110 - many futures, one wait
            await asyncio.sleep(0.01)
        for _ in range(self._stream.under_way):
            self._stream.shots.append(Shot(0, self._seconds, 0.0, DRAIN_S * 1000, 0, b""))
        for connection in self._free:
            if connection.transport is not None:
                connection.transport.close()

    def _all_users_wait(self, now_s: float) -> bool:
        users = self._stream.users
        return users is not None and self._stream.under_way >= users(now_s - self._begin_s)

    def _shoot(self, index: int, due_s: float, loop: asyncio.AbstractEventLoop) -> None:
        self._stream.under_way += 1
        while self._free:
            connection = self._free.pop()
            if connection.transport is not None:
                connection.send(index, due_s)
                return
            self._n_open -= 1
        self._waiting.append((index, due_s))
        if self._n_open < self._stream.most_connections:
            self._n_open += 1
            task = loop.create_task(self._open(loop))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        parts = urlsplit(self._stream.url)
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(self), parts.hostname or "", parts.port or 80
            )
        except OSError:
            self._n_open -= 1
            if self._waiting:
                index, due_s = self._waiting.popleft()
                self.note(index, due_s, time.perf_counter(), 0, b"")
            return
        self._give(connection)

    def release(self, connection: _Connection) -> None:
        """Give a connection the next request that waits."""
        if connection.transport is None:
            self._n_open -= 1
        else:
            self._give(connection)

    def _give(self, connection: _Connection) -> None:
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._free.append(connection)

    def note(self, index: int, due_s: float, sent_s: float, status: int, body: bytes) -> None:
        """Note what a request came to."""
        now_s = time.perf_counter()
        self._stream.under_way -= 1
        kept = body if self._stream.keep_bodies else b""
        shot = Shot(index, due_s - self._begin_s, (sent_s - due_s) * 1000, (now_s - due_s) * 1000, status, kept)
        self._stream.shots.append(shot)


async def fire(streams: Sequence[Stream], seconds: float) -> None:
    """All streams at once."""
    await asyncio.gather(*(_Gun(stream, seconds).fire() for stream in streams))


def summarize(shots: Sequence[Shot], seconds: float) -> Steady:
    """Percentiles over all requests, lost ones included with the time that was waited for them."""
    latency = np.array([shot.latency_ms for shot in shots] or [0.0])
    p50, p95, p99 = (float(value) for value in np.percentile(latency, [50, 95, 99]))
    late = float(np.percentile([shot.late_ms for shot in shots] or [0.0], 99))
    errors = sum(not 200 <= shot.status < 300 for shot in shots)
    return Steady(len(shots) / seconds, len(shots), errors, p50, p95, p99, float(latency.max()), late)
