"""A line of log as one JSON object, for `kubectl logs` and whatever collects standard output."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from traceback import extract_tb
from types import TracebackType

from serve_app.contract.plain_text import plain
from serve_app.errors import SluiceError

# What a record may say of the request or the block that it is about; everything else stays out.
ABOUT = ("request_id", "version", "n_rows", "n_failed", "outcome", "ms")
# Several processes write to one pipe. Up to 4,096 bytes (PIPE_BUF) Linux keeps a line whole.
MOST_BYTES = 4_000
MOST_LETTERS = 1_000
# Of a line that would still be too long.
FEWER_LETTERS = 200
MOST_FRAMES = 5
FOLDERS = ("site-packages/", "serve_app/", "training/")


def line_of(record: logging.LogRecord, source: Mapping[str, str], n_lost: int = 0) -> bytes:
    """The record in at most MOST_BYTES with its line break.

    `source` says which process it is of, and `n_lost` how many lines before could not be written.
    Of an error its type and its place are told. Its text is told only where it is one of ours:
    what a library raises may hold what a client sent.
    """
    found: dict[str, object] = {
        "time": _time(record.created),
        "level": record.levelname,
        "message": plain(record.getMessage())[:MOST_LETTERS],
        **source,
        **{name: vars(record)[name] for name in ABOUT if name in vars(record)},
        "logger": record.name,
    }
    if n_lost:
        found["n_lost"] = n_lost
    if record.exc_info is not None and record.exc_info[1] is not None:
        found |= _told(record.exc_info[1], record.exc_info[2])
    line = _bytes(found)
    if len(line) <= MOST_BYTES:
        return line
    found["message"] = str(found["message"])[:FEWER_LETTERS]
    found.pop("where", None)
    found.pop("error_text", None)
    return _bytes(found)


def _told(error: BaseException, at: TracebackType | None) -> dict[str, object]:
    told: dict[str, object] = {
        "error": type(error).__name__,
        "where": [
            f"{_short(frame.filename)}:{frame.lineno} {frame.name}"
            for frame in extract_tb(at)[-MOST_FRAMES:]
        ],
    }
    if isinstance(error, SluiceError):
        told["error_text"] = plain(str(error))[:MOST_LETTERS]
    return told


def _short(path: str) -> str:
    """The path of a file from its package on: nobody outside needs to know the rest."""
    for folder in FOLDERS:
        _, found, after = path.rpartition(folder)
        if found:
            return after if folder == FOLDERS[0] else folder + after
    return path.rpartition("/")[2]


def _time(seconds: float) -> str:
    """RFC 3339 in UTC, in milliseconds."""
    at = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return at.replace("+00:00", "Z")


def _bytes(found: Mapping[str, object]) -> bytes:
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), default=str)
    return (text + "\n").encode(errors="backslashreplace")
