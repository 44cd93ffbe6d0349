"""A real S3 server on loopback (moto), and a proxy before it that lets pass, cuts, alters, stalls
or refuses.
"""

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import obstore
import pytest
import requests
from harness import ROOT, short_folder, wait_until
from obstore.store import S3Store
from ports import PortBlock
from program import Program

MOTO = ROOT / ".venv/s3/bin/moto_server"
BUCKET = "bundles"
Way = Literal["pass", "cut", "alter", "stall", "forbid", "refuse"]
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
}


class StoreProxy:
    """A TCP proxy before a server: what it does is `way`, and `asked` are the requests that it
    saw.
    """

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
    """A bit near the end of a body turned round; heads stay as they are."""
    if data.startswith(b"HTTP/") and data.endswith(b"\r\n\r\n"):
        return data
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


@contextmanager
def running_s3(host: str = "127.0.0.1", bucket: str = BUCKET) -> Iterator[StoreProxy]:
    """A server with one empty bucket, behind a proxy at this address."""
    if not MOTO.exists():
        pytest.skip("no S3 server: make s3")
    env = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    ports = PortBlock()
    with short_folder() as folder:
        port = ports.one()
        log = folder / "moto.log"
        command = [MOTO, "-H", "127.0.0.1", "-p", port]
        program = Program(command, log, env, folder)
        proxy = StoreProxy(("127.0.0.1", port), host)
        try:
            wait_until(lambda: _made_bucket(port, bucket), "the S3 server")
            yield proxy
        finally:
            proxy.close()
            program.end()
            ports.close()


def _made_bucket(port: int, bucket: str) -> bool:
    """S3 makes a bucket on PUT /bucket; obstore has no call for it."""
    answer = requests.put(f"http://127.0.0.1:{port}/{bucket}", timeout=30)
    return answer.status_code == 200


def overwrite(proxy: StoreProxy, key: str, data: bytes) -> None:
    """What somebody with write permission could do."""
    options = {
        "endpoint": proxy.url,
        "access_key_id": "key",
        "secret_access_key": "secret",
        "region": "us-east-1",
    }
    obstore.put(S3Store(BUCKET, client_options={"allow_http": True}, **options), key, data)
