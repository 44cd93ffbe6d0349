"""HTTP servers of a test's own: real ones, on a free port of the loopback."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any


class QuietHandler(BaseHTTPRequestHandler):
    """Calls `respond` for each request, and writes no line of it."""

    def respond(self) -> None:
        """Know no path; a test says what it knows, and `command` is the method."""
        self.answer(404)

    def do_GET(self) -> None:
        """Respond."""
        self.respond()

    def do_POST(self) -> None:
        """Respond."""
        self.respond()

    def do_PUT(self) -> None:
        """Respond."""
        self.respond()

    def body(self) -> bytes:
        """Read what came with the request."""
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def answer(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer with a body of this length."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def running(server: HTTPServer) -> Iterator[str]:
    """The URL of a server that answers for as long as the block lasts."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of a server with this handler; each connection has a thread."""
    with running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        yield url
