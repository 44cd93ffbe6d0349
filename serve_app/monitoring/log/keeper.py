"""What happens to parts that are finished: they are put to their place, and forgotten in the end.

In a thread of its own, since a store may take seconds: writing goes on meanwhile.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from serve_app.errors import PredictionLogError
from serve_app.monitoring.log.part import OPEN, begin_of, recover
from serve_app.monitoring.log.place import LogPlace
from serve_app.monitoring.log.spool_room import bytes_below

logger = logging.getLogger(__name__)

FORGET_EVERY_S = 3_600.0


class Keeper:
    """Keeps the log of one application tidy.

    `keep_days` may change. It is None as long as there is no table: then nothing is forgotten.
    `n_waiting_bytes` is what parts took on this node at the last look, those of other logs too.
    """

    def __init__(
        self,
        place: LogPlace,
        model: str,
        application: str,
        keep_days: Callable[[], int | None],
    ) -> None:
        self.spool = place.spool(model, application)
        self.n_waiting_bytes = 0
        self._place = place
        self._owner = (model, application)
        self._keep_days = keep_days
        self._forget_again_s = 0.0
        self._is_told = False

    def make_spool(self) -> Path:
        """The folder for parts, made where it is missing. Raises PredictionLogError and OSError."""
        return self._place.make_spool(*self._owner)

    def look(self, now_s: float) -> None:
        """Finish what was left behind, put what is finished, and forget what is old."""
        try:
            self._recover(now_s)
            self.put_finished()
            self._forget(now_s)
            self._is_told = False
        except (PredictionLogError, OSError) as error:
            # Once for each outage: it is tried again every few seconds.
            if not self._is_told:
                logger.warning("prediction log: %s; parts wait in %s", error, self.spool)
            self._is_told = True
        self.n_waiting_bytes = bytes_below(self._place.waiting(*self._owner))

    def put_finished(self) -> None:
        """Put all finished parts of the spool. Raises PredictionLogError."""
        for path in self._inside():
            if begin_of(path.name) and not path.name.endswith(OPEN):
                self._place.put(*self._owner, path)

    def _forget(self, now_s: float) -> None:
        """Delete what is too old, once an hour. Raises PredictionLogError."""
        keep_days = self._keep_days()
        if keep_days is None or time.monotonic() < self._forget_again_s:
            return
        self._place.forget(
            *self._owner, before=datetime.fromtimestamp(now_s, UTC) - timedelta(keep_days)
        )
        self._forget_again_s = time.monotonic() + FORGET_EVERY_S

    def _recover(self, now_s: float) -> None:
        for path in self._inside():
            if path.name.endswith(OPEN):
                # Another server may recover it too.
                with suppress(FileNotFoundError):
                    recover(path, now_s)

    def _inside(self) -> list[Path]:
        return sorted(self.spool.iterdir()) if self.spool.is_dir() else []
