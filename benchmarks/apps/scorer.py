"""What the peers serve: a bundle's pipeline, or that pipeline as the converter makes it.

Imports nothing of Sluice.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# (n_rows, n_features) in the order of the manifest.
Numbers = NDArray[np.float64]


def load_scorer() -> Callable[[Numbers], Numbers]:
    """Open what `RUNTIME` and `BUNDLE` say: from a table of numbers to (n_rows,) probabilities."""
    bundle = Path(os.environ["BUNDLE"])
    return _compiled(bundle) if os.environ["RUNTIME"] == "onnx" else _pipeline(bundle)


def _compiled(bundle: Path) -> Callable[[Numbers], Numbers]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = str(bundle / "converted.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def score(numbers: Numbers) -> Numbers:
        scores = session.run(["score"], {"numbers": numbers.astype(np.float32)})[0][:, -1]
        return np.asarray(scores, dtype=np.float64)

    return score


def _pipeline(bundle: Path) -> Callable[[Numbers], Numbers]:
    import joblib
    import pandas as pd

    names = [
        feature["name"]
        for feature in json.loads((bundle / "manifest.json").read_text())["features"]
    ]
    pipeline = joblib.load(bundle / "pipeline.joblib")

    def score(numbers: Numbers) -> Numbers:
        return np.asarray(
            pipeline.predict_proba(pd.DataFrame(numbers, columns=names))[:, -1], dtype=np.float64
        )

    return score
