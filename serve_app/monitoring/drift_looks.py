"""How the rows of a server's versions differ from training now, for whoever must not wait."""

import asyncio
import logging
from typing import Protocol

from serve_app.errors import HttpError
from serve_app.monitoring.drift_view import DriftView

logger = logging.getLogger(__name__)

# Windows change slowly, and each look asks the coordinator for all sums.
PERIOD_S = 60.0


class Reader(Protocol):
    """Compares what was counted with training (`drift_view.DriftReader`)."""

    async def drift(self) -> DriftView:
        """How rows differ now. Raises NotReady."""


class DriftLooks:
    """Keeps what the reader said last; None while the coordinator does not answer."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._trouble = ""
        self.latest: DriftView | None = None

    async def look(self) -> None:
        """Ask once. Never raises."""
        try:
            self.latest = await self._reader.drift()
            self._trouble = ""
        except Exception as error:
            self.latest = None
            said = error.detail if isinstance(error, HttpError) else repr(error)
            if said != self._trouble:
                logger.warning("drift: the metrics know nothing of it: %s", said)
            self._trouble = said

    async def look_forever(self) -> None:
        """Ask once a minute until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD_S)
