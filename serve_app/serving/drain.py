"""What shall go says so first: readiness fails, nobody sends it more, and what it has is finished."""

import os
from pathlib import Path

DRAIN_FILE = "SLUICE_DRAIN_FILE"  # the variable that names the file; whoever starts Ray sets it


def is_draining() -> bool:
    """Whether the process that started this Ray was told to end."""
    name = os.environ.get(DRAIN_FILE)
    return name is not None and Path(name).exists()
