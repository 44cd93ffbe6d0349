"""What was counted outlives the coordinator: one small file next to the logs of rollouts."""

import asyncio
import logging
from collections.abc import Callable

from serve_app.bundle.objects import NoSuchObject, ObjectFault, Objects
from serve_app.monitoring.drift_windows import DriftWindows, decode, encode

logger = logging.getLogger(__name__)

PERIOD_S = 60.0
FILE = "drift.npz"
MOST_BYTES = 256 * 1024 * 1024


class DriftKeeper:
    """Reads the file once, and writes it then, and each minute in which something was counted.

    `open_objects` opens the store, and `folder` is where the file lies in it. A kill loses a minute
    at most. As long as the file cannot be read, it is not written either: it is not lost, and
    `windows.trouble` says why.
    """

    def __init__(
        self, windows: DriftWindows, open_objects: Callable[[], Objects], folder: str
    ) -> None:
        self._windows = windows
        self._open = open_objects
        self._key = f"{folder}/{FILE}"
        self._objects: Objects | None = None
        self._is_restored = False
        # Fewer than ever: since when rows are counted is kept before there are any.
        self._n_kept = -1
        self._keeping = asyncio.Lock()

    async def keep_forever(self) -> None:
        """Keep once a minute until cancelled."""
        while True:
            await self.keep()
            await asyncio.sleep(PERIOD_S)

    async def keep(self) -> None:
        """Read the file if that was not done, write it if there is something new. Never raises."""
        async with self._keeping:
            await self._keep()

    async def _keep(self) -> None:
        try:
            if not self._is_restored:
                await self._restore()
            elif self._windows.n_heard != self._n_kept:
                await self._write()
        except Exception as error:
            # Whatever is wrong with the store, the windows go on.
            kind = error.kind if isinstance(error, ObjectFault) else str(error)
            self._windows.trouble = f"the counts are not kept in {self._key}: {kind}"
            logger.warning("drift: %s", self._windows.trouble)
            return
        self._windows.trouble = ""

    async def _restore(self) -> None:
        data = await asyncio.to_thread(self._read)
        if data is not None:
            try:
                self._windows.restore(decode(data))
            except ValueError as error:
                # It says nothing any more: the next write replaces it.
                logger.warning("drift: %s: %s; counting starts again", self._key, error)
        self._is_restored = True

    def _read(self) -> bytes | None:
        self._objects = self._objects or self._open()
        try:
            return self._objects.get(self._key, MOST_BYTES)
        except NoSuchObject:
            return None

    async def _write(self) -> None:
        n_heard = self._windows.n_heard
        dumped = self._windows.dump()
        await asyncio.to_thread(lambda: self._replace(encode(dumped)))
        self._n_kept = n_heard

    def _replace(self, data: bytes) -> None:
        assert self._objects is not None
        self._objects.replace(self._key, data)
