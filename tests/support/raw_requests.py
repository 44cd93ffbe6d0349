"""Requests byte by byte, as no client library would send them: to an application, or to a port."""

import asyncio
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import unquote_to_bytes

from hostile_request import SECRETS, Hostile

TIMEOUT_S = 300.0


@dataclass(frozen=True)
class RawAnswer:
    """What came back; status 0 when the connection ended without an answer."""

    status: int
    headers: bytes = b""
    body: bytes = b""

    def fault(self, request: Hostile, more_statuses: Iterable[int] = ()) -> str:
        """What is wrong with it as the answer to this request; empty when nothing is."""
        expected = {*request.statuses, *more_statuses}
        if self.status not in expected:
            return f"{request.name}: found {self.status}, expected {expected}: {self.body[:200]!r}"
        said = (self.headers + self.body).decode("latin-1").lower()
        if any(secret.lower() in said for secret in SECRETS):
            return f"{request.name}: found what was sent in the answer: {said[:500]}"
        if b"x-injected" in self.headers.lower():
            return f"{request.name}: found a header that was injected"
        return ""


async def asked_in_process(app: Any, request: Hostile, prefix: str) -> RawAnswer:
    """The answer of an ASGI application, asked as uvicorn would ask it."""
    path, _, query = request.target.partition("?")
    raw_path = (prefix + path).encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": request.method,
        # uvicorn reads a path that is not UTF-8 with replacements.
        "path": unquote_to_bytes(raw_path).decode("utf-8", "replace"),
        "raw_path": raw_path,
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"sluice"), *request.headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    messages = [{"type": "http.request", "body": request.body, "more_body": False}]
    status = 0
    headers: list[tuple[bytes, bytes]] = []
    body = b""

    async def receive() -> Any:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status, headers, body
        if message["type"] == "http.response.start":
            assert status == 0, "found a second answer"
            status = message["status"]
            headers = list(message["headers"])
        elif message["type"] == "http.response.body":
            body += message.get("body", b"")

    # A server reads its sockets between two requests: without that, all of a test is one turn of
    # the loop, and on a slow machine its last requests have waited for too much work of the others.
    await asyncio.sleep(0)
    await app(scope, receive, send)
    return RawAnswer(status, b"\r\n".join(name + b": " + value for name, value in headers), body)


def asked_over_tcp(host: str, port: int, request: Hostile) -> RawAnswer:
    """The answer of a server, on a connection of its own that is closed afterwards.

    A length that is not among the headers is the true one; `Connection: close` is said unless they
    say something else.
    """
    declared = {name for name, _ in request.headers}
    headers = list(request.headers)
    if b"host" not in declared:
        headers.insert(0, (b"host", b"sluice"))
    if b"content-length" not in declared:
        headers.append((b"content-length", str(len(request.body)).encode()))
    if b"connection" not in declared:
        headers.append((b"connection", b"close"))
    head = f"{request.method} {request.target} HTTP/1.1\r\n".encode()
    head += b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    with socket.create_connection((host, port), timeout=TIMEOUT_S) as connection:
        # It may be refused before all of it came; the answer is there all the same.
        with suppress(OSError):
            connection.sendall(head + b"\r\n" + request.body)
        return _read(connection, request.method)


def _read(connection: socket.socket, method: str) -> RawAnswer:
    response = HTTPResponse(connection, method=method)
    try:
        response.begin()
        body = response.read()
    except (OSError, HTTPException):
        return RawAnswer(0)
    lines = (f"{name}: {value}" for name, value in response.getheaders())
    return RawAnswer(response.status, "\r\n".join(lines).encode("latin-1", "replace"), body)
