"""BentoML: as many workers as cores, and adaptive batching where a model call is expensive."""

import os

import bentoml
import numpy as np

from benchmarks.apps.scorer import load_scorer

IS_EXPENSIVE = os.environ["RUNTIME"] == "sklearn"


@bentoml.service(
    workers=len(os.sched_getaffinity(0)), traffic={"timeout": 60, "max_concurrency": 1024}
)
class Churn:
    """Rows of numbers in, probabilities out."""

    def __init__(self) -> None:
        self.score = load_scorer()

    @bentoml.api(batchable=IS_EXPENSIVE, max_batch_size=1024, max_latency_ms=10_000)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Score some rows."""
        return self.score(np.asarray(rows, dtype=np.float64))
