"""MLServer with a custom runtime; adaptive batching is on in its settings.

https://mlserver.readthedocs.io
"""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.apps.scorer import load_scorer


class Churn(MLModel):
    """One tensor of rows in, one of probabilities out."""

    async def load(self) -> bool:
        """Load the model, once a worker."""
        self.score = load_scorer()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """A batch of requests, which MLServer has merged."""
        numbers = NumpyCodec.decode_input(payload.inputs[0])
        scores = self.score(np.asarray(numbers, dtype=np.float64)).reshape(-1, 1)
        output = NumpyCodec.encode_output("probability", scores)
        return InferenceResponse(model_name=self.name, outputs=[output])
