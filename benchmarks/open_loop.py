"""Sends an open loop at some hundredths of a millisecond of CPU a request.

A more expensive generator would measure itself. One thread, one epoll, blocking sockets that are
only read when something is there.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.steady import Shot, Stream

DRAIN_S = 15.0
SOCKET_TIMEOUT_S = 5.0
# Moments are sums, and rounded: without this one at the very end may slip in.
ROUNDING_S = 1e-6
# How often a closed loop looks for a user who is free.
LOOK_S = 0.001
# How often it is asked whether all answers are in.
IDLE_S = 0.01
LEAST_RATE = 0.1
END_OF_HEAD = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def send_all(streams: Sequence[Stream], seconds: float) -> None:
    """Send all streams at once, until the time is over and every answer is in.

    What is not answered DRAIN_S after the end is given up.
    """
    poll = select.epoll()
    senders = [_Sender(stream, seconds, poll) for stream in streams]
    connections: dict[int, _Connection] = {}
    try:
        while any(sender.is_busy() for sender in senders):
            _wait(poll, min(sender.send_due(connections) for sender in senders), connections)
    finally:
        for connection in connections.values():
            connection.socket.close()
        poll.close()
    for sender in senders:
        sender.give_up()


def _wait(poll: select.epoll, wait_s: float, connections: "dict[int, _Connection]") -> None:
    """Wait until the next request is due, and read answers on the way."""
    if wait_s > 0:
        # epoll itself waits whole milliseconds.
        select.select([poll], [], [], wait_s)
    for number, _ in poll.poll(0):
        connection = connections[number]
        if not connection.read():
            poll.unregister(number)
            del connections[number]
            connection.socket.close()


@dataclass(slots=True)
class _Answer:
    """A whole answer."""

    status: int
    body: bytes
    closes: bool


class _Connection:
    """One connection with at most one request under way."""

    def __init__(self, sender: "_Sender", address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, SOCKET_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sender = sender
        self._received = b""
        # Of the request under way: index, moment when it was due, moment when it was sent.
        self._current: tuple[int, float, float] | None = None
        self.is_open = True

    def send(self, index: int, due_s: float) -> None:
        """Post one request; a connection that is broken shows it when it is read."""
        self._current = (index, due_s, time.perf_counter())
        self._received = b""
        with suppress(OSError):
            self.socket.sendall(self._sender.requests[index])

    def read(self) -> bool:
        """Take what has come; False when the connection is of no more use."""
        try:
            data = self.socket.recv(1 << 18)
        except OSError:
            data = b""
        self._received += data
        answer = _parse(self._received, ended=not data) if self._current else None
        if data and answer is None:
            return True
        self.is_open = bool(data) and answer is not None and not answer.closes
        if self._current is not None:
            index, due_s, sent_s = self._current
            self._current = None
            if answer is None:
                self._sender.note(index, due_s, sent_s, 0, b"")
            else:
                self._sender.note(index, due_s, sent_s, answer.status, answer.body)
        self._sender.release(self)
        return self.is_open


def _parse(data: bytes, *, ended: bool) -> _Answer | None:
    """The answer, once it is whole."""
    end = data.find(END_OF_HEAD)
    if end < 0:
        return None
    head = data[:end].lower()
    body = data[end + len(END_OF_HEAD) :]
    closes = b"connection: close" in head
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        n_bytes = int(head[at + 17 :].split(b"\r\n", 1)[0])
        return _Answer(int(data[9:12]), body, closes) if len(body) >= n_bytes else None
    if b"\r\ntransfer-encoding: chunked" in head:
        return (
            _Answer(int(data[9:12]), _joined(body), closes) if body.endswith(LAST_CHUNK) else None
        )
    return _Answer(int(data[9:12]), body, closes=True) if ended else None


def _joined(body: bytes) -> bytes:
    """The chunks without their sizes."""
    parts: list[bytes] = []
    at = 0
    while True:
        line = body.index(b"\r\n", at)
        size = int(body[at:line].split(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        begin = line + 2
        parts.append(body[begin : begin + size])
        at = begin + size + 2


class _Sender:
    """Sends a stream's requests at their moments over as many connections as needed."""

    def __init__(self, stream: Stream, seconds: float, poll: select.epoll) -> None:
        parts = urlsplit(stream.url)
        self._stream = stream
        self._seconds = seconds - ROUNDING_S
        self._poll = poll
        self._address = parts.hostname or "", parts.port or 80
        self.requests = stream.requests()
        self._free: list[_Connection] = []
        self._waiting: deque[tuple[int, float]] = deque()
        self._n_open = 0
        self._turn = 0
        self._begin_s = self._due_s = time.perf_counter()

    def is_busy(self) -> bool:
        """Whether requests are to come, or answers still may."""
        now_s = time.perf_counter()
        return self._is_on() or (
            self._stream.under_way > 0 and now_s < self._begin_s + self._seconds + DRAIN_S
        )

    def _is_on(self) -> bool:
        return self._due_s - self._begin_s < self._seconds and not self._stream.ended

    def send_due(self, connections: dict[int, _Connection]) -> float:
        """Send what is due; how many seconds there are until the next one is."""
        while self._is_on():
            now_s = time.perf_counter()
            if now_s < self._due_s:
                break
            if self._all_users_wait(now_s):
                self._due_s = now_s + LOOK_S
                break
            self._stream.under_way += 1
            self._send(self._turn % len(self.requests), self._due_s, connections)
            self._turn += 1
            self._due_s += 1 / max(self._stream.rate(self._due_s - self._begin_s), LEAST_RATE)
        return self._due_s - time.perf_counter() if self._is_on() else IDLE_S

    def _all_users_wait(self, now_s: float) -> bool:
        users = self._stream.users
        return users is not None and self._stream.under_way >= users(now_s - self._begin_s)

    def _send(self, index: int, due_s: float, connections: dict[int, _Connection]) -> None:
        while self._free:
            connection = self._free.pop()
            if connection.is_open:
                connection.send(index, due_s)
                return
        if self._n_open >= self._stream.most_connections:
            self._waiting.append((index, due_s))
            return
        try:
            connection = _Connection(self, self._address)
        except OSError:
            self.note(index, due_s, time.perf_counter(), 0, b"")
            return
        self._n_open += 1
        connections[connection.socket.fileno()] = connection
        self._poll.register(connection.socket.fileno(), select.EPOLLIN)
        connection.send(index, due_s)

    def release(self, connection: _Connection) -> None:
        """Give a connection the next request that waits; a closed one leaves room for another."""
        if not connection.is_open:
            self._n_open -= 1
        elif self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._free.append(connection)

    def note(self, index: int, due_s: float, sent_s: float, status: int, body: bytes) -> None:
        """Note what a request came to."""
        now_s = time.perf_counter()
        self._stream.under_way -= 1
        kept = body if self._stream.keep_bodies else b""
        shot = Shot(
            index,
            due_s - self._begin_s,
            (sent_s - due_s) * 1000,
            (now_s - due_s) * 1000,
            status,
            kept,
        )
        self._stream.shots.append(shot)

    def give_up(self) -> None:
        """Note what was never answered."""
        for _ in range(self._stream.under_way):
            self._stream.shots.append(Shot(0, self._seconds, 0.0, DRAIN_S * 1000, 0, b""))
