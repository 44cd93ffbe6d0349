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
    """Reads the file once a minute, and writes it where something was counted.

    `open_objects` opens the store, and `folder` is where the file lies in it. A kill loses a minute
    at most. What another coordinator wrote meanwhile is gone on from (`FileTurns`). As long as
    the file cannot be read, it is not written either: it is not lost, and `windows.trouble` says
    why.
    """

    def __init__(
        self, windows: DriftWindows, open_objects: Callable[[], Objects], folder: str
    ) -> None:
        self._windows = windows
        self._open = open_objects
        self._key = f"{folder}/{FILE}"
        self._objects: Objects | None = None
        self._keeping = asyncio.Lock()

    async def keep_forever(self) -> None:
        """Keep once a minute until cancelled."""
        while True:
            await self.keep()
            await asyncio.sleep(PERIOD_S)

    async def keep(self) -> None:
        """Read the file, and write it if there is something new. Never raises."""
        async with self._keeping:
            await self._keep()

    async def _keep(self) -> None:
        try:
            await self._read_and_write()
        except Exception as error:
            # Whatever is wrong with the store, the windows go on.
            kind = error.kind if isinstance(error, ObjectFault) else str(error)
            self._windows.trouble = f"the counts are not kept in {self._key}: {kind}"
            logger.warning("drift: %s", self._windows.trouble)
            return
        self._windows.trouble = ""

    async def _read_and_write(self) -> None:
        turns = self._windows.turns
        stored = await asyncio.to_thread(self._read)
        is_news = turns.is_news(stored)
        if stored is not None and is_news:
            try:
                self._windows.go_on(await asyncio.to_thread(decode, stored))
            except ValueError as error:
                # It says nothing any more: the next write replaces it.
                logger.warning("drift: %s: %s; what is known here stays", self._key, error)
            turns.took(stored)
        # Since when rows are counted is kept before there are any.
        if turns.has_more or stored is None:
            dumped = self._windows.dump()
            turns.take()
            data = await asyncio.to_thread(encode, dumped)
            turns.sending(data)
            await asyncio.to_thread(self._replace, data)
            turns.arrived()

    def _read(self) -> bytes | None:
        self._objects = self._objects or self._open()
        try:
            return self._objects.get(self._key, MOST_BYTES)
        except NoSuchObject:
            return None

    def _replace(self, data: bytes) -> None:
        assert self._objects is not None
        self._objects.replace(self._key, data)
