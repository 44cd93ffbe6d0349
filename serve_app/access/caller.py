"""Who asks, as the door knows after it has looked at the key."""

from dataclasses import dataclass
from typing import Literal

# What a route takes. `open`: nobody is asked for a key.
Permission = Literal["open", "predict", "feedback", "admin"]


@dataclass(frozen=True)
class Caller:
    """The owner of an API key, without the key.

    `id` is the public half of the key. `rows_per_s` and `burst_rows` bound what all servers of a
    model together answer this caller; None: no bound.
    """

    id: str
    scopes: frozenset[Permission]
    rows_per_s: float | None = None
    burst_rows: int | None = None
