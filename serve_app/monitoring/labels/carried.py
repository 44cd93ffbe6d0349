"""What a prediction id carries of an answer, as 32 bytes.

That is all that the join with a label needs: which version answered, when, with which numbers, in
which place of a batch, and for which arm of a rollout it counts.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from math import nan

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
N_BYTES = 32
# Format, shape, time in seconds since 1970, unique number, version, run, phase, routing key.
_HEAD = struct.Struct(">BBIIIHB3s")
_NUMBERS = struct.Struct(">fff")
_MOST_ROWS = 1 << 23
_IS_POSITIVE = 1 << 23
_PLAIN_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
_NAMED = 1 << 31

NO_KEY = bytes(3)
Numbers = tuple[float, float, float]
NO_NUMBERS: Numbers = (nan, nan, nan)


@dataclass(frozen=True, slots=True)
class Carried:
    """What an id says once it is opened.

    `version` is a code (`version_code`), `run` that of a rollout's run, 0 where none chose the
    version that answered; `key` is then 0 too, and else a digest of the routing key. `numbers` mean
    what the shape of the model says (`shapes.py`). `is_positive`: a binary classifier gave the
    positive label.
    """

    shape: int
    at_s: int
    unique: int
    version: int
    run: int
    phase: int
    key: int
    row: int
    is_positive: bool
    numbers: Numbers


def head_of(
    shape: int, at_s: int, unique: int, version: int, run: int, phase: int, key: bytes
) -> bytes:
    """What all rows of a request have in common, in 20 bytes; `key` has 3."""
    return _HEAD.pack(
        FORMAT, shape, at_s & 0xFFFFFFFF, unique & 0xFFFFFFFF, version, run, phase & 0xFF, key
    )


def plain_of(head: bytes, row: int, is_positive: bool, numbers: Numbers) -> bytes:
    """The 32 bytes of one row. A number that no float32 holds is carried as NaN.

    Numbers keep their first 24 bits, which is a relative error of 2^-16 at most.
    """
    try:
        found = _NUMBERS.pack(*numbers)
    except OverflowError:
        found = _NUMBERS.pack(*NO_NUMBERS)
    place = (row % _MOST_ROWS) | (_IS_POSITIVE if is_positive else 0)
    return head + place.to_bytes(3, "big") + found[0:3] + found[4:7] + found[8:11]


def plains_of(
    head: bytes,
    rows: NDArray[np.int64],
    is_positive: NDArray[np.bool_],
    numbers: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """`plain_of` for n rows at once, in shape (n, 32); `numbers` has shape (n, 3)."""
    with np.errstate(over="ignore"):
        found = numbers.astype(">f4")
    if np.isinf(found).any():
        found[(np.isinf(found) & np.isfinite(numbers)).any(axis=1)] = nan
    places = (rows % _MOST_ROWS + is_positive * _IS_POSITIVE).astype(">u4")
    plains = np.empty((len(rows), N_BYTES), np.uint8)
    plains[:, :20] = np.frombuffer(head, np.uint8)
    plains[:, 20:23] = places.view(np.uint8).reshape(-1, 4)[:, 1:]
    plains[:, 23:].reshape(-1, 3, 3)[...] = found.view(np.uint8).reshape(-1, 3, 4)[:, :, :3]
    return plains


def carried_of(plain: bytes) -> Carried | None:
    """What the bytes of an id say; None where another format made them."""
    format_, shape, at_s, unique, version, run, phase, key = _HEAD.unpack_from(plain)
    if format_ != FORMAT:
        return None
    place = int.from_bytes(plain[20:23], "big")
    # The byte that was cut off is taken for the middle of what it may have been.
    whole = b"".join(plain[i : i + 3] + b"\x80" for i in (23, 26, 29))
    return Carried(
        shape,
        at_s,
        unique,
        version,
        run,
        phase,
        int.from_bytes(key, "big"),
        place % _MOST_ROWS,
        bool(place & _IS_POSITIVE),
        _NUMBERS.unpack(whole),
    )


@lru_cache(maxsize=1024)
def version_code(version: str) -> int:
    """A version in 31 bits, or a digest of it, which the highest bit tells.

    `1.2.3` is carried itself, up to 63.1023.32767. Of any other the name has to be known where the
    id is opened: `version_of`.
    """
    plain = _PLAIN_VERSION.fullmatch(version)
    if plain is not None:
        major, minor, patch = (int(part) for part in plain.groups())
        if major < 1 << 6 and minor < 1 << 10 and patch < 1 << 15:
            return major << 25 | minor << 15 | patch
    return _NAMED | _digest(version, 4)


def version_of(code: int, known: Mapping[int, str]) -> str | None:
    """The version of a code; None where it is a digest of none that is known."""
    if code & _NAMED:
        return known.get(code)
    return f"{code >> 25}.{code >> 15 & 1023}.{code & 32767}"


@lru_cache(maxsize=64)
def run_code(run: str) -> int:
    """A run of a rollout in 16 bits, of which none is 0."""
    return _digest(run, 2) or 1 if run else 0


def key_digest(routing_key: str) -> bytes:
    """Three bytes of a digest of a routing key."""
    return blake2b(routing_key.encode("utf-8", "replace"), digest_size=3).digest()


def _digest(text: str, n_bytes: int) -> int:
    found = blake2b(text.encode("utf-8", "replace"), digest_size=n_bytes).digest()
    return int.from_bytes(found, "big")
