"""What the routes and the door ask of the rooms below."""

from collections.abc import Sequence
from typing import Protocol

from serve_app.contract import Features
from serve_app.serving.answer import Answered
from serve_app.serving.status import Description, Health, Readiness
from serve_app.settings import Limits


class Backend(Protocol):
    """A model that answers (`serve_app.serving.router.Router` in a server)."""

    @property
    def limits(self) -> Limits:
        """What is accepted now."""

    @property
    def rows_under_way(self) -> int:
        """Rows that were given to `predict` and are not answered yet."""

    @property
    def answers_at_once(self) -> bool:
        """Whether a prediction waits for nothing now: no other process, no batch to fill."""

    async def predict(
        self,
        rows: Sequence[Features],
        routing_key: str,
        forced: str | None,
        positions: Sequence[int] | None = None,
    ) -> Answered:
        """All rows answered by one version, each under its own prediction id. Raises an HttpError.

        `positions` are the rows' places in a batch; None for a single row.
        """

    def health(self) -> Health:
        """Say that the server is alive."""

    async def readiness(self) -> Readiness:
        """Whether stable answers now."""

    def description(self) -> Description:
        """Contract, versions, metrics, hashes."""
