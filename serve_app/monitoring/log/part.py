"""A part: a gzip file of lines that grows on this node's disk until it is full or old.

What is appended is readable at once: a process that is killed loses what it had not appended. The
part has a lock, which dies with its process: a part without one was left behind and is finished by
whoever finds it.
"""

import fcntl
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Makes the same format as zlib in a seventh of the time.
from isal import isal_zlib

OPEN = ".open"
# Named by when it was begun, in UTC, by whom, and as which of its own.
PART_NAME = re.compile(r"(\d{8})T(\d{6})Z-[0-9a-f]{1,16}-\d{6}\.jsonl\.gz")
# Of 3: the higher ones save no room.
LEVEL = 1
GZIP = 16 + zlib.MAX_WBITS
# Of packed bytes; a thousand times as many may come out of them.
STEP_BYTES = 4 * 1024
FILE_MODE = 0o600
FOLDER_MODE = 0o700
# Made and not locked yet, for an instant.
LEAST_AGE_S = 60


def part_name(begin_s: float, server: str, number: int) -> str:
    """The file name of a part, which is its only one."""
    return f"{datetime.fromtimestamp(begin_s, UTC):%Y%m%dT%H%M%SZ}-{server}-{number:06d}.jsonl.gz"


def begin_of(name: str) -> datetime | None:
    """When a part was begun, by its name; None when it is no part's name."""
    found = PART_NAME.fullmatch(name.removesuffix(OPEN))
    if not found:
        return None
    try:
        return datetime.strptime(found[1] + found[2], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


class Part:
    """A part that is being written, under its name with `.open` behind. May raise OSError."""

    def __init__(self, folder: Path, name: str, begin_s: float) -> None:
        self.begin_s = begin_s
        self.n_bytes = 0
        self.n_rows = 0
        self._path = folder / name
        self._draft = folder / (name + OPEN)
        made = _for_its_owner(self._draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        self._file: Any = os.fdopen(made, "wb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._packer = isal_zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)

    def append(self, lines: bytes, n_rows: int) -> None:
        """Add lines; they are in the file when this returns."""
        self._write(self._packer.compress(lines) + self._packer.flush(zlib.Z_SYNC_FLUSH))
        self.n_rows += n_rows

    def finish(self) -> Path:
        """End the file, and give it its name in one step."""
        self._write(self._packer.flush(zlib.Z_FINISH))
        self._draft.replace(self._path)
        self._file.close()
        return self._path

    def abandon(self) -> None:
        """Write no more: what is whole in it is found as if the process had ended."""
        with suppress(OSError):
            self._file.close()

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        # A disk that is almost full takes a piece.
        while left:
            left = left[self._file.write(left) :]
        self.n_bytes += len(data)


def make_folder(folder: Path) -> None:
    """Make a folder where it is missing, and those above it, for this user's eyes alone.

    Rows of people lie in it. What is there already stays as somebody wanted it. Raises OSError.
    """
    for above in reversed([folder, *folder.parents]):
        if not above.is_dir():
            above.mkdir(mode=FOLDER_MODE, exist_ok=True)


def _for_its_owner(path: str | Path, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


def lines_of(data: bytes) -> Iterator[bytes]:
    """Yield the whole lines of a part's bytes, also where its end is missing.

    Where something else stands in its place, as after a loss of power, they end some lines before.
    """
    unpacker = zlib.decompressobj(GZIP)
    rest = b""
    for begin in range(0, len(data), STEP_BYTES):
        try:
            text = unpacker.decompress(data[begin : begin + STEP_BYTES])
        except zlib.error:
            return
        *lines, rest = (rest + text).split(b"\n")
        yield from lines


def recover(draft: Path, now_s: float) -> bool:
    """Finish a part whose process is gone, with the lines that are whole; whether it did.

    May raise OSError.
    """
    if now_s - draft.stat().st_mtime < LEAST_AGE_S:
        return False
    with draft.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not draft.exists():
            # Another process recovered it meanwhile.
            return False
        _finish(draft, file.read())
    return True


def _finish(draft: Path, data: bytes) -> None:
    path = draft.with_name(draft.name.removesuffix(OPEN))
    again = draft.with_name(f".{path.name}")
    packer = isal_zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    n_lines = 0
    with open(again, "wb", opener=_for_its_owner) as out:
        for line in lines_of(data):
            out.write(packer.compress(line + b"\n"))
            n_lines += 1
        out.write(packer.flush())
    if n_lines:
        again.replace(path)
    else:
        again.unlink()
    draft.unlink()
