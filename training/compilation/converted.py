"""Estimators that skl2onnx knows, on a matrix of numbers that this graph has made."""

import warnings
from typing import Any

import numpy as np
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

from training.compilation.asker import NotCompiled
from training.compilation.graph import OPSET, Graph, Tensor

DOUBLE = 11


def answer_of_converted(
    graph: Graph, estimator: Any, matrix: Tensor, n_columns: int, method: str
) -> Tensor:
    """The answer of a method; in float64 where the converter can. Raises NotCompiled."""
    first: Exception | None = None
    for is_double in (True, False):
        try:
            model = _convert(estimator, n_columns, is_double=is_double)
            _require_opens(model, n_columns, is_double=is_double)
        except Exception as error:
            # The converter and the runtime raise dozens of types for "cannot".
            first = first or error
            continue
        given = graph.cast(matrix, is_double=is_double)
        made = model.graph.output[-1]
        name = graph.include(model, {model.graph.input[0].name: given.name}, made.name)
        return Tensor(name, made.type.tensor_type.elem_type == DOUBLE)
    raise NotCompiled(f"skl2onnx cannot convert {type(estimator).__name__}: {first}")


def _convert(estimator: Any, n_columns: int, *, is_double: bool) -> Any:
    kind = DoubleTensorType if is_double else FloatTensorType
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else {}
    with warnings.catch_warnings():
        # Notes for the converter's authors.
        warnings.simplefilter("ignore")
        return convert_sklearn(
            estimator,
            initial_types=[("X", kind([None, n_columns]))],
            target_opset=OPSET,
            options=options,
            verbose=0,
        )


def _require_opens(model: Any, n_columns: int, *, is_double: bool) -> None:
    """Some graphs of doubles convert and do not load. Raises whatever the runtime raises."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    zeros = np.zeros((2, n_columns), dtype=np.float64 if is_double else np.float32)
    session.run(None, {"X": zeros})
