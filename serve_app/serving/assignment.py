"""Assignment of requests to versions: pure, so that every replica decides alike by itself."""

from collections.abc import Sequence
from hashlib import blake2b

_SPAN = float(1 << 64)


def position_percent(salt: str, key: str) -> float:
    """Where a routing key stands between 0 and 100: the same everywhere, another for each salt."""
    digest = blake2b(key.encode(), key=salt.encode()[:64], digest_size=8).digest()
    return int.from_bytes(digest, "big") / _SPAN * 100


def assign(salt: str, key: str, stable: str, weights: Sequence[tuple[str, float]]) -> str:
    """The version for a routing key.

    Candidates take the lowest positions in their order, stable the rest. With one candidate,
    raising its weight only moves keys from stable to it, never one back.
    """
    if not weights:
        return stable
    position = position_percent(salt, key)
    upper = 0.0
    for version, percent in weights:
        upper += percent
        if position < upper:
            return version
    return stable
