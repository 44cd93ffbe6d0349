"""The open loop against servers whose faults are known."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread

import pytest

from benchmarks.open_loop import send_all
from benchmarks.steady import Stream, summarize

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
# By the number of the request; None closes the connection.
Reply = Callable[[int], bytes | None]


def test_waiting_that_the_server_causes_counts_from_the_moment_a_request_was_due() -> None:
    """One stall of 300 ms at 100 requests/s slows thirty requests.

    A closed loop would see one slow request.
    """

    def stall_once(n: int) -> bytes:
        if n == 50:
            time.sleep(0.3)
        return ANSWER

    with serving(stall_once) as url:
        stream = Stream(url, [b"{}"], lambda _: 100.0)
        send_all([stream], 2)
    slow = [shot for shot in stream.shots if shot.latency_ms > 50]
    assert len(stream.shots) == 200
    assert len(slow) >= 15
    found = summarize(stream.shots, 2)
    assert found.errors == 0
    assert found.offered_rate == 100
    assert found.max_ms > 250


@pytest.mark.parametrize("fault", [b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", None])
def test_an_error_status_and_a_lost_connection_are_errors(fault: bytes | None) -> None:
    """The load goes on after either of them."""
    with serving(lambda n: fault if n % 10 == 9 else ANSWER) as url:
        stream = Stream(url, [b"{}"], lambda _: 200.0)
        send_all([stream], 0.5)
    found = summarize(stream.shots, 0.5)
    assert found.requests == 100
    assert found.errors == 10


def test_nobody_listening_is_an_error_for_every_request() -> None:
    """It is not a benchmark without requests."""
    with serving(lambda _: ANSWER) as url:
        pass
    stream = Stream(url, [b"{}"], lambda _: 100.0)
    send_all([stream], 0.2)
    assert [shot.status for shot in stream.shots] == [0] * 20


def test_users_wait_for_their_answers() -> None:
    """A closed loop never has more requests under way than users."""
    most = 0
    stream = Stream("", [b"{}"], lambda _: 1_000.0, users=lambda _: 3)

    def watch(_: int) -> bytes:
        nonlocal most
        most = max(most, stream.under_way)
        time.sleep(0.005)
        return ANSWER

    with serving(watch) as url:
        stream.url = url
        send_all([stream], 0.5)
    assert most == 3
    assert 3 <= len(stream.shots) <= 110


@contextmanager
def serving(reply: Reply) -> Iterator[str]:
    """A tiny HTTP server in a thread; its replies block its loop, as a stalled server does."""
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
    thread = Thread(target=lambda: asyncio.run(_serve(reply, ready)))
    thread.start()
    loop, end, port = ready.result(5)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()


async def _serve(
    reply: Reply, ready: "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]]"
) -> None:
    n = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal n
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                answer = reply(n)
                n += 1
                if answer is None:
                    return
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    end = asyncio.Event()
    ready.set_result((asyncio.get_running_loop(), end, server.sockets[0].getsockname()[1]))
    await end.wait()
    server.close()


def test_an_answer_in_chunks_is_read_whole() -> None:
    """And the connection goes on: the next answer is not mixed with it."""
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
    )
    with serving(lambda n: ANSWER if n % 2 else chunked) as url:
        stream = Stream(url, [b"{}"], lambda _: 100.0, keep_bodies=True, most_connections=1)
        send_all([stream], 0.1)
    assert [shot.body for shot in stream.shots] == [b"hello!", b"ok"] * 5


def test_a_server_that_closes_after_each_answer_loses_nothing() -> None:
    """Each request then opens a connection of its own."""
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    with serving(lambda _: closing) as url:
        stream = Stream(url, [b"{}"], lambda _: 100.0)
        send_all([stream], 0.3)
    assert [shot.status for shot in stream.shots] == [200] * 30


def test_two_streams_keep_their_own_rates() -> None:
    """Neither of them waits for the other."""
    with serving(lambda _: ANSWER) as url:
        streams = [Stream(url, [b"{}"], lambda _: 100.0), Stream(url, [b"{}"], lambda _: 20.0)]
        send_all(streams, 0.5)
    assert [len(stream.shots) for stream in streams] == [50, 10]
