"""Two checks of the door: the path is what it looks like, and the caller may do what it asks for.

Both are made before a byte of the body is read. Who has no key cannot make a server read one, nor
learn from a 429 how busy it is; the check costs microseconds, less than to refuse later.
"""

from serve_app.access.auth import Auth
from serve_app.access.caller import Permission
from serve_app.errors import BadPath, KeyRequired, NotAllowed, NotFound
from serve_app.http.problems import NO_ROUTE
from serve_app.http.request import IncomingRequest
from serve_app.http.route import Route

KEY_HEADER = b"x-api-key"
FORCED = b"x-model-version"
# One answer for no key, an unknown id, a wrong secret and an expired key.
NO_KEY = "X-API-Key: expected a valid key, <id>.<secret>."


async def require_plain_path(request: IncomingRequest, route: Route) -> None:
    """Refuse a path that means another one, such as `/v1/%72ollout`. Raises BadPath.

    A gateway that lets paths through by their text would have read something else.
    """
    raw: bytes | None = request.scope.get("raw_path")
    if raw is not None and raw != request.scope["path"].encode("utf-8", "replace"):
        raise BadPath("The path is expected as it is documented, without percent-encoding.")


class KeyCheck:
    """Who asks, by the key in `X-API-Key`, and whether the route's scope is among theirs."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    async def look(self, request: IncomingRequest, route: Route) -> None:
        """Let the caller in. Raises KeyRequired, NotAllowed or NotFound."""
        caller = self._auth.caller(request.headers.get(KEY_HEADER, b""))
        request.let_in(caller)
        if route.scope == "open":
            # A probe with an old key is answered all the same.
            return
        if caller is None:
            raise KeyRequired(NO_KEY)
        needed = _needed(request, route)
        if needed in caller.scopes:
            return
        if not route.path:
            # Whoever may not reach what is undeclared is told what is true for them.
            raise NotFound(NO_ROUTE)
        what = "X-Model-Version" if needed != route.scope else "This route"
        raise NotAllowed(f"{what} takes a key with the scope {needed}.")


def _needed(request: IncomingRequest, route: Route) -> Permission:
    """The route's own scope; who names the version that answers goes past the rollout: admin."""
    if route.scope == "predict" and FORCED in request.headers:
        return "admin"
    return route.scope
