"""What headers may hold: the id and the bytes of a request, and what every answer says.

The list of an answer is what OWASP's REST Security Cheat Sheet asks of an API that serves no pages
(docs/decisions/025). The page of /docs has a policy of its own, under which its scripts may run.
"""

import logging
import re
from collections.abc import Iterable
from random import Random

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.errors import BadHeader

logger = logging.getLogger(__name__)

Header = tuple[bytes, bytes]

ID_HEADER = b"x-request-id"
ALWAYS: tuple[Header, ...] = (
    # A caller's answer is nobody else's, and is about people.
    (b"cache-control", b"no-store"),
    # A browser that is made to show an answer as a page runs nothing of it, in no frame.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
# They tell requests apart and nothing else: to ask the system for each would be a call into the
# kernel, a fiftieth of what a request costs.
_IDS = Random()
_PLAIN_NAME = re.compile(rb"[A-Za-z0-9-]{1,64}")


def kept_id(given: bytes | None) -> str | None:
    """A client's own id, where it can stand in answers and logs as it is."""
    if given is None or _ID.fullmatch(given) is None:
        return None
    return given.decode()


def new_id() -> str:
    """An id for a request that came without one, or with one that cannot be kept."""
    return f"{_IDS.getrandbits(128):032x}"


def require_text(headers: Iterable[Header], request_id: str) -> None:
    """Refuse bytes that are no text, and log it. Raises BadHeader.

    Ray and handlers read some headers as UTF-8: such bytes would be a 500 there.
    """
    values = b"\n".join([value for _, value in headers])
    if values.isascii():
        return
    for name, value in headers:
        try:
            value.decode()
        except UnicodeDecodeError:
            shown = name.decode("ascii") if _PLAIN_NAME.fullmatch(name) else "A header"
            logger.warning("request %s was refused: header %s is not UTF-8", request_id, shown)
            raise BadHeader(f"{shown}: found bytes that are not UTF-8.") from None


def guard(headers: list[Header]) -> None:
    """Add what every answer says, where it does not say so itself."""
    names = [name for name, _ in headers]
    headers.extend([header for header in ALWAYS if header[0] not in names])


class Guarded:
    """ASGI: the answers of an application with the headers of every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of ASGI."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                guard(headers)
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, guarded)
