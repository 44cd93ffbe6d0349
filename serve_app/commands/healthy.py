"""Whether every server here is ready: what the image's HEALTHCHECK asks, and `sluice ready`.

    python -m serve_app.commands.healthy

`sluice up` notes which servers it serves, in a file of its user's home. This reads the note and
asks each of them for `/ready`. Exit code 0: all say so; 1: one does not, or nothing answers. Docker
asks every few seconds, so nothing is imported here that takes time to load.
"""

import http.client
import json
import os
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_S = 3.0
# What `status_of` says where nothing answers.
NO_ANSWER = 0
READY = 200
DEFAULT_PORT = "8000"
MOST_AT_A_TIME = 16


def note_of(port: int | str) -> Path:
    """The file in which `sluice up` notes what it serves on this port."""
    return Path.home() / ".sluice" / f"up-{port}.json"


@contextmanager
def noted(port: int | str, urls: Mapping[str, str]) -> Iterator[None]:
    """Keep a note of the servers, name → URL, for a `with` block.

    Without a home that can be written to there is none, and `sluice ready` reads the file instead.
    """
    path = note_of(port)
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(json.dumps(dict(urls)))
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def read_note(port: int | str) -> dict[str, str]:
    """The servers that are noted, name → URL; empty where nothing is noted."""
    try:
        found = json.loads(note_of(port).read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): str(url) for name, url in found.items()} if isinstance(found, dict) else {}


def statuses(urls: Sequence[str]) -> list[int]:
    """Ask all servers at the same time; the HTTP status of each, or NO_ANSWER."""
    if not urls:
        return []
    with ThreadPoolExecutor(min(len(urls), MOST_AT_A_TIME)) as threads:
        return list(threads.map(status_of, urls))


def status_of(url: str, timeout_s: float = TIMEOUT_S) -> int:
    """The status of `/ready` below a URL.

    It is asked in plain HTTP first unless the URL says otherwise, and then by TLS: the port speaks
    that where `sluice up` was given a certificate, which names another host than the one asked
    here.
    """
    parts = urlsplit(url)
    host = parts.hostname or "127.0.0.1"
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    secure = http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)
    plain = http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
    for connection in (secure,) if parts.scheme == "https" else (plain, secure):
        try:
            connection.request("GET", parts.path.rstrip("/") + "/ready")
            return connection.getresponse().status
        except TimeoutError:
            # It speaks this, and is too busy; whoever asks waits no longer than this once.
            return NO_ANSWER
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return NO_ANSWER


def main() -> int:
    """The exit code. Docker knows 0 and 1 alone."""
    port = os.environ.get("SLUICE_PORT", DEFAULT_PORT)
    urls = read_note(port) or {"": f"http://127.0.0.1:{port}"}
    return 0 if all(status == READY for status in statuses(list(urls.values()))) else 1


if __name__ == "__main__":
    sys.exit(main())
