"""A pipeline as skl2onnx converts it, in float32, with the two matrices of serving in front."""

import warnings
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer

from serve_app.contract import ModelSpec
from serve_app.contract.block import Layout
from training.compilation.graph import IR_VERSION, OPSET

# Keeps the converter's names from meeting ours.
PREFIX = "pipeline/"


def convert(pipeline: Any, spec: ModelSpec) -> bytes:
    """Convert, then put the two matrices in front and `score` behind.

    Raises whatever the converter raises.
    """
    layout = Layout(spec.contract)
    first = pipeline
    while hasattr(first, "steps"):
        first = first.steps[0][1]
    by_column = bool(layout.category_names) or isinstance(first, ColumnTransformer)
    inputs = [("numbers", FloatTensorType([None, len(layout.number_names)]))]
    if by_column:
        inputs = _column_inputs(spec)
    with warnings.catch_warnings():
        # Notes for the converter's authors.
        warnings.simplefilter("ignore")
        model = convert_sklearn(
            pipeline,
            name=spec.name,
            initial_types=inputs,
            target_opset=OPSET,
            options=_options(pipeline, spec),
            verbose=0,
        )
    model = onnx.compose.add_prefix(model, PREFIX)
    _wrap(model.graph, layout, by_column)
    model.ir_version = min(model.ir_version, IR_VERSION)
    model.doc_string = model.graph.doc_string = ""
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _column_inputs(spec: ModelSpec) -> list[tuple[str, Any]]:
    """One (n_rows, 1) input per field: what a ColumnTransformer that selects by name asks for."""
    inputs: list[tuple[str, Any]] = []
    for feature in spec.contract:
        kind = StringTensorType if feature.is_text else FloatTensorType
        inputs.append((feature.name, kind([None, 1])))
    return inputs


def _options(pipeline: Any, spec: ModelSpec) -> dict[int, dict[str, bool]]:
    """A plain matrix of probabilities instead of a list of dictionaries."""
    if not spec.is_classifier:
        return {}
    return {id(pipeline): {"zipmap": False}}


def _wrap(graph: Any, layout: Layout, by_column: bool) -> None:
    """Replace the graph's inputs and outputs, in place, by those of serving."""
    given = list(graph.input)
    made = graph.output[-1]
    used = {value.name for value in given}
    del graph.input[:]
    del graph.output[:]
    for name, names, kind in (
        ("numbers", layout.number_names, TensorProto.FLOAT),
        ("categories", layout.category_names, TensorProto.STRING),
    ):
        if not names:
            continue
        graph.input.append(helper.make_tensor_value_info(name, kind, [None, len(names)]))
        targets = [PREFIX + column for column in names] if by_column else [PREFIX + name]
        for place, target in enumerate(targets):
            if target in used:
                _insert_columns(graph, name, target, place if by_column else None)
    graph.node.append(helper.make_node("Identity", [made.name], ["score"]))
    graph.output.append(helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, None]))


def _insert_columns(graph: Any, source: str, target: str, place: int | None) -> None:
    """A node at the front that makes `target` from one column of `source`, or from all of it."""
    if place is None:
        graph.node.insert(0, helper.make_node("Identity", [source], [target]))
        return
    index = f"place_of/{target}"
    graph.initializer.append(numpy_helper.from_array(np.array([place], dtype=np.int64), index))
    graph.node.insert(0, helper.make_node("Gather", [source, index], [target], axis=1))
