"""The route that says how the rows of today differ from those of training."""

from typing import Protocol

from fastapi import APIRouter

from serve_app.errors import NotReady, Unconfirmed
from serve_app.http.openapi import FAULTS
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


def drift_router(source: DriftSource) -> APIRouter:
    """`GET /v1/drift`."""
    router = APIRouter(tags=["monitoring"], responses=FAULTS)

    @router.get(DRIFT, description=DRIFT_TEXT, responses=problems(401, 403, 503))
    async def drift() -> DriftView:
        try:
            return await source.drift()
        except NotReady as error:
            raise Unconfirmed(error.detail) from None

    return router
