"""Routes that people and probes ask: alive, ready, what is served, and where everything is."""

from collections.abc import Mapping

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from serve_app.access.auth import Auth
from serve_app.contract import ModelSpec
from serve_app.http.backend import Backend
from serve_app.http.openapi import FAULTS
from serve_app.http.reasons import shows_reasons
from serve_app.serving.status import Description, Health, Readiness, encoded, without_reasons


class Links(BaseModel):
    """Where everything is."""

    model: str
    title: str
    links: dict[str, str]


def status_router(
    spec: ModelSpec, backend: Backend, paths: Mapping[str, str], auth: Auth
) -> APIRouter:
    """The status routes, typed and documented by FastAPI itself; `paths` is what `/` links to.

    Why a version or a table cannot be used is told to those who may see it: paths of this machine
    stand in it.
    """
    router = APIRouter(tags=["status"], responses=FAULTS)

    @router.get("/health")
    async def health() -> Health:
        """Alive: the process answers."""
        return backend.health()

    @router.get(
        "/ready",
        responses={503: {"model": Readiness, "description": "The stable version does not answer"}},
    )
    async def ready(request: Request, response: Response) -> Readiness:
        """Ready: the stable version answers now."""
        found = await backend.readiness()
        state = found.model_copy(update={"keys_error": auth.error})
        response.status_code = 200 if state.ready else 503
        return state if shows_reasons(auth, request) else without_reasons(state)

    # Some load balancers ask by HEAD; the server leaves the body out.
    router.add_api_route("/health", health, methods=["HEAD"], include_in_schema=False)
    router.add_api_route("/ready", ready, methods=["HEAD"], include_in_schema=False)

    @router.get("/v1/model", response_model=Description)
    async def model(request: Request) -> Response:
        """What is served: contract, versions with weights, metrics, hashes."""
        found = backend.description()
        shown = found if shows_reasons(auth, request) else without_reasons(found)
        return Response(encoded(spec, shown), media_type="application/json")

    @router.get("/")
    async def links(request: Request) -> Links:
        """Where everything is."""
        root = request.scope.get("root_path", "")
        return Links(
            model=spec.name,
            title=spec.title,
            links={name: root + path for name, path in paths.items()},
        )

    return router
