"""Runs a fitted scikit-learn pipeline as it is.

The only module of serving that knows scikit-learn and pandas.
"""

import io
from typing import Any

import joblib
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from serve_app.contract import Feature, Kind
from serve_app.contract.block import Block, Layout, Scores


def frame(block: Block, contract: tuple[Feature, ...]) -> pd.DataFrame:
    """A block as the pipeline saw data in training, in the contract's order.

    Columns are int64, float64 with NaN, or str.
    """
    layout = Layout(contract)
    columns: dict[str, Any] = dict(zip(layout.number_names, block.numbers.T, strict=True))
    columns |= dict(zip(layout.category_names, block.categories.T, strict=True))
    return pd.DataFrame({f.name: columns[f.name].astype(_dtype(f)) for f in contract})


def _dtype(feature: Feature) -> type:
    if feature.dtype == "category":
        return object
    return np.int64 if feature.dtype == "int" and not feature.nullable else np.float64


class SklearnRuntime:
    """Scores blocks with a pipeline.

    Opening one runs the code inside, so the caller has verified the bytes.
    """

    def __init__(self, pipeline: Any, contract: tuple[Feature, ...], kind: Kind) -> None:
        self._pipeline = pipeline
        self._contract = contract
        self._kind = kind

    @classmethod
    def load(cls, data: bytes, contract: tuple[Feature, ...], kind: Kind) -> "SklearnRuntime":
        """From the bytes of `pipeline.joblib`."""
        return cls(joblib.load(io.BytesIO(data)), contract, kind)

    def score(self, block: Block) -> Scores:
        """(n_rows,) probabilities of the positive class, or values."""
        rows = frame(block, self._contract)
        with threadpool_limits(1):
            if self._kind == "binary_classifier":
                return np.asarray(self._pipeline.predict_proba(rows)[:, -1], dtype=np.float64)
            return np.asarray(self._pipeline.predict(rows), dtype=np.float64).reshape(-1)
