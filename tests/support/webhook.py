"""A webhook of a test's own: a real HTTP server that keeps what it is told."""

import base64
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from answering import QuietHandler, answering

# What every cluster of the tests has in its environment.
SECRET_ENV = "WEBHOOK_SECRET"
SECRET = "correct horse battery staple"
PATH = "/hooks/s3cret-path"


@dataclass
class Webhook:
    """Where it listens, what it answers (the last for all that follow), and what came, in order."""

    url: str
    statuses: list[int] = field(default_factory=lambda: [204])
    hangs: bool = False
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def told(self) -> list[dict[str, Any]]:
        """The bodies."""
        return [json.loads(body) for _, body in self.heard]

    @property
    def kinds(self) -> list[str]:
        """The kinds of the events that came."""
        return [told["event"]["kind"] for told in self.told]

    def next_status(self) -> int:
        """What it answers now."""
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """One that listens on a free port."""
    is_over = threading.Event()

    class Handler(QuietHandler):
        def respond(self) -> None:
            body = self.body()
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.heard.append((headers, body))
            if receiver.hangs:
                is_over.wait(60)
                return
            self.answer(receiver.next_status(), headers={"location": "/elsewhere"})

    with answering(Handler) as url:
        receiver = Webhook(url + PATH)
        try:
            yield receiver
        finally:
            is_over.set()


def signature_of(headers: dict[str, str], body: bytes) -> str:
    """The signature that a receiver with our secret expects."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.digest(SECRET.encode(), signed, sha256)
    return f"v1,{base64.b64encode(digest).decode()}"
