"""Who asks, how often, and under which key."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from benchmarks.simulator.models import ROWS
from serve_app.contract import Features

Keys = Literal["own", "even", "zipf", "none"]
WITHIN_BURST_S = 0.02


@dataclass(frozen=True)
class Traffic:
    """Clients of one application.

    `keys`: each request has its `own`; `n_keys` share the traffic `even`ly, or by Zipf's law (key k
    has 1/k of the first one's); `none`: requests without a key. `probes_per_s` more come without a
    key, always with the same row. `burst`: so many requests come together, and then nobody for a
    while; the rate is that over all. A request has one row, or up to `most_rows`, evenly.
    """

    keys: Keys = "own"
    n_keys: int = 500
    rate_per_s: float = 50.0
    probes_per_s: float = 0.0
    burst: int = 1
    most_rows: int = 1


class Clients:
    """Draws the requests of a run."""

    def __init__(self, traffic: Traffic, rng: random.Random) -> None:
        self._rng = rng
        self._run = f"{rng.getrandbits(32):08x}"
        self._n = 0
        self._burst = traffic.burst
        self._most_rows = traffic.most_rows
        self._next_key = self._key_maker(traffic)
        self._probe_share = traffic.probes_per_s / (traffic.probes_per_s + traffic.rate_per_s)
        self.rate_per_s = traffic.rate_per_s + traffic.probes_per_s
        # While a nightly batch of one segment runs: its share of all requests.
        self.batch_share = 0.0

    def wait_s(self) -> float:
        """Until the next request."""
        if self._n % self._burst:
            return WITHIN_BURST_S
        return self._rng.expovariate(self.rate_per_s / self._burst)

    def request(self) -> tuple[str, list[Features]]:
        """Its routing key, as the door makes it, and its rows."""
        self._n += 1
        rng = self._rng
        if self._probe_share and rng.random() < self._probe_share:
            return f"probe-{self._run}-{self._n}", [ROWS[0]]
        if self.batch_share and rng.random() < self.batch_share:
            return f"batch-{self._run}", self._rows(SEGMENT)
        return self._next_key(), self._rows(ROWS)

    def _rows(self, of: Sequence[Features]) -> list[Features]:
        rng = self._rng
        n_rows = 1
        if self._most_rows > 1:
            n_rows = rng.randint(1, self._most_rows)
        return [of[int(rng.random() * len(of))] for _ in range(n_rows)]

    def _key_maker(self, traffic: Traffic) -> Callable[[], str]:
        rng = self._rng
        run = self._run
        if traffic.keys in ("own", "none"):
            return lambda: f"{run}-{self._n}"
        names = [f"client-{run}-{i}" for i in range(traffic.n_keys)]
        if traffic.keys == "even":
            return lambda: names[int(rng.random() * len(names))]
        weights = list(accumulate(1 / (i + 1) for i in range(traffic.n_keys)))
        return lambda: rng.choices(names, cum_weights=weights)[0]


# Rows of one segment: they all score high.
SEGMENT = [row for i, row in enumerate(ROWS) if (10.0 + 7.31 * i) * 0.618034 % 1.0 > 0.8]
