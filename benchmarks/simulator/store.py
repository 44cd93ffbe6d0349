"""The store of the rollouts' logs: in memory, and as bad as a scenario wants it."""

import random
from collections.abc import Callable
from typing import Literal

from benchmarks.simulator.loop import running_loop
from serve_app.bundle.objects import NoSuchObject, ObjectExists, ObjectFault, ObjectTooLarge

# away: refuses connections. slow: answers late. silent: no answer until the client gives up, though
# half of what was to be written is there. refusing: no permission. full: can be read only.
StoreState = Literal["well", "away", "slow", "silent", "refusing", "full"]

CALL_S = 0.005
# What the client of object stores takes: RETRY_S and TIMEOUT_S of serve_app.rollout.log.
GIVES_UP_AWAY_S = 5.0
GIVES_UP_SILENT_S = 30.0
SLOW_S = 8.0


class SimulatedObjects:
    """Bytes by key, with the calls of serve_app.bundle.objects.Objects that a log makes.

    `created(key, data)` is told of each object that is put.
    """

    def __init__(self, rng: random.Random, created: Callable[[str, bytes], None]) -> None:
        self._rng = rng
        self._created = created
        self._data: dict[str, bytes] = {}
        self.state: StoreState = "well"

    def get(self, key: str, most_bytes: int) -> bytes:
        """The bytes under a key, which are no more than this."""
        self._wait()
        if key not in self._data:
            raise NoSuchObject(key)
        found = self._data[key]
        if len(found) > most_bytes:
            raise ObjectTooLarge(key, len(found))
        return found

    def create(self, key: str, data: bytes) -> None:
        """Put bytes where nothing is."""
        comes_through = self.state == "silent" and self._rng.random() < 0.5
        if comes_through and key not in self._data:
            self._put(key, data)
        self._wait(is_write=True)
        if key in self._data:
            raise ObjectExists(key)
        self._put(key, data)

    def inside(self, folder: str) -> list[str]:
        """The keys directly in a folder."""
        self._wait()
        return [key for key in self._data if key.rpartition("/")[0] == folder]

    def _put(self, key: str, data: bytes) -> None:
        self._data[key] = data
        self._created(key, data)

    def _wait(self, *, is_write: bool = False) -> None:
        """Take the time that a call takes now; raise where it gets no answer."""
        spend = running_loop().spend
        match self.state:
            case "away":
                spend(GIVES_UP_AWAY_S)
                raise ObjectFault("ConnectError")
            case "silent":
                spend(GIVES_UP_SILENT_S)
                raise ObjectFault("TimeoutError")
            case "refusing":
                spend(CALL_S)
                raise ObjectFault("PermissionDeniedError", is_permission=True)
            case "full" if is_write:
                spend(CALL_S)
                raise ObjectFault("OSError")
            case "slow":
                spend(SLOW_S)
            case _:
                spend(CALL_S)
