"""Whether another part may be begun: what others need of the disk, and what waits for a store.

A pod's `emptyDir` lies on the disk of its node. What is free there says nothing of the `sizeLimit`,
and Kubernetes evicts a pod that is over it. So what waits is bounded too.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

# The log leaves so much of its disk to others: a full one would stop more than this log.
LEAST_FREE_BYTES = 1024**3
# Of a disk that is small itself, such as a container's tmpfs, a quarter.
LEAST_FREE_SHARE = 4
# Of all logs whose parts wait on this node: a quarter of what /tmp of a pod has.
MOST_WAITING_BYTES = 1_000_000_000


class DiskUsage(Protocol):
    """What `shutil.disk_usage` finds, in bytes."""

    @property
    def total(self) -> int:
        """How large the disk is."""

    @property
    def free(self) -> int:
        """What of it is free."""


def room_fault(
    spool: Path,
    n_waiting_bytes: int,
    most_waiting_bytes: int = MOST_WAITING_BYTES,
    usage: Callable[[Path], DiskUsage] = shutil.disk_usage,
) -> str:
    """Why no part may be begun in a spool; empty where one may. May raise OSError."""
    if n_waiting_bytes >= most_waiting_bytes:
        return (
            f"found {n_waiting_bytes / 1e9:.1f} GB that wait on this node for their store, "
            f"expected less than {most_waiting_bytes / 1e9:.1f} GB"
        )
    disk = usage(spool)
    least_free = min(LEAST_FREE_BYTES, disk.total // LEAST_FREE_SHARE)
    if disk.free < least_free:
        return (
            f"found {disk.free / 1e9:.1f} GB free of {disk.total / 1e9:.1f}, expected "
            f"{least_free / 1e9:.1f} GB or more"
        )
    return ""


def bytes_below(folder: Path) -> int:
    """The bytes of all files below a folder; none where it is not there."""
    n_bytes = 0
    for where, _, names in os.walk(folder):
        for name in names:
            # A part may be put to its store meanwhile.
            with suppress(OSError):
                n_bytes += Path(where, name).stat().st_size
    return n_bytes
