"""Latency at a fixed rate: an open loop.

Every request has its moment, whether the server keeps up or not. A latency counts from that moment,
so waiting that the server caused is never left out (no coordinated omission, as wrk2 does it). It
is ours because no maintained tool fits; docs/performance.md says why. `open_loop` sends it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np

MOST_CONNECTIONS = 256


@dataclass(frozen=True, slots=True)
class Shot:
    """One request and what came back.

    `index` says which of the bodies was sent. `due_s` is its moment since the beginning, `late_ms`
    how late it was sent, and `latency_ms` counts from its moment. `status` is 0 for no answer.
    """

    index: int
    due_s: float
    late_ms: float
    latency_ms: float
    status: int
    body: bytes


@dataclass
class Stream:
    """Requests to one URL at a rate that may change with time.

    `rate` is requests a second at a time since the beginning. `users` makes it a closed loop: at
    most so many requests at a time, the next one when one is answered. Setting `ended` ends the
    load early.
    """

    url: str
    bodies: Sequence[bytes]
    rate: Callable[[float], float]
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Callable[[float], int] | None = None
    most_connections: int = MOST_CONNECTIONS
    keep_bodies: bool = False
    shots: list[Shot] = field(default_factory=list)
    under_way: int = 0
    ended: bool = False

    def requests(self) -> list[bytes]:
        """Write the requests as bytes."""
        parts = urlsplit(self.url)
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        head += "Content-Type: application/json\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return [
            f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in self.bodies
        ]


@dataclass(frozen=True)
class Steady:
    """What an open loop saw.

    `late_p99_ms` is the generator's own delay, when it could not send in time or all connections
    were taken.
    """

    offered_rate: float
    requests: int
    errors: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    late_p99_ms: float


def summarize(shots: Sequence[Shot], seconds: float) -> Steady:
    """Compute percentiles over all requests; lost ones count with the time that was waited."""
    latency = np.array([shot.latency_ms for shot in shots] or [0.0])
    p50, p95, p99 = (float(value) for value in np.percentile(latency, [50, 95, 99]))
    late = float(np.percentile([shot.late_ms for shot in shots] or [0.0], 99))
    errors = sum(not 200 <= shot.status < 300 for shot in shots)
    return Steady(
        len(shots) / seconds, len(shots), errors, p50, p95, p99, float(latency.max()), late
    )
