"""What the door has to know of a path."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel
from starlette.responses import Response

from serve_app.access.caller import Permission
from serve_app.errors import HttpError
from serve_app.http.problems import problem_response
from serve_app.http.request import IncomingRequest
from serve_app.settings import Limits

Handler = Callable[[IncomingRequest], Awaitable[Response]]


class Documented(NamedTuple):
    """What openapi.json says of a route that FastAPI does not have."""

    operation: dict[str, Any]
    # The models that the operation refers to.
    types: tuple[type[BaseModel], ...]


@dataclass(frozen=True)
class Route:
    """A path with its methods, and what the door has to know of it.

    `path` may hold parameters (`/v1/rollout/{command}`). `scope` is the permission that it takes.
    `handler` is None where FastAPI has the route; `document` describes the others.
    `write_error` writes what the door refuses and what `handler` raises. `is_work` marks what is
    refused with 429 when the server has enough to do.
    `max_body_kb` is the largest body, within the table's own limit; None: the door reads none.
    Raises ValueError for a writer of errors without a handler, because what FastAPI's own handlers
    raise is problem+json.
    """

    path: str
    methods: tuple[str, ...]
    scope: Permission
    handler: Handler | None = None
    write_error: Callable[[HttpError, str], Response] = problem_response
    is_work: bool = False
    max_body_kb: int | None = None
    document: Callable[[Limits], Documented] | None = None

    def __post_init__(self) -> None:
        """A route of FastAPI's would write its errors in two manners."""
        if self.handler is None and self.write_error is not problem_response:
            raise ValueError(
                f"{self.path}: found a writer of errors without a handler, expected both; write a "
                "handler, or leave the errors of FastAPI's route to problem+json"
            )


Check = Callable[[IncomingRequest, Route], Awaitable[None]]
