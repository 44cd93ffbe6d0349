"""LitServe with as many workers as cores, batching where a model call is expensive."""

import os
import sys
from typing import Any

import litserve
import numpy as np

from benchmarks.apps.scorer import Numbers, load_scorer

IS_EXPENSIVE = os.environ["RUNTIME"] == "sklearn"


class Churn(litserve.LitAPI):
    """Rows of numbers in, probabilities out."""

    def setup(self, device: str) -> None:
        """Load the model, once a worker."""
        self.score = load_scorer()

    def decode_request(self, request: dict[str, Any]) -> Numbers:
        """Read the rows of a request."""
        return np.asarray(request["rows"], dtype=np.float64)

    def batch(self, inputs: list[Numbers]) -> list[Numbers]:
        """Requests may have different numbers of rows."""
        return inputs

    def predict(self, rows: Any) -> Any:
        """One request's rows, or those of several."""
        if not IS_EXPENSIVE:
            return self.score(rows)
        scores = self.score(np.concatenate(rows))
        return np.split(scores, np.cumsum([len(part) for part in rows])[:-1])

    def unbatch(self, output: list[Numbers]) -> list[Numbers]:
        """One result a request."""
        return output

    def encode_response(self, output: Numbers) -> list[float]:
        """Write the probabilities of a request."""
        return output.tolist()


if __name__ == "__main__":
    api = Churn(max_batch_size=64, batch_timeout=0.002) if IS_EXPENSIVE else Churn()
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=len(os.sched_getaffinity(0)), timeout=60
    )
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
