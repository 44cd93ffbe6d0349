"""A real S3 server on loopback (moto), behind the proxy of benchmarks/chaos."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import obstore
import pytest
import requests
from harness import short_folder, wait_until
from obstore.store import S3Store
from ports import PortBlock
from program import Program

from benchmarks.chaos.store import BUCKET, MOTO, StoreProxy


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
        proxy = StoreProxy(port, host)
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
