"""What is taken from a request before its body is parsed: bytes within a limit, and two headers."""

import secrets

from starlette.requests import Request

from serve_app.errors import BadHeader, BodyTooLarge, UnsupportedMediaType
from serve_app.http.problems import request_id_of

MAX_KEY_LENGTH = 200


async def read_body(request: Request, max_kb: int) -> bytes:
    """The body, refused before it is parsed when it is not JSON or over the limit."""
    kind, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    if kind.strip() != "application/json" or (
        "charset" in parameters and "utf-8" not in parameters
    ):
        raise UnsupportedMediaType("The content type is expected to be application/json in UTF-8.")
    limit = max_kb * 1024
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:20]) > limit:
        raise _too_large(max_kb)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(max_kb)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(max_kb: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is expected to be at most {max_kb} KB.")


def routing_key(request: Request) -> str:
    """Who is asking: the same key always gets the same version."""
    key = request.headers.get("x-routing-key")
    if key is None:
        return request_id_of(request) or secrets.token_hex(16)
    if not 0 < len(key) <= MAX_KEY_LENGTH:
        raise BadHeader(f"X-Routing-Key: expected 1 to {MAX_KEY_LENGTH} characters.")
    return key


def forced_version(request: Request) -> str | None:
    """The version that the caller asks for, if any."""
    return request.headers.get("x-model-version")
