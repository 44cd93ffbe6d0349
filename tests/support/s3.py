"""A real S3 server on loopback (moto), and a gate in front of it that lets pass, cuts, alters, stalls or refuses."""

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import obstore
import pytest
from obstore.store import S3Store

ROOT = Path(__file__).parents[2]
MOTO = ROOT / ".venv/s3/bin/moto_server"
BUCKET = "bundles"
Way = Literal["pass", "cut", "alter", "stall", "forbid", "refuse"]
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
}


class Gate:
    """A TCP proxy before a server: what it does is `way`, and `asked` are the requests that it saw."""

    def __init__(self, target: tuple[str, int], host: str = "127.0.0.1") -> None:
        self.way: Way = "pass"
        self.asked: list[str] = []
        self._target = target
        self._listener = socket.create_server((host, 0))
        self.url = f"http://{host}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept_forever, daemon=True).start()

    def environment(self) -> dict[str, str]:
        """What points an S3 client here."""
        return {**CREDENTIALS, "AWS_ENDPOINT": self.url, "AWS_ALLOW_HTTP": "true"}

    def close(self) -> None:
        """No more connections."""
        self._listener.close()

    def _accept_forever(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One connection, ended after its first exchange that was tampered with."""
        with client, suppress(OSError):
            if self.way == "refuse":
                return
            with socket.create_connection(self._target) as server:
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
                while data := server.recv(65_536):
                    if self.way == "stall":
                        time.sleep(30)
                    elif self.way == "forbid":
                        client.sendall(FORBIDDEN)
                        return
                    elif self.way == "cut":
                        client.sendall(data[: max(1, len(data) - 100)])
                        return
                    client.sendall(_altered(data) if self.way == "alter" else data)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                if line := re.match(rb"(GET|PUT|POST|HEAD) (\S+) HTTP", data):
                    self.asked.append(f"{line[1].decode()} {line[2].decode()}")
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)


def _altered(data: bytes) -> bytes:
    """The last byte of a body turned round; heads stay as they are."""
    return (
        data
        if data.startswith(b"HTTP/") and data.endswith(b"\r\n\r\n")
        else data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    )


@contextmanager
def running_s3(host: str = "127.0.0.1", bucket: str = BUCKET) -> Iterator[Gate]:
    """A server with one empty bucket, behind a gate at this address."""
    if not MOTO.exists():
        pytest.skip("no S3 server: make s3")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    process = subprocess.Popen(
        [MOTO, "-H", "127.0.0.1", "-p", str(port)],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    gate = Gate(("127.0.0.1", port), host)
    try:
        _make_bucket(port, bucket)
        yield gate
    finally:
        gate.close()
        process.kill()
        process.wait(10)


def _make_bucket(port: int, bucket: str) -> None:
    """S3 makes a bucket on PUT /bucket; obstore has no call for it."""
    import requests

    for _ in range(150):
        with suppress(requests.ConnectionError):
            answer = requests.put(f"http://127.0.0.1:{port}/{bucket}", timeout=5)
            assert answer.status_code == 200, answer.text
            return
        time.sleep(0.1)
    raise AssertionError("the S3 server did not start within 15 s")


def overwrite(gate: Gate, key: str, data: bytes) -> None:
    """What somebody with write permission could do."""
    options = {
        "endpoint": gate.url,
        "access_key_id": "key",
        "secret_access_key": "secret",
        "region": "us-east-1",
    }
    obstore.put(S3Store(BUCKET, client_options={"allow_http": True}, **options), key, data)
