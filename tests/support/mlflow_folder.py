"""A model folder as MLflow writes it: `MLmodel` and the files that it names, without MLflow."""

import json
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import yaml


def write_folder(folder: Path, flavors: dict[str, Any], **more: Any) -> Path:
    """Write the folder with these flavors and keys of MLmodel."""
    folder.mkdir(parents=True, exist_ok=True)
    function = {"loader_module": "mlflow.sklearn", "python_version": "3.11.9"}
    document = {
        "artifact_path": "model",
        "flavors": {"python_function": function, **flavors},
        "mlflow_version": "3.1.0",
        "model_uuid": "0" * 32,
        **more,
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    return folder


def write_sklearn(folder: Path, pipeline: Any, **more: Any) -> Path:
    """Write a pipeline with the flavor sklearn, pickled."""
    settings = {
        "code": None,
        "pickled_model": "model.pkl",
        "serialization_format": "cloudpickle",
        "sklearn_version": "1.9.1",
    }
    write_folder(folder, {"sklearn": settings}, **more)
    joblib.dump(pipeline, folder / "model.pkl")
    return folder


def signature_of(**types: str) -> dict[str, Any]:
    """A signature with these columns."""
    inputs = [{"type": kind, "name": name, "required": True} for name, kind in types.items()]
    return {"inputs": json.dumps(inputs), "outputs": None, "params": None}


def write_example(folder: Path, rows: pd.DataFrame) -> dict[str, Any]:
    """Write an input example; what MLmodel says of it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "input_example.json").write_text(rows.to_json(orient="split", index=False))
    return {
        "artifact_path": "input_example.json",
        "pandas_orient": "split",
        "type": "dataframe",
    }
