"""ONNX files made by hand: a constant model, and those that an attacker would write."""

from collections.abc import Sequence

import numpy as np
import onnx
from checking import manifest_of
from onnx import TensorProto, helper, numpy_helper

from serve_app.bundle.manifest import MANIFEST, File, sha256_of
from serve_app.bundle.store import FolderStore
from serve_app.contract.block import Layout
from serve_app.models import get_spec

SCORE = 0.5
N_NUMBERS = len(Layout(get_spec("churn").contract).number_names)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    initializers: Sequence[onnx.TensorProto] = (),
    sparse: Sequence[onnx.SparseTensorProto] = (),
) -> onnx.ModelProto:
    """A model for churn's rows: `nodes` make `base` (1,), to which no row adds anything."""
    zeros = np.zeros((N_NUMBERS, 1), dtype=np.float32)
    graph = helper.make_graph(
        [
            *nodes,
            helper.make_node("MatMul", ["numbers", "zeros"], ["nothing"]),
            helper.make_node("Add", ["nothing", "base"], ["score"]),
        ],
        "graph",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, N_NUMBERS])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(zeros, "zeros"), *initializers],
        sparse_initializer=sparse,
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9)


def number(name: str, value: float = SCORE) -> onnx.TensorProto:
    """A tensor of one float."""
    return numpy_helper.from_array(np.array([value], dtype=np.float32), name)


def sound() -> onnx.ModelProto:
    """The score of each row is SCORE."""
    return model_of([], [number("base")])


def endless() -> onnx.ModelProto:
    """A loop over constants whose condition stays true: onnxruntime folds it when it loads."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["goes_on"]),
            helper.make_node("Identity", ["before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, [1]),
        ],
    )
    true = numpy_helper.from_array(np.array(True), "true")
    loop = helper.make_node("Loop", ["", "true", "first"], ["base"], body=body)
    return model_of([loop], [true, number("first")])


def greedy(n_bytes: int) -> onnx.ModelProto:
    """A few bytes that ask for so many."""
    shape = numpy_helper.from_array(np.array([n_bytes // 4], dtype=np.int64), "shape")
    nodes = [
        helper.make_node("Expand", ["first", "shape"], ["many"]),
        helper.make_node("ReduceMax", ["many"], ["base"], keepdims=1),
    ]
    return model_of(nodes, [shape, number("first")])


def write_graph(store: FolderStore, data: bytes, version: str = "1.0.0") -> str:
    """Write a churn bundle with this graph; the sha256 of its manifest."""
    files = {"model.onnx": File(sha256=sha256_of(data), size_bytes=len(data))}
    manifest = manifest_of("churn", version, files=files)
    store.write("churn", version, {MANIFEST: manifest, "model.onnx": data})
    return sha256_of(manifest)
