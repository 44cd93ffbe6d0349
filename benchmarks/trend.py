"""What happened over time: replicas and requests, sampled while a load runs."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.steady import Shot

PERIOD_S = 0.5
WINDOW_S = 2.0


@dataclass(frozen=True)
class Sample:
    """One moment: replicas that Serve says are running, and requests that wait for an answer."""

    at_s: float
    replicas: int
    under_way: int


@dataclass
class Sampler:
    """Samples in a thread of its own until the `with` block ends."""

    count_replicas: Callable[[], int]
    count_under_way: Callable[[], int]
    samples: list[Sample] = field(default_factory=list)

    def __enter__(self) -> "Sampler":
        self._end = threading.Event()
        self._begin_s = time.monotonic()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @property
    def latest_replicas(self) -> int:
        """The replicas of the last sample."""
        return self.samples[-1].replicas if self.samples else 0

    def _sample(self) -> None:
        while not self._end.wait(PERIOD_S):
            try:
                replicas = self.count_replicas()
            except OSError:
                # The dashboard is busy: the next sample says it.
                replicas = self.latest_replicas
            self.samples.append(
                Sample(time.monotonic() - self._begin_s, replicas, self.count_under_way())
            )


def p95_over_time(shots: Sequence[Shot]) -> list[tuple[float, float]]:
    """Compute p95 as (s, ms) for each window in which requests were due."""
    found = []
    at = np.array([shot.due_s for shot in shots])
    latency = np.array([shot.latency_ms for shot in shots])
    for begin_s in np.arange(0, at.max(initial=0.0) + WINDOW_S, WINDOW_S):
        inside = latency[(at >= begin_s) & (at < begin_s + WINDOW_S)]
        if len(inside):
            found.append((float(begin_s), float(np.percentile(inside, 95))))
    return found
