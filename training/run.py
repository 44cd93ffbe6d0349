"""A run from rows to a proven bundle: of our own pipeline, or of one that somebody has fitted."""

import re
from collections.abc import Callable
from pathlib import Path

from threadpoolctl import threadpool_limits

from serve_app.bundle.manifest import VERSION_PATTERN
from serve_app.bundle.store import Store
from serve_app.contract import Kind, ModelSpec
from training.answers import require_answers
from training.baseline import constant_metrics
from training.bundling import Written, compiled, require_new, write
from training.candidate import Candidate
from training.errors import TrainingError
from training.floor import require_better_than_constant, require_quality
from training.foreign import read_pipeline
from training.reading import check, read_csv
from training.recipe import Training
from training.table import Table

# Hears what begins.
Step = Callable[[str], None]
SEED = 20_240_601
# Fit, calibration, hold-out. Only an interval needs calibration rows that the pipeline has not
# seen.
SHARES: dict[Kind, tuple[float, float, float]] = {
    "binary_classifier": (0.80, 0.0, 0.20),
    "regressor": (0.65, 0.15, 0.20),
}
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
    _require_free(version, spec, store)
    step("Reading rows")
    table = _rows(training, spec, data)
    fitting, calibration, holdout = table.parts(SHARES[spec.kind], SEED)
    with threadpool_limits(1):
        step(f"Fitting on {len(fitting):,} rows")
        pipeline = training.pipeline().fit(fitting.frame, fitting.target)
        source = f"recipe, seed {SEED}" if data is None else data.name
        candidate = Candidate(spec, version, pipeline, fitting, calibration, holdout, source)
        step(f"Measuring on {len(holdout):,} rows")
        require_answers(pipeline, holdout)
        require_quality(candidate, training)
        return _publish(candidate, store, step)


def bundle(
    training: Training,
    spec: ModelSpec,
    version: str,
    store: Store,
    pipeline_file: Path,
    data: Path,
    step: Step = silent,
) -> Written:
    """Make a bundle of a fitted pipeline, which is not fitted again.

    Half of `data` calibrates, the other half measures. Raises TrainingError or BundleError; then
    nothing was written.
    """
    _require_free(version, spec, store)
    step("Reading rows")
    table = read_csv(data, spec, training.map_columns)
    calibration, holdout = table.parts((0.5, 0.5), SEED)
    step("Opening the pipeline")
    pipeline = read_pipeline(pipeline_file)
    with threadpool_limits(1):
        require_answers(pipeline, table)
        candidate = Candidate(
            spec, version, pipeline, table, calibration, holdout, data.name, is_foreign=True
        )
        step(f"Measuring on {len(holdout):,} rows")
        require_better_than_constant(candidate, constant_metrics(candidate))
        return _publish(candidate, store, step)


def _publish(candidate: Candidate, store: Store, step: Step) -> Written:
    step("Compiling")
    compilation = compiled(candidate)
    step("Writing the report and the bundle, and proving it")
    return write(candidate, compilation, store)


def _require_free(version: str, spec: ModelSpec, store: Store) -> None:
    """Refuse what is no semantic version, or exists, before any time goes into training."""
    if not re.fullmatch(VERSION_PATTERN, version) or len(version) > MAX_VERSION_LENGTH:
        raise TrainingError(
            f"--version: found {version!r}, expected a semantic version such as 1.0.0 or 1.1.0-rc.1"
        )
    require_new(store, spec.name, version)


def _rows(training: Training, spec: ModelSpec, data: Path | None) -> Table:
    if data is None:
        return check(training.make_rows(training.n_rows, SEED), spec, "recipe")
    return read_csv(data, spec, training.map_columns)
