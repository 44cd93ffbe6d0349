"""What of a pipeline's answer is meant, the same for the pipeline and for its compiled form."""

from typing import Any

import numpy as np

from serve_app.bundle.call import PipelineCall
from serve_app.contract.block import Scores


def picked(answer: Any, call: PipelineCall) -> Scores:
    """The scores in an answer (n_rows,) or (n_rows, n_columns), in the contract's order.

    One column is (n_rows,).
    """
    values = np.asarray(answer, dtype=np.float64)
    if call.columns is None:
        return values.reshape(-1)
    if len(call.columns) == 1:
        return values.reshape(len(values), -1)[:, call.columns[0]]
    return values.reshape(len(values), -1)[:, call.columns]
