"""The route that says how the rows of today differ from those of training."""

from typing import Protocol

from fastapi import APIRouter
from starlette.requests import Request

from serve_app.access.auth import Auth
from serve_app.errors import NotReady, Unconfirmed
from serve_app.http.openapi import FAULTS
from serve_app.http.reasons import hidden, shows_reasons, without_places
from serve_app.http.routes.rollout import problems
from serve_app.monitoring.drift_view import DriftView

DRIFT = "/v1/drift"
DRIFT_TEXT = (
    "For each version that is loaded and each window, how rows and scores differ from training: "
    "the worst in a sentence each; of every field the PSI with its limit, and what is missing, out "
    "of range or unseen."
)


class DriftSource(Protocol):
    """What the route asks (`serve_app.monitoring.drift_view.DriftReader` in a server)."""

    async def drift(self) -> DriftView:
        """The view of now. Raises NotReady when the coordinator does not answer."""


def drift_router(source: DriftSource, auth: Auth) -> APIRouter:
    """`GET /v1/drift`; why counts are not kept is told to those who may see paths."""
    router = APIRouter(tags=["monitoring"], responses=FAULTS)

    @router.get(DRIFT, description=DRIFT_TEXT, responses=problems(401, 403, 503))
    async def drift(request: Request) -> DriftView:
        shows = shows_reasons(auth, request)
        try:
            found = await source.drift()
        except NotReady as error:
            raise Unconfirmed(error.detail if shows else without_places(error.detail)) from None
        return found if shows else found.model_copy(update={"detail": hidden(found.detail)})

    return router
