"""A run from rows to a proven bundle: of our own pipeline, or of one that somebody has fitted."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from threadpoolctl import threadpool_limits

from serve_app.bundle.manifest import VERSION_PATTERN
from serve_app.bundle.store import Store
from serve_app.contract import ModelSpec
from serve_app.contract.block import Scores
from training.baseline import constant_metrics
from training.bundling import Written, require_new, write
from training.calling import find_call
from training.compilation.proof import compile_pipeline
from training.errors import TrainingError
from training.fitted_pipeline import FittedPipeline
from training.floor import require_better_than_constant, require_quality
from training.foreign import read_pipeline
from training.reading import check, read_csv
from training.recipe import Training
from training.table import AS_READ, Table
from training.threshold import find_threshold
from training.truth import find_truth

# Hears what begins.
Step = Callable[[str], None]
SEED = 20_240_601
# Fit, calibration, hold-out. Only the interval of a value, made or given as quantiles, needs
# calibration rows that the pipeline has not seen.
WITH_INTERVAL = (0.65, 0.15, 0.20)
WITHOUT_INTERVAL = (0.80, 0.0, 0.20)
MAX_VERSION_LENGTH = 40


def silent(name: str) -> None:
    """Show nothing of the steps."""


def train(
    training: Training,
    spec: ModelSpec,
    version: str,
    store: Store,
    data: Path | None = None,
    step: Step = silent,
) -> Written:
    """Read, fit, measure, compile, write and prove.

    Raises TrainingError or BundleError; then nothing was written.
    """
    require_trainable(training, spec, version, store)
    step("Reading rows")
    table = _rows(training, spec, data)
    source = f"recipe, seed {SEED}" if data is None else data.name
    return train_on(training, spec, version, store, table, source, step)


def require_trainable(training: Training, spec: ModelSpec, version: str, store: Store) -> None:
    """Refuse what cannot become a version, before rows are read. Raises TrainingError."""
    _require_free(version, spec, store)
    if training.pipeline is None:
        raise TrainingError(
            f"{spec.name}: its training has no pipeline(); expected one, or bundle a fitted "
            "pipeline: python -m training bundle"
        )


def train_on(
    training: Training,
    spec: ModelSpec,
    version: str,
    store: Store,
    table: Table,
    source: str,
    step: Step = silent,
) -> Written:
    """Fit on checked rows, measure, compile, write and prove; `source` is told in the report.

    `require_trainable` comes first. Raises TrainingError or BundleError; then nothing was written.
    """
    assert training.pipeline is not None
    fitting, calibration, holdout = _parts(spec, table)
    with threadpool_limits(1):
        step(f"Fitting on {len(fitting):,} rows")
        frame = fitting.frame_for(AS_READ.model_copy(update={"texts": training.texts}))
        pipeline = training.pipeline()
        if spec.is_anomaly_score:
            pipeline = pipeline.fit(frame)
        else:
            pipeline = pipeline.fit(frame, fitting.labels)
        step(f"Measuring on {len(holdout):,} rows")
        call = find_call(pipeline, holdout)
        fitted = FittedPipeline(
            spec,
            version,
            pipeline,
            fitting,
            calibration,
            holdout,
            source,
            call,
            contamination=training.contamination,
        )
        fitted = with_threshold(fitted, holdout)
        require_quality(fitted, training)
        return _publish(fitted, holdout, store, step)


def holdout_of(spec: ModelSpec, table: Table) -> Table:
    """The rows of a table that `train_on` measures on and never fits on, in their order."""
    return _parts(spec, table)[-1]


def _parts(spec: ModelSpec, table: Table) -> list[Table]:
    """Rows to fit on, to calibrate on, and the hold-out."""
    has_interval = spec.kind == "regressor" and not spec.is_anomaly_score
    return table.parts(WITH_INTERVAL if has_interval else WITHOUT_INTERVAL, SEED)


def bundle(
    training: Training,
    spec: ModelSpec,
    version: str,
    store: Store,
    pipeline_file: Path,
    data: Path,
    step: Step = silent,
    missing_text: str | None = None,
    trust: Sequence[str] = (),
) -> Written:
    """Make a bundle of a fitted pipeline, which is not fitted again.

    Half of `data` calibrates, the other half measures. `trust` are types of a .skops file that may
    be opened. Raises TrainingError or BundleError; then nothing was written.
    """
    _require_free(version, spec, store)
    step("Reading rows")
    table = read_csv(data, spec, training.map_columns, training.csv)
    calibration, holdout = table.parts((0.5, 0.5), SEED)
    step("Opening the pipeline")
    pipeline = read_pipeline(pipeline_file, spec, trust)
    with threadpool_limits(1):
        call = find_call(pipeline, table, missing_text)
        fitted = FittedPipeline(
            spec,
            version,
            pipeline,
            table,
            calibration,
            holdout,
            data.name,
            call,
            is_foreign=True,
            contamination=training.contamination,
        )
        fitted = with_threshold(fitted, table)
        step(f"Measuring on {len(holdout):,} rows")
        require_better_than_constant(fitted, constant_metrics(fitted))
        return _publish(fitted, table, store, step)


def with_threshold(
    fitted: FittedPipeline, rows: Table, scores: Scores | None = None
) -> FittedPipeline:
    """The fitted pipeline with the threshold that gives its own labels on `rows`.

    `scores` (n_rows,) are those of the runtime that serves, else the pipeline's.
    """
    if fitted.spec.kind != "binary_classifier":
        return fitted
    if scores is None:
        scores = fitted.score(rows.block)
    threshold, note = find_threshold(fitted.pipeline, rows, fitted.call, scores)
    return replace(fitted, threshold=threshold, notes=[note] if note else [])


def _publish(fitted: FittedPipeline, rows: Table, store: Store, step: Step) -> Written:
    """Compare on all `rows` and the probes, then write and prove."""
    step("Asking the pipeline about rows that the contract allows")
    truth = find_truth(fitted.pipeline, rows, fitted.call)
    step(f"Compiling, and comparing on {len(truth.block):,} rows")
    compilation = compile_pipeline(
        fitted.pipeline, fitted.spec, fitted.call, truth, fitted.threshold
    )
    if compilation.scores is not None:
        # A tie at one half may fall on either side in float32.
        fitted = with_threshold(fitted, rows, compilation.scores[: truth.n_file_rows])
    step("Writing the report and the bundle, and proving it")
    return write(fitted, truth, compilation, store)


def _require_free(version: str, spec: ModelSpec, store: Store) -> None:
    """Refuse what is no semantic version, or exists, before any time goes into training."""
    if not re.fullmatch(VERSION_PATTERN, version) or len(version) > MAX_VERSION_LENGTH:
        raise TrainingError(
            f"--version: found {version!r}, expected a semantic version such as 1.0.0 or 1.1.0-rc.1"
        )
    require_new(store, spec.name, version)


def _rows(training: Training, spec: ModelSpec, data: Path | None) -> Table:
    if data is not None:
        return read_csv(data, spec, training.map_columns, training.csv)
    if training.make_rows is None:
        raise TrainingError(
            f"{spec.name}: its training has no make_rows(); expected --data FILE.csv"
        )
    return check(training.make_rows(training.n_rows, SEED), spec, "recipe")
