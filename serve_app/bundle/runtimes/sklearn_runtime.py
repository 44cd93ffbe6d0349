"""Runs a fitted pipeline of scikit-learn, or of a booster with its interface, as it is.

The only module of serving that knows scikit-learn and pandas.
"""

import io
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from serve_app.bundle.call import PipelineCall
from serve_app.bundle.runtimes.picked import picked
from serve_app.contract import Feature
from serve_app.contract.block import MISSING_CATEGORY, Block, Layout, Scores


def frame(block: Block, contract: tuple[Feature, ...], call: PipelineCall) -> pd.DataFrame:
    """A block as pandas reads such rows from a file, in the contract's order.

    Columns are int64, float64 with NaN, bool (object with NaN where a truth value may be missing),
    datetime64, or texts as the `call` wants them.
    """
    layout = Layout(contract)
    numbers = dict(zip(layout.number_names, block.numbers.T, strict=True))
    texts = dict(zip(layout.category_names, block.categories.T, strict=True))
    return pd.DataFrame(
        {
            f.name: _texts(texts[f.name], f, call) if f.is_text else _numbers(numbers[f.name], f)
            for f in contract
        }
    )


def _numbers(column: NDArray[np.float64], feature: Feature) -> Any:
    if feature.dtype in ("date", "datetime"):
        # NaN becomes NaT.
        return pd.to_datetime(pd.Series(column), unit="us").astype("datetime64[us]")
    if feature.dtype == "bool":
        if not feature.nullable:
            return column.astype(bool)
        values = column.astype(object)
        is_known = ~np.isnan(column)
        values[is_known] = column[is_known].astype(bool)
        return values
    return column.astype(np.int64 if feature.dtype == "int" and not feature.nullable else float)


def _texts(column: NDArray[np.object_], feature: Feature, call: PipelineCall) -> Any:
    missing = {"nan": np.nan, "none": None, "value": call.missing_value}[call.missing_text]
    values = column
    if missing != MISSING_CATEGORY:
        values = column.copy()
        values[column == MISSING_CATEGORY] = missing
    if call.texts == "object":
        return pd.Series(values, dtype=object)
    if call.texts == "str":
        return pd.Series(values, dtype="str")
    if pd.isna(values).all():
        # XGBoost refuses a category column without categories (one row whose text is missing), and
        # one with a category that sorts behind all it knows.
        first = min(map(str, feature.choices or [""]))
        return pd.Series(pd.Categorical(values, categories=pd.Index([first], dtype="str")))
    return pd.Series(values, dtype="category")


class SklearnRuntime:
    """Scores blocks with a pipeline.

    Opening one runs the code inside, so the caller has verified the bytes.
    """

    def __init__(self, pipeline: Any, contract: tuple[Feature, ...], call: PipelineCall) -> None:
        self._pipeline = pipeline
        self._contract = contract
        self._call = call
        # Finding the libraries takes ten milliseconds, so it is not done for each call.
        self._thread_pools = ThreadpoolController()

    @classmethod
    def load(
        cls, data: bytes, contract: tuple[Feature, ...], call: PipelineCall
    ) -> "SklearnRuntime":
        """From the bytes of `pipeline.joblib`."""
        return cls(joblib.load(io.BytesIO(data)), contract, call)

    def score(self, block: Block) -> Scores:
        """(n_rows,) or (n_rows, n_outputs) scores, as the call says."""
        if not len(block):
            # scikit-learn refuses an empty frame.
            columns = self._call.columns or [0]
            return np.empty(0) if len(columns) == 1 else np.empty((0, len(columns)))
        rows = frame(block, self._contract, self._call)
        with self._thread_pools.limit(limits=1):
            return picked(getattr(self._pipeline, self._call.method)(rows), self._call)
