"""A fitted pipeline as ONNX in the shape that serving opens: two matrices in, `score` out."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer

from serve_app.bundle.call import PipelineCall
from serve_app.bundle.predictor import differing
from serve_app.bundle.refusals import RefusedRows
from serve_app.bundle.runtimes.onnx_runtime import OnnxRuntime
from serve_app.contract import ModelSpec
from serve_app.contract.block import Layout, Scores
from training.truth import Truth, score_each

OPSET = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 10
MAX_REASON_LENGTH = 200
# Keeps the converter's names from meeting ours.
PREFIX = "pipeline/"


@dataclass(frozen=True)
class Compilation:
    """The outcome: `graph` holds the bytes of `model.onnx`, or is None and `reason` says why."""

    graph: bytes | None
    reason: str


def compile_pipeline(
    pipeline: Any, spec: ModelSpec, call: PipelineCall, truth: Truth, threshold: float
) -> Compilation:
    """ONNX that gives the true scores on every row of `truth`, or the reason why not."""
    try:
        graph = _convert(pipeline, spec)
        runtime = OnnxRuntime(graph, call)
        found = score_each(runtime.score, truth.block)
    except Exception as error:
        # The converter and the runtime raise dozens of types for "cannot".
        return Compilation(
            None, f"skl2onnx cannot convert this pipeline: {_plain(error)}{_hint(pipeline)}"
        )
    refused = RefusedRows(truth.refusals, spec.contract).find(truth.block)
    if refused is not None:
        found[refused] = np.nan
    reason = _disagreement(found, truth, spec, threshold)
    if reason:
        return Compilation(None, reason)
    difference = float(np.nanmax(np.abs(found - truth.scores)))
    return Compilation(
        graph,
        f"agrees with the pipeline on {len(truth.block):,} rows, at most {difference:.1e} apart",
    )


def _disagreement(found: Scores, truth: Truth, spec: ModelSpec, threshold: float) -> str | None:
    differs = differing(found, truth.scores, truth.tolerance, threshold, spec.kind)
    if not differs.any():
        return None
    first = int(np.argmax(differs))
    return (
        f"the compiled model differs from the pipeline on {int(differs.sum()):,} of "
        f"{len(differs):,} rows; one has {truth.said[first]}: compiled {found[first]}, pipeline "
        f"{truth.scores[first]}"
    )


def _plain(error: Exception) -> str:
    """The first sentence of an error, short enough for a manifest."""
    text = " ".join((str(error) or type(error).__name__).split()).split(". ")[0]
    return text if len(text) <= MAX_REASON_LENGTH else text[: MAX_REASON_LENGTH - 1] + "…"


def _hint(pipeline: Any) -> str:
    """What to change where that is known."""
    if isinstance(pipeline, CalibratedClassifierCV):
        return ". CalibratedClassifierCV converts as the last step of a Pipeline, not around one"
    return ""


def _convert(pipeline: Any, spec: ModelSpec) -> bytes:
    """Convert, then put the two matrices in front and `score` behind."""
    layout = Layout(spec.contract)
    first = pipeline
    while hasattr(first, "steps"):
        first = first.steps[0][1]
    by_column = bool(layout.category_names) or isinstance(first, ColumnTransformer)
    inputs = (
        _column_inputs(spec)
        if by_column
        else [("numbers", FloatTensorType([None, len(layout.number_names)]))]
    )
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
    return [
        (
            f.name,
            StringTensorType([None, 1]) if f.dtype == "category" else FloatTensorType([None, 1]),
        )
        for f in spec.contract
    ]


def _options(pipeline: Any, spec: ModelSpec) -> dict[int, dict[str, bool]]:
    """A plain matrix of probabilities instead of a list of dictionaries."""
    return {id(pipeline): {"zipmap": False}} if spec.kind == "binary_classifier" else {}


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
