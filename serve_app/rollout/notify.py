"""Tells the outside of a rollout's events: a webhook, one after another, retried and signed.

Headers and signature are those of Standard Webhooks 1.0 (github.com/standard-webhooks), so that
receivers have libraries for them. Nothing of a URL but its host, and nothing of a secret, is
logged: the path of a webhook is often a secret too.
"""

import asyncio
import base64
import binascii
import hmac
import json
import logging
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from urllib.parse import urlsplit

from serve_app.rollout.event import Event
from serve_app.rollout.log import Log
from serve_app.rollout.ongoing import Ongoing
from serve_app.rollout.sentence import sentence
from serve_app.rollout.state import fold
from serve_app.settings import Notify

logger = logging.getLogger(__name__)

# Six minutes in all: receivers are restarted and redeployed.
DELAYS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 60.0)
# Of one attempt, with connecting to it.
TIMEOUT_S = 10.0
# The oldest goes first: what happened last matters most.
MOST_WAITING = 100
# These pass, unlike other faults that are the sender's.
PASSING_STATUSES = frozenset({408, 425, 429})
BASE64_PREFIX = "whsec_"


@dataclass(frozen=True)
class Message:
    """One event on its way; `id` stays the same when it is sent again."""

    id: str
    to: Notify
    body: bytes

    @property
    def host(self) -> str:
        """What may be logged of the URL."""
        parts = urlsplit(self.to.url)
        return f"{parts.scheme}://{parts.hostname}"


@dataclass(frozen=True)
class Fault:
    """Why a message did not arrive, and whether sending it again may help."""

    reason: str
    may_pass: bool = True


class Notifier:
    """Sends what the coordinator of a model has written to its log.

    It has a task of its own: no decision waits for a receiver, or fails by one. What waits when a
    coordinator ends is not sent; the log has it.
    """

    def __init__(
        self,
        model: str,
        application: str,
        delays_s: Sequence[float] = DELAYS_S,
        timeout_s: float = TIMEOUT_S,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._model = model
        self._application = application
        self._delays_s = delays_s
        self._timeout_s = timeout_s
        self._environment = environment
        self._log: Log | None = None
        self._n_seen = 0
        self._waiting: deque[Message] = deque()
        self._task: asyncio.Task[None] | None = None

    def tell(self, ongoing: Ongoing) -> None:
        """Send what this coordinator has written since the last call; waits and raises nothing."""
        try:
            for event in self._new(ongoing.log):
                self._put(event, ongoing)
        except Exception:
            logger.exception("rollout %s: an event could not be told", ongoing.state.id)

    def stop(self) -> None:
        """Send no more; call it on the loop that `tell` was called on."""
        if self._task is not None:
            self._task.cancel()

    def _new(self, log: Log) -> list[Event]:
        """What was written under this coordinator's claim: others tell their own events."""
        if log is not self._log:
            self._log = log
            self._n_seen = 0
        new = [event for event in log.events[self._n_seen :] if event.epoch == log.epoch]
        self._n_seen = len(log.events)
        return new

    def _put(self, event: Event, ongoing: Ongoing) -> None:
        to = ongoing.plan.notify
        if to is None or event.kind not in to.events:
            return
        state = fold(ongoing.log.events[: event.seq])
        said = sentence(state, ongoing.plan, event.at_s, "", is_out=False)
        told = {
            "model": self._model,
            "application": self._application,
            "sentence": said,
            "event": event.model_dump(mode="json"),
        }
        # Another application, or a log that was begun anew, tells other events under these numbers.
        where = f"{self._application}-{self._model}-{event.rollout}-{event.seq}"
        message_id = f"{where}-{int(event.at_s)}"
        message = Message(message_id, to, json.dumps(told, ensure_ascii=False).encode())
        if len(self._waiting) >= MOST_WAITING:
            _say_dropped(self._waiting.popleft(), f"{MOST_WAITING} newer ones wait")
        self._waiting.append(message)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._send_all())

    async def _send_all(self) -> None:
        while self._waiting:
            message = self._waiting.popleft()
            try:
                await self._send(message)
            except Exception:
                logger.exception("event %s was not told to %s", message.id, message.host)

    async def _send(self, message: Message) -> None:
        """Try until it arrives, or it is no use."""
        for delay_s in (*self._delays_s, None):
            fault = await self._attempt(message)
            if fault is None:
                logger.info("event %s is told to %s", message.id, message.host)
                return
            if delay_s is None or not fault.may_pass:
                _say_dropped(message, fault.reason)
                return
            said = "event %s is not told to %s yet (%s); again in %g s"
            logger.warning(said, message.id, message.host, fault.reason, delay_s)
            await asyncio.sleep(delay_s)

    async def _attempt(self, message: Message) -> Fault | None:
        # Only a coordinator whose plan has `notify` pays for the import, in a thread: it takes a
        # tenth of a second, in which no report would be heard.
        await asyncio.to_thread(import_module, "aiohttp")
        import aiohttp

        name = message.to.secret_env
        secret = self._environment.get(name, "") if name else ""
        if name and not secret:
            return Fault(f"the coordinator's environment has no {name}", may_pass=False)
        try:
            headers = headers_of(message.id, int(time.time()), message.body, secret)
        except ValueError:
            reason = f"{name} begins with {BASE64_PREFIX}, and the rest is no base64"
            return Fault(reason, may_pass=False)
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                # Another address has not been asked for, and must not get the signature.
                session.post(
                    message.to.url, data=message.body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                return _fault_of(answer.status)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Its text may hold the URL.
            return Fault(type(error).__name__)


def headers_of(message_id: str, at_s: int, body: bytes, secret: str) -> dict[str, str]:
    """Return the headers of an attempt; without a secret it is not signed.

    `at_s` is when it is made, since 1970. A secret that begins with `whsec_` is base64 after that,
    any other is taken as it is. Raises ValueError.
    """
    headers = {
        "content-type": "application/json",
        "user-agent": "sluice",
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
    }
    if secret:
        signed = b".".join([message_id.encode(), str(at_s).encode(), body])
        digest = hmac.digest(_key(secret), signed, sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def _key(secret: str) -> bytes:
    if not secret.startswith(BASE64_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(BASE64_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("no base64") from None


def _fault_of(status: int) -> Fault | None:
    if 200 <= status < 300:
        return None
    return Fault(f"status {status}", may_pass=status >= 500 or status in PASSING_STATUSES)


def _say_dropped(message: Message, reason: str) -> None:
    said = "event %s is not told to %s (%s); it stands in the log of the rollout"
    logger.error(said, message.id, message.host, reason)
