"""`/docs`: the page of Swagger UI, from this server alone, under a policy that names its script.

And `/openapi.json`, which it shows.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response

from serve_app.http.request import IncomingRequest
from serve_app.http.route import Route

DOCS = "/docs"
OPENAPI = "/openapi.json"
# Where fastapi_offline serves the parts of the page.
STATIC = "/static-offline-docs"
_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def docs_route(title: str) -> Route:
    """The route of `GET /docs`."""

    async def page(request: IncomingRequest) -> Response:
        root = request.scope.get("root_path", "")
        answer = get_swagger_ui_html(
            openapi_url=root + OPENAPI,
            title=f"{title} - Swagger UI",
            swagger_js_url=f"{root}{STATIC}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{STATIC}/swagger-ui.css",
            swagger_favicon_url=f"{root}{STATIC}/favicon.png",
        )
        answer.headers["Content-Security-Policy"] = _policy(bytes(answer.body))
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    return Route(DOCS, ("GET", "HEAD"), "open", handler=page)


def openapi_route(document: Callable[[], dict[str, Any]]) -> Route:
    """The route of `GET /openapi.json`; `document` gives the same object until it has changed.

    It is encoded once: that takes milliseconds where lists of choices are long, and anybody may
    ask.
    """
    kept: tuple[dict[str, Any], str] | None = None
    encoded = b""

    async def describe(request: IncomingRequest) -> Response:
        nonlocal kept, encoded
        found = document()
        root = request.scope.get("root_path", "").rstrip("/")
        if kept is None or kept[0] is not found or kept[1] != root:
            # Where it is served, as FastAPI says it.
            servers = {"servers": [{"url": root}]} if root else {}
            encoded = json.dumps(
                found | servers, ensure_ascii=False, separators=(",", ":")
            ).encode()
            kept = (found, root)
        return Response(encoded, media_type="application/json")

    return Route(OPENAPI, ("GET", "HEAD"), "open", handler=describe)


def _policy(page: bytes) -> str:
    """Scripts and requests of this server, and the one script that stands in the page itself.

    Swagger UI sets styles of elements, and has images in its own script.
    """
    digests = [b64encode(sha256(script).digest()).decode() for script in _INLINE.findall(page)]
    scripts = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
