"""A version of a kind whose quality training cannot measure yet: everything but its metrics."""

from pathlib import Path

from serve_app.bundle.manifest import FORMAT, Manifest
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.runtimes.onnx_runtime import OnnxRuntime
from serve_app.bundle.runtimes.sklearn_runtime import SklearnRuntime
from serve_app.contract import ModelSpec
from training.calling import find_call
from training.compilation import compile_pipeline
from training.foreign import read_pipeline
from training.golden import golden_rows
from training.reading import read_csv
from training.recipe import keep_columns
from training.truth import find_truth


def unmeasured(spec: ModelSpec, pipeline_file: Path, data: Path) -> Predictor:
    """Prove a pipeline as `training.run.bundle` does. Raises SluiceError."""
    table = read_csv(data, spec, keep_columns)
    pipeline = read_pipeline(pipeline_file)
    call = find_call(pipeline, table)
    truth = find_truth(pipeline, table, call)
    compilation = compile_pipeline(pipeline, spec, call, truth, spec.threshold)
    graph = compilation.graph
    manifest = Manifest(
        format=FORMAT,
        model=spec.name,
        version="1.0.0",
        kind=spec.kind,
        runtime="sklearn" if graph is None else "onnx",
        runtime_reason=compilation.reason,
        features=list(spec.contract),
        references={},
        parameters={},
        metrics={},
        training_data_sha256="0" * 64,
        n_training_rows=0,
        created_at="",
        libraries={},
        files={},
        golden_rows=golden_rows(spec, truth.block, truth.scores, truth.n_file_rows),
        call=call,
        classes=list(spec.classes),
        positive=spec.positive,
        outputs=list(spec.outputs),
        tolerance=truth.tolerance,
        refusals=truth.refusals,
        notes=truth.notes,
    )
    if graph is None:
        runtime = SklearnRuntime(pipeline, spec.contract, call)
    else:
        runtime = OnnxRuntime(graph, call)  # type: ignore[assignment]
    return Predictor(manifest, "0" * 64, runtime, spec.threshold)
