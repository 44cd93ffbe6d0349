"""Compiling, and the proof: a graph is taken when it agrees with the truth on every row of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from serve_app.bundle.call import PipelineCall
from serve_app.bundle.refusals import RefusedRows
from serve_app.bundle.runtimes.onnx_runtime import OnnxRuntime
from serve_app.bundle.tolerance import differing
from serve_app.contract import ModelSpec
from serve_app.contract.block import Scores
from training.compilation.direct import convert
from training.compilation.reasons import cannot, difference, joined
from training.compilation.rounding import IN_FLOAT32, staircase
from training.truth import Truth, complete_refusals, score_each


@dataclass(frozen=True)
class Compilation:
    """The outcome: `graph` holds the bytes of `model.onnx`, or is None and `reason` says why.

    `scores` are those of the graph for the rows of the truth, NaN where the pipeline refuses them.
    """

    graph: bytes | None
    reason: str
    scores: Scores | None = None


def compile_pipeline(
    pipeline: Any, spec: ModelSpec, call: PipelineCall, truth: Truth, threshold: float
) -> Compilation:
    """ONNX that gives the true scores on every row of `truth`, or the reason why not.

    First exactly, with float64 numbers and counts of the trees' cuts; then as the converter makes
    it, in float32. What is taken is decided by the rows alone.
    """
    exact = truth.exact
    reasons = [exact.reason] if exact.graph is None else []
    if exact.graph is not None:
        outcome = _proven(exact.graph, spec, call, truth, threshold)
        if outcome.graph is not None:
            return outcome
        reasons.append(outcome.reason)
    steps = staircase(pipeline)
    if steps:
        if not any(IN_FLOAT32 in reason for reason in reasons):
            reasons.append(f"skl2onnx {IN_FLOAT32} {steps}")
        return Compilation(None, joined(reasons))
    try:
        graph = convert(pipeline, spec)
    except Exception as error:
        # The converter raises dozens of types for "cannot".
        return Compilation(
            None, joined([*reasons, cannot(error, "skl2onnx cannot convert this pipeline")])
        )
    outcome = _proven(graph, spec, call, truth, threshold)
    if outcome.graph is not None:
        return outcome
    return Compilation(None, joined([*reasons, outcome.reason]))


def _proven(
    graph: bytes, spec: ModelSpec, call: PipelineCall, truth: Truth, threshold: float
) -> Compilation:
    try:
        found = score_each(OnnxRuntime(graph, call).score, truth.block)
    except Exception as error:
        return Compilation(None, cannot(error, "onnxruntime cannot run the compiled model"))
    if found.shape != truth.scores.shape:
        return Compilation(
            None, f"the compiled model gives {found.shape[1:]} scores a row, not those expected"
        )
    listed = complete_refusals(truth.refusals, spec.contract)
    refused = RefusedRows(listed, spec.contract).find(truth.block)
    if refused is not None:
        found[refused] = np.nan
    differs = differing(found, truth.scores, truth.tolerance, threshold, spec.kind)
    if differs.any():
        return Compilation(None, difference(found, truth, differs))
    apart = float(np.nanmax(np.abs(found - truth.scores), initial=0.0))
    reason = f"agrees with the pipeline on {len(truth.block):,} rows, differs by up to {apart:.1e}"
    return Compilation(graph, reason, found)
