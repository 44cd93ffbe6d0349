"""A pipeline that somebody has already fitted: a joblib or skops file, or a folder of MLflow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serve_app.contract import ModelSpec
from training.errors import InvalidPipeline
from training.mlflow_model import (
    column_faults,
    is_mlflow,
    logged_columns,
    read_mlflow,
    skops_file,
)
from training.pickled import require_named
from training.pipeline_file import SKOPS, open_pickle, open_skops, untrusted_types


def read_pipeline(path: Path, spec: ModelSpec | None = None, trust: Sequence[str] = ()) -> Any:
    """Open the fitted estimator in `path`. That runs the code inside: only for trusted files.

    `trust` are the types of a .skops file that may be opened although skops does not know them. The
    columns that MLflow has noted are compared with the contract of `spec`. Raises InvalidPipeline
    when it cannot be opened here, was written by another scikit-learn, holds what no pickle keeps,
    or takes other columns.
    """
    if is_mlflow(path):
        model = read_mlflow(path, trust)
        faults = [] if spec is None else column_faults(model.columns, spec)
        if faults:
            raise InvalidPipeline(
                f"{path}: its signature does not fit the contract: {'; '.join(faults)}. Correct "
                "the contract, or choose the model that belongs to it."
            )
        pipeline = model.pipeline
    elif path.is_dir():
        raise InvalidPipeline(
            f"{path}: found a folder without MLmodel, expected a joblib or .skops file, or a model "
            "folder of MLflow, such as mlruns/0/<run>/artifacts/model"
        )
    elif path.suffix == SKOPS:
        pipeline = open_skops(path, trust)
    else:
        pipeline = open_pickle(path)
    require_named(pipeline)
    return pipeline


def columns_of(pipeline: Any, path: Path) -> list[str]:
    """The columns that the pipeline in `path` takes: its own names, else those MLflow has noted.

    None of them where nobody has noted any. Raises InvalidPipeline.
    """
    names = [str(name) for name in getattr(pipeline, "feature_names_in_", ())]
    if names or not is_mlflow(path):
        return names
    return [column.name for column in logged_columns(path) if column.is_required]


def types_to_trust(path: Path) -> list[str]:
    """The types that opening `path` runs although skops does not know them; none for a pickle.

    Nothing is run to find them. Raises InvalidPipeline.
    """
    file = skops_file(path) if is_mlflow(path) else path
    if file is None or file.suffix != SKOPS:
        return []
    return untrusted_types(file)
