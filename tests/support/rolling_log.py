"""What the tests of a log write into it, and where it lies."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from answering import QuietHandler
from rolling import PLAN, START_S

from serve_app.rollout.command import Action, command
from serve_app.rollout.decide import claim
from serve_app.rollout.event import Draft, Event
from serve_app.rollout.log import Log, open_log
from serve_app.rollout.state import fold

FOLDER = f"churn/shop/{PLAN.id}"
REASON = "why: §1 \n ✓"
FIRST = "00000001.json"
SECOND = "00000002.json"
THIRD = "00000003.json"
FOURTH = "00000004.json"


def claiming(events: Sequence[Event]) -> Draft:
    """Draft what a coordinator claims with."""
    return claim(fold(events), PLAN)


def next_draft(log: Log) -> Draft:
    """Draft an event that can always follow: a pause, or the end of one."""
    state = fold(log.events)
    action: Action = "resume" if state.status == "paused" else "pause"
    return command(state, PLAN, action, "ada", REASON)


def written(tmp_path: Path) -> Path:
    """Write a log with three events, and return its folder."""
    log = open_log(str(tmp_path), "churn", "shop", PLAN.id)
    log.claim(claiming, START_S)
    log.append(next_draft(log), START_S)
    log.append(next_draft(log), START_S)
    return tmp_path / FOLDER


class S3(QuietHandler):
    """Answers what the log asks of S3: PUT with If-None-Match, GET, and a listing."""

    protocol_version = "HTTP/1.1"
    # An answer goes out in one packet.
    wbufsize = -1
    objects: ClassVar[dict[str, bytes]] = {}
    put_headers: ClassVar[list[str | None]] = []
    # Of so many PUTs the object is stored, and the client is told 500.
    lost_answers: ClassVar[int] = 0

    def respond(self) -> None:
        """By the method."""
        return self.put() if self.command == "PUT" else self.get()

    def put(self) -> None:
        """Store an object; with If-None-Match only where none is."""
        body = self.body()
        condition = self.headers["If-None-Match"]
        self.put_headers.append(condition)
        # `setdefault` is one step, so that of two threads only one finds the place free.
        if condition == "*" and self.objects.setdefault(self.path, body) is not body:
            return self.say(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        self.objects[self.path] = body
        if S3.lost_answers:
            S3.lost_answers -= 1
            return self.say(500)
        return self.say(200)

    def get(self) -> None:
        """Answer with an object, or with the list of all."""
        path, _, query = self.path.partition("?")
        if query:
            return self.say(200, self.listing())
        if path not in self.objects:
            return self.say(404)
        return self.say(200, self.objects[path])

    def listing(self) -> bytes:
        """Return the list of all objects as S3 writes it."""
        modified = "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        entries = [
            f"<Contents><Key>{key.removeprefix('/bucket/')}</Key><Size>1</Size>{modified}</Contents>"
            for key in self.objects
        ]
        found = "".join(entries)
        return f"<ListBucketResult><Name>bucket</Name>{found}</ListBucketResult>".encode()

    def say(self, status: int, body: bytes = b"") -> None:
        """Answer with the headers that a client of S3 expects."""
        headers = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        self.answer(status, body, headers)
