"""Routes for the people who run a rollout: how far it is, and their commands."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Protocol, get_args

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from serve_app.access.auth import Auth
from serve_app.access.caller import Caller
from serve_app.contract.plain_text import PLAIN_PATTERN
from serve_app.errors import BadCommand, FieldError, NoRollout, NotReady, Unconfirmed
from serve_app.http.openapi import FAULTS
from serve_app.http.problems import MEDIA_TYPE, Problem
from serve_app.http.reasons import rollout_without_reasons, shows_reasons, without_places
from serve_app.http.request import CALLER
from serve_app.rollout.command import CommandName
from serve_app.rollout.view import RolloutView, Unknown

MAX_BODY_KB = 4
COMMAND_ID = "command_v1_rollout__command__post"
ROLLOUT_TEXT = (
    "How far the rollout is, what it waits for, the evidence next to its limits, "
    "and every decision so far."
)
COMMAND_TEXT = (
    "`promote`: 100 % as soon as the candidate is ready; `step`: the next step likewise; `out`: 0 "
    "% now, in every state, as often as you like; `start`: again, from the first step."
)
ACTIONS: tuple[CommandName, ...] = get_args(CommandName)
COMMANDED = {
    "operationId": COMMAND_ID,
    "parameters": {"command": "$response.body#/commands/0"},
    "description": "`commands` lists what can be commanded now.",
}


class Command(BaseModel):
    """Who commands, and why: both stand in the log."""

    model_config = ConfigDict(strict=True, extra="forbid")

    by: Annotated[str, Field(min_length=1, max_length=100, pattern=PLAIN_PATTERN)] = "http"
    reason: Annotated[str, Field(max_length=500, pattern=PLAIN_PATTERN)] = ""


class Operator(Protocol):
    """What the routes ask (the coordinator, under Ray)."""

    async def view(self) -> RolloutView | Unknown:
        """How far the rollout is. Raises NotReady when the coordinator does not answer."""

    async def command(self, action: CommandName, by: str, reason: str) -> RolloutView | Unknown:
        """Carry out a command. Raises CommandRefused, NoRollout or NotReady."""


def rollout_router(operator: Operator, auth: Auth) -> APIRouter:
    """`GET /v1/rollout` and `POST /v1/rollout/{command}`.

    Where logs, stores and tables lie is told to those who may see paths of this machine.
    """
    router = APIRouter(tags=["rollout"], responses=FAULTS)

    async def told(
        request: Request, found: Callable[[], Awaitable[RolloutView | Unknown]]
    ) -> RolloutView:
        shows = shows_reasons(auth, request)
        try:
            view = await _known(found)
        except NotReady as error:
            # A coordinator that is not ready is told from a version that is not.
            raise Unconfirmed(error.detail if shows else without_places(error.detail)) from None
        except NoRollout as error:
            raise error if shows else NoRollout(without_places(error.detail)) from None
        return view if shows else rollout_without_reasons(view)

    @router.get(
        "/v1/rollout",
        description=ROLLOUT_TEXT,
        responses=problems(401, 403, 404, 503),
        openapi_extra={"responses": {"200": {"links": {"command": COMMANDED}}}},
    )
    async def rollout(request: Request) -> RolloutView:
        return await told(request, operator.view)

    @router.post(
        "/v1/rollout/{command}",
        operation_id=COMMAND_ID,
        description=COMMAND_TEXT,
        responses=problems(400, 401, 403, 404, 408, 409, 413, 415, 422, 503),
        openapi_extra={"requestBody": _body(), "parameters": [_path_parameter()]},
    )
    async def command(request: Request) -> RolloutView:
        action = next((known for known in ACTIONS if known == request.path_params["command"]), None)
        if action is None:
            raise BadCommand(f"There is no such command; expected one of {', '.join(ACTIONS)}.")
        order = _read(await request.body())
        by = _signed(order.by, request.scope.get(CALLER))
        return await told(request, partial(operator.command, action, by, order.reason))

    return router


def _signed(by: str, caller: Caller | None) -> str:
    """Who commands, as they say, and whose key it was, as we know."""
    return by if caller is None else f"{by} (key {caller.id})"


async def _known(asked: Callable[[], Awaitable[RolloutView | Unknown]]) -> RolloutView:
    """What the coordinator says. Raises NoRollout or NotReady where it knows no rollout."""
    found = await asked()
    if isinstance(found, RolloutView):
        return found
    raise NoRollout(found.detail) if found.status == "none" else NotReady(found.detail)


def _read(body: bytes) -> Command:
    try:
        return Command.model_validate_json(body or b"{}")
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)[:5]
        known = Command.model_fields
        fields = tuple(
            FieldError(
                field=name if name in known else "",
                reason="cannot be used",
                allowed=f"text without control characters: {', '.join(known)}",
            )
            for name in (str(fault["loc"][0]) if fault["loc"] else "" for fault in faults)
        )
        raise BadCommand(
            "The body is expected to be {} or an object of `by` and `reason`.", errors=fields
        ) from None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What openapi.json says of errors of a route that asks the coordinator.

    Documented with their own media type: FastAPI's `model` would say application/json.
    """
    schema = {"$ref": "#/components/schemas/" + Problem.__name__}
    texts = {
        400: "A percent-encoded path",
        401: "No valid API key",
        403: "The key's scopes do not include admin",
        404: "No rollout",
        408: "The body did not come in time",
        409: "It does not fit how far the rollout is",
        413: "Body too large",
        415: "Not application/json",
        422: "No such command, or a body that is none",
        503: "The coordinator does not answer, or knows no rollout yet",
    }
    return {
        status: {"description": texts[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def _body() -> dict[str, Any]:
    schema = Command.model_json_schema()
    example = {"by": "ada", "reason": "support tickets went up"}
    return {
        "required": True,
        "content": {"application/json": {"schema": schema, "example": example}},
    }


def _path_parameter() -> dict[str, Any]:
    return {
        "name": "command",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": list(ACTIONS)},
    }
