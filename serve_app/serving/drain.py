"""Graceful shutdown: `/ready` fails first, so that load balancers stop sending traffic.

Open requests finish meanwhile.
"""

import os
from pathlib import Path

# The variable that names the file; whoever starts Ray sets it.
DRAIN_FILE = "SLUICE_DRAIN_FILE"


def is_draining() -> bool:
    """Whether the process that started this Ray was told to end."""
    name = os.environ.get(DRAIN_FILE)
    return name is not None and Path(name).exists()
