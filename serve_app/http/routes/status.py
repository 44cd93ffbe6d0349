"""Routes that people and probes ask: alive, ready, what is served, and where everything is."""

from collections.abc import Mapping

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from serve_app.contract import ModelSpec
from serve_app.http.backend import Backend
from serve_app.http.openapi import FAULTS
from serve_app.serving.status import Description, Health, Readiness


class Links(BaseModel):
    """Where everything is."""

    model: str
    title: str
    links: dict[str, str]


def status_router(spec: ModelSpec, backend: Backend, paths: Mapping[str, str]) -> APIRouter:
    """The status routes, typed and documented by FastAPI itself; `paths` is what `/` links to."""
    router = APIRouter(tags=["status"], responses=FAULTS)

    @router.get("/health")
    async def health() -> Health:
        """Alive: the process answers."""
        return backend.health()

    @router.get(
        "/ready",
        responses={503: {"model": Readiness, "description": "The stable version does not answer"}},
    )
    async def ready(response: Response) -> Readiness:
        """Ready: the stable version answers now."""
        state = await backend.readiness()
        response.status_code = 200 if state.ready else 503
        return state

    # Some load balancers ask by HEAD; the server leaves the body out.
    router.add_api_route("/health", health, methods=["HEAD"], include_in_schema=False)
    router.add_api_route("/ready", ready, methods=["HEAD"], include_in_schema=False)

    @router.get("/v1/model")
    async def model() -> Description:
        """What is served: contract, versions with weights, metrics, hashes."""
        return backend.description()

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
