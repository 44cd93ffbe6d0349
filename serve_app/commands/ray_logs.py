"""Where Ray's processes write, and what one of them wrote last."""

import os
from collections import deque
from pathlib import Path

N_LINES = 3
MAX_LENGTH = 300


def ray_logs() -> Path:
    """The folder of the newest Ray of this machine; `RAY_TMPDIR` says where, as Ray has it."""
    return Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray/session_latest/logs"


def last_lines(name: str) -> list[str]:
    """What a process of Ray wrote last, in a few printable lines; nothing where it wrote nothing.

    What it wrote to its error output says more than its log.
    """
    for suffix in ("err", "out"):
        try:
            with (ray_logs() / f"{name}.{suffix}").open(errors="replace") as file:
                lines = deque((line for line in file if line.strip()), N_LINES)
        except OSError:
            continue
        if lines:
            return [_printable(line) for line in lines]
    return []


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else " " for c in line.strip())[:MAX_LENGTH]
