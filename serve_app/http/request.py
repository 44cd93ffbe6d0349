"""A request on its way to its handler: headers, id, and a body of bounded size and time."""

from functools import lru_cache

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from serve_app.access.caller import Caller
from serve_app.access.rates import Allowance
from serve_app.errors import BadHeader, BodyTooLarge, BodyTooSlow, UnsupportedMediaType
from serve_app.http.timeout import within
from serve_app.settings import Limits

MAX_KEY_LENGTH = 200
UTF_8 = ("utf-8", "utf8")
# Where FastAPI's routes find the caller: in ASGI's scope.
CALLER = "sluice.caller"


class IncomingRequest:
    """What the checks fill in and a handler reads.

    `limits` are those in force when the request came. `id` is set by the door's first check; `body`
    by the one that reads it, for routes that take a body.
    """

    __slots__ = (
        "_is_body_given",
        "allowance",
        "body",
        "caller",
        "headers",
        "id",
        "limits",
        "receive",
        "scope",
        "turn",
    )

    def __init__(self, scope: Scope, receive: Receive, limits: Limits) -> None:
        self.scope = scope
        self.receive = receive
        self.limits = limits
        # Reversed, so that the first one counts of a header that is sent twice.
        self.headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        self.id = ""
        # Nobody in particular, where the server asks for no keys.
        self.caller: Caller | None = None
        # None: no bound on the caller's rows, or a route that costs none.
        self.allowance: Allowance | None = None
        self.body = b""
        # The turn of the event loop in which it was last asked how much it has waited for.
        self.turn = -1
        self._is_body_given = False

    def header(self, name: bytes) -> str | None:
        """The value of a header; the name is in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def let_in(self, caller: Caller | None) -> None:
        """Note who asks, for the checks and handlers behind, FastAPI's too."""
        self.caller = caller
        self.scope[CALLER] = caller

    @property
    def routing_key(self) -> str:
        """Who is asking: the same key always gets the same version. Raises BadHeader."""
        key = self.header(b"x-routing-key")
        if key is None:
            return self.id
        if not 0 < len(key) <= MAX_KEY_LENGTH:
            raise BadHeader(f"X-Routing-Key: expected 1 to {MAX_KEY_LENGTH} characters.")
        return key

    @property
    def forced_version(self) -> str | None:
        """The version that the caller asks for, if any."""
        return self.header(b"x-model-version")

    def count_rows(self, n_rows: int) -> None:
        """Count this request's rows against the caller's rate. Raises RateLimited.

        The door has counted one; a handler of more says how many there are.
        """
        if self.allowance is not None:
            self.allowance.take_rest(n_rows)

    async def read_body(self, max_kb: int) -> None:
        """Read the body.

        Raises UnsupportedMediaType, BodyTooLarge, BodyTooSlow or ClientDisconnect.
        """
        self._check_declared(max_kb)
        timeout_s = self.limits.body_timeout_s
        try:
            self.body = await within(timeout_s, _received(self.receive, max_kb))
        except TimeoutError:
            raise BodyTooSlow(f"The whole body is expected within {timeout_s} s.") from None

    async def receive_again(self) -> Message:
        """ASGI's `receive` for an application that reads the body after the door has."""
        if self._is_body_given:
            return await self.receive()
        self._is_body_given = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    def _check_declared(self, max_kb: int) -> None:
        """What the headers say of the body is enough to refuse it before a byte is read."""
        if not _is_json(self.headers.get(b"content-type", b"")):
            raise UnsupportedMediaType(
                "The content type is expected to be application/json in UTF-8."
            )
        encoding = self.headers.get(b"content-encoding", b"")
        if encoding.strip().lower() not in (b"", b"identity"):
            raise UnsupportedMediaType(
                "Content-Encoding: found a compressed body, expected none; send the JSON as it is."
            )
        declared = self.headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared[:20]) > max_kb * 1024:
            raise _too_large(max_kb)


# Clients send a handful of different values; the bound is for those that make up new ones.
@lru_cache(maxsize=64)
def _is_json(content_type: bytes) -> bool:
    """Whether a Content-Type says JSON in UTF-8; a charset that is not said is UTF-8 (RFC 8259)."""
    kind, *parameters = content_type.decode("latin-1").lower().split(";")
    if kind.strip() != "application/json":
        return False
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in UTF_8:
            return False
    return True


async def _received(receive: Receive, max_kb: int) -> bytes:
    """The whole body. Raises BodyTooLarge, ClientDisconnect."""
    chunks: list[bytes] = []
    n_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        n_bytes += len(chunk)
        if n_bytes > max_kb * 1024:
            raise _too_large(max_kb)
        if not message.get("more_body", False):
            # Most bodies come as one message.
            return b"".join([*chunks, chunk]) if chunks else chunk
        chunks.append(chunk)


def _too_large(max_kb: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is expected to be at most {max_kb} KB.")
