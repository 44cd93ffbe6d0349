"""Clients that do what clients do: too many, too slow, gone before the answer."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

from benchmarks import wrk
from benchmarks.contender import SLUICE
from benchmarks.question import Question

N_SLOW = 500
LEAVING_PER_S = 100
OVERLOAD_CONNECTIONS = 300
TIMED_CONNECTIONS = 100
HEAD = (
    b"POST /v1/predict HTTP/1.1\r\nHost: sluice\r\nContent-Type: application/json\r\n"
    b"Content-Length: 400\r\n\r\n"
)


def _connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 80), 5)


def wait_half_sent(url: str, seconds: float) -> None:
    """500 clients send half a request, and wait."""
    waiting: list[socket.socket] = []
    with suppress(OSError):
        for _ in range(N_SLOW):
            client = _connected(url)
            waiting.append(client)
            client.sendall(HEAD + b'{"monthly')
    time.sleep(seconds)
    for client in waiting:
        client.close()


def leave(url: str, seconds: float) -> None:
    """100 clients a second send half of a request, or a whole one, and go without an answer."""
    body = b"{" + b" " * 399
    until_s = time.monotonic() + seconds
    n = 0
    while time.monotonic() < until_s:
        with suppress(OSError), _connected(url) as client:
            client.sendall(HEAD + body[: 200 if n % 2 else 400])
        n += 1
        time.sleep(1 / LEAVING_PER_S)


def overload(url: str, question: Question, n_rows: int, seconds: float) -> tuple[str, wrk.Sample]:
    """400 connections ask for so many rows each, as fast as they are answered.

    Returns what they saw, and how 100 of them were answered, which time their answers.
    """
    bodies = [SLUICE.body(rows) for rows in question.ask(n_rows)]
    path = url + SLUICE.path(n_rows)
    with ThreadPoolExecutor(1) as pool:
        timed = pool.submit(wrk.sample, path, bodies, SLUICE.headers, TIMED_CONNECTIONS, seconds)
        found = wrk.measure(path, bodies, SLUICE.headers, OVERLOAD_CONNECTIONS, seconds)
        sample = timed.result()
    story = (
        f"{OVERLOAD_CONNECTIONS} connections × {n_rows} rows: {found.requests:,} answers, "
        f"{found.status_errors:,} of them told to come again or failed, "
        f"{found.timeouts + found.socket_errors} without an answer; {TIMED_CONNECTIONS} more: "
        f"{sample.accepted:,} requests were accepted, p99 {sample.p99_ms:.0f} ms, "
        f"{sample.refused:,} told to come again, {sample.others:,} answered otherwise"
    )
    return story, sample


def in_background(target: object, *args: object) -> threading.Thread:
    """Start clients in a thread that does not keep the program from ending."""
    thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread
