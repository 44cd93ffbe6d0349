"""An S3 server of a run's own, behind a proxy that lets pass, breaks, holds up or refuses."""

import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from benchmarks.errors import BenchmarkError, Skipped
from benchmarks.place import ROOT, Place, free_port
from benchmarks.processes import Program

MOTO = ROOT / ".venv/s3/bin/moto_server"
BUCKET = "bundles"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}
START_TIMEOUT_S = 300.0
SLOW_S = 1.0
# What clients see: all is right; closed connections; each piece late; nothing until the way is
# another one; answers that end early, have a wrong bit, or say that there is no permission.
Way = Literal["pass", "away", "slow", "silent", "cut", "alter", "forbid"]
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class StoreProxy:
    """A TCP proxy; setting `way` changes what it does, also with connections that are open.

    `asked` are the requests that it saw, as `GET /path`.
    """

    def __init__(self, target_port: int, host: str = "127.0.0.1") -> None:
        self.way: Way = "pass"
        self.asked: list[str] = []
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server((host, 0))
        self.url = f"http://{host}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept_forever, daemon=True).start()

    def environment(self) -> dict[str, str]:
        """What points an S3 client here."""
        return {**CREDENTIALS, "AWS_ENDPOINT": self.url}

    def close(self) -> None:
        """No more connections."""
        self._listener.close()

    def _accept_forever(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if self.way == "away":
                return
            with socket.create_connection(self._target) as server:
                threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
                self._answer(server, client)

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                if line := re.match(rb"(GET|PUT|POST|HEAD) (\S+) HTTP", data):
                    self.asked.append(f"{line[1].decode()} {line[2].decode()}")
                if not self._lets_pass():
                    return
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        """Copy answers, until one was tampered with: its connection ends."""
        while data := server.recv(65_536):
            if not self._lets_pass():
                return
            if self.way == "forbid":
                client.sendall(FORBIDDEN)
                return
            if self.way == "cut":
                client.sendall(data[: max(1, len(data) - 100)])
                return
            client.sendall(_altered(data) if self.way == "alter" else data)

    def _lets_pass(self) -> bool:
        """Wait for as long as the way says; False where the connection ends."""
        while self.way == "silent":
            time.sleep(0.1)
        if self.way == "slow":
            time.sleep(SLOW_S)
        return self.way != "away"


def _altered(data: bytes) -> bytes:
    """A bit near the end of a body turned round; heads stay as they are."""
    if data.startswith(b"HTTP/") and data.endswith(b"\r\n\r\n"):
        return data
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


@contextmanager
def running_s3(place: Place, store: Path) -> Iterator[StoreProxy]:
    """An S3 server that holds what the folder `store` does, behind a proxy.

    Raises Skipped without `make s3`.
    """
    if not MOTO.exists():
        raise Skipped("no S3 server: make s3")
    port = free_port()
    folder = place.folder / "s3"
    folder.mkdir(exist_ok=True)
    command: list[str | Path] = [MOTO, "-H", "127.0.0.1", "-p", str(port)]
    program = Program(command, place.environment(), folder)
    proxy = StoreProxy(port)
    try:
        _put(port, BUCKET, b"", START_TIMEOUT_S)
        for path in sorted(store.rglob("*")):
            if path.is_file():
                _put(port, f"{BUCKET}/{path.relative_to(store)}", path.read_bytes(), 5.0)
        yield proxy
    finally:
        proxy.close()
        program.stop()


def _put(port: int, path: str, body: bytes, patience_s: float) -> None:
    until_s = time.monotonic() + patience_s
    # By default it would be a form, which the server reads before it looks for the body.
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", body, headers, method="PUT")
    while True:
        try:
            urllib.request.urlopen(request, timeout=30).close()
        except OSError as error:
            if time.monotonic() > until_s:
                raise BenchmarkError(f"the S3 server does not answer: {error}") from None
            time.sleep(0.1)
        else:
            return
