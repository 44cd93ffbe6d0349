"""How many predictions Ray's proxy of plain mode has under way, and who waits instead.

That proxy is one process in Python. What it takes on beyond its processor waits in it, unseen by
the servers, whose own limits then come too late. And whoever is told to come again, and does so at
once, costs it as much as those that it has let in: docs/decisions/031-room-in-rays-proxy.md.
"""

import asyncio
from collections import Counter
from random import random
from time import monotonic

from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.errors import Overloaded
from serve_app.http.edge import finish
from serve_app.http.headers import ID_HEADER
from serve_app.http.held import HeldBack
from serve_app.http.problems import problem_response

PREDICTIONS = ("/predict", "/predict/batch")
MOST_UNDER_WAY = 16
RETRY_AFTER_S = 1
# In the scope of a request that came before it was told to.
TOO_EARLY = "sluice.too_early"

# Address and port of a client's end of a connection.
Client = tuple[str | int, ...]


class Admitted:
    """Hands predictions on while there is room, and answers 429 to the others.

    Each path has room of its own: a slow model keeps no other one out. The first 429 of a
    connection comes at once. Where its next request comes before it was told to, and there is no
    room either, the 429 comes when that time is over. All requests are held back until their bodies
    are there: one that is half sent takes no room.
    """

    def __init__(self, app: ASGIApp, most: int = MOST_UNDER_WAY) -> None:
        self._app = app
        self._held = HeldBack(self._hand_on)
        self._most = most
        # By path; of one that nobody asks now there is nothing.
        self._n_under_way: Counter[str] = Counter()
        # When a connection may ask again, in the order in which they were told; the oldest are
        # forgotten when their time is over.
        self._told: dict[Client, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of ASGI."""
        # Its body is not read meanwhile: ten thousand that wait would hold gigabytes.
        if _is_prediction(scope) and self._is_full(scope) and await self._was_early(scope):
            scope[TOO_EARLY] = True
        await self._held(scope, receive, send)

    def _is_full(self, scope: Scope) -> bool:
        return self._n_under_way[scope["path"]] >= self._most

    async def _was_early(self, scope: Scope) -> bool:
        """Wait for the time at which this connection may ask; False where that is over already."""
        early_s = self._told.pop(_client(scope), 0.0) - monotonic()
        if early_s <= 0:
            return False
        # Those who were told together would come together, again and again.
        await asyncio.sleep(early_s + RETRY_AFTER_S * random())
        return True

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_prediction(scope):
            await self._app(scope, receive, send)
            return
        if self._is_full(scope) or TOO_EARLY in scope:
            await self._refuse(scope, receive, send)
            return
        path = scope["path"]
        self._n_under_way[path] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._n_under_way[path] -= 1
            if not self._n_under_way[path]:
                del self._n_under_way[path]

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._remember(_client(scope))
        error = Overloaded(
            f"{self._most} predictions of this model are under way here, as many as there may be.",
            retry_after_s=RETRY_AFTER_S,
        )
        # The edge has put it there.
        request_id = dict(scope["headers"])[ID_HEADER].decode()
        response = problem_response(error, request_id)
        finish(response, request_id)
        await response(scope, receive, send)

    def _remember(self, client: Client) -> None:
        now_s = monotonic()
        while self._told:
            oldest = next(iter(self._told))
            if self._told[oldest] > now_s:
                break
            del self._told[oldest]
        # A connection that is no network's cannot be told from others of its kind.
        if client:
            self._told[client] = now_s + RETRY_AFTER_S


def _is_prediction(scope: Scope) -> bool:
    return scope["type"] == "http" and str(scope["path"]).endswith(PREDICTIONS)


def _client(scope: Scope) -> Client:
    return tuple(scope["client"] or ())
