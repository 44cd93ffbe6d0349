"""A model folder of MLflow, read without MLflow: `MLmodel` says what is in it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from serve_app.contract import Feature, ModelSpec
from training.errors import InvalidPipeline
from training.pipeline_file import SKOPS, open_pickle, open_skops, with_interface

MLMODEL = "MLmodel"
# What a column of a signature may be in a contract.
DTYPES: dict[str, tuple[str, ...]] = {
    "boolean": ("bool", "int"),
    "integer": ("int", "float"),
    "long": ("int", "float"),
    "float": ("int", "float"),
    "double": ("int", "float"),
    "string": ("category", "text", "date", "datetime"),
    "datetime": ("date", "datetime"),
}


@dataclass(frozen=True)
class Column:
    """A column that the model takes, by the types of MLflow: `long`, `double`, `string`, ….

    `type` None: the example has no value to tell it by.
    """

    name: str
    type: str | None
    is_required: bool = True


class MlflowModel(NamedTuple):
    """A fitted pipeline and its columns in order; none where it was logged without."""

    pipeline: Any
    columns: tuple[Column, ...]


def is_mlflow(path: Path) -> bool:
    """Whether a path is a model folder of MLflow, or the MLmodel file in it."""
    return (path / MLMODEL).is_file() or (path.name == MLMODEL and path.is_file())


def read_mlflow(path: Path, trust: Sequence[str] = ()) -> MlflowModel:
    """Open the model in a folder that MLflow wrote. That runs the code inside.

    Raises InvalidPipeline: a flavor that cannot be served, a file that is missing or cannot be
    opened.
    """
    folder = _folder(path)
    document = _document(folder)
    flavor, settings = _flavor(document, folder)
    try:
        pipeline = OPENERS[flavor](folder, settings, trust)
    except InvalidPipeline as error:
        raise InvalidPipeline(f"{error}{_code_hint(folder, settings)}") from None
    return MlflowModel(with_interface(pipeline), logged_columns(path))


def logged_columns(path: Path) -> tuple[Column, ...]:
    """The columns of the signature, or of the input example where there is none.

    Nothing of the model is opened. Raises InvalidPipeline.
    """
    folder = _folder(path)
    document = _document(folder)
    return _signature(document, folder) or _columns_of(_example(document, folder))


def skops_file(path: Path) -> Path | None:
    """The .skops file of a model folder; None when the model is stored in another form."""
    folder = _folder(path)
    flavor, settings = _flavor(_document(folder), folder)
    if flavor != "sklearn":
        return None
    file = _file(folder, settings, "pickled_model", "model.pkl")
    return file if file.suffix == SKOPS else None


def column_faults(columns: Sequence[Column], spec: ModelSpec) -> list[str]:
    """How the columns of a model and the fields of a contract differ, a sentence part each."""
    if not columns:
        return []
    features = {feature.name: feature for feature in spec.contract}
    known = {column.name for column in columns}
    faults = [
        f"{name} is in the contract and no column of the model"
        for name in features
        if name not in known
    ]
    for column in columns:
        feature = features.get(column.name)
        if feature is None:
            if column.is_required and column.name not in spec.targets:
                faults.append(f"{column.name} ({column.type or 'no type'}) is not in the contract")
            continue
        fault = _type_fault(column, feature)
        if fault:
            faults.append(fault)
    return faults


def _type_fault(column: Column, feature: Feature) -> str | None:
    allowed = DTYPES.get(column.type or "")
    if allowed is None or feature.dtype in allowed:
        return None
    return f"{column.name}: found {column.type}, the contract has {feature.dtype}"


def _folder(path: Path) -> Path:
    return path.parent if path.name == MLMODEL else path


def _document(folder: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load((folder / MLMODEL).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        cause = " ".join(str(error).split())[:200]
        raise InvalidPipeline(f"{folder / MLMODEL}: cannot be read as YAML ({cause})") from None
    if not isinstance(document, dict) or not isinstance(document.get("flavors"), dict):
        raise InvalidPipeline(f"{folder / MLMODEL}: found no flavors, expected those of a model")
    return document


def _flavor(document: Mapping[str, Any], folder: Path) -> tuple[str, Mapping[str, Any]]:
    flavors = document["flavors"]
    for name in OPENERS:
        if isinstance(flavors.get(name), dict):
            return name, flavors[name]
    raise InvalidPipeline(
        f"{folder}: found the flavors {', '.join(map(str, flavors)) or 'none'}, expected one of "
        f"{', '.join(OPENERS)}. A python_function alone is code that only MLflow can run: log the "
        "estimator itself, by mlflow.sklearn.log_model or that of its library"
    )


def _file(folder: Path, settings: Mapping[str, Any], key: str, default: str) -> Path:
    """A file that MLmodel names, inside of the folder."""
    path = folder / str(settings.get(key) or default)
    if not path.resolve().is_relative_to(folder.resolve()) or not path.exists():
        raise InvalidPipeline(f"{folder / MLMODEL}: names {path.name}, which is not in its folder")
    return path


def _code_hint(folder: Path, settings: Mapping[str, Any]) -> str:
    """Modules that were logged with the model, which MLflow puts on the path by itself."""
    code = settings.get("code")
    if not code or not (folder / str(code)).is_dir():
        return ""
    return f". The model was logged with code of its own: put {folder / str(code)} on PYTHONPATH"


def _open_sklearn(folder: Path, settings: Mapping[str, Any], trust: Sequence[str]) -> Any:
    path = _file(folder, settings, "pickled_model", "model.pkl")
    if path.suffix == SKOPS or settings.get("serialization_format") == "skops":
        return open_skops(path, trust)
    return open_pickle(path)


def _open_lightgbm(folder: Path, settings: Mapping[str, Any], trust: Sequence[str]) -> Any:
    path = _file(folder, settings, "data", "model.lgb")
    if path.suffix == SKOPS:
        return open_skops(path, trust)
    if path.suffix == ".pkl":
        return open_pickle(path)
    lightgbm = _library("lightgbm", folder)
    return _native(path, lambda: lightgbm.Booster(model_file=str(path)))


def _open_xgboost(folder: Path, settings: Mapping[str, Any], trust: Sequence[str]) -> Any:
    path = _file(folder, settings, "data", "model.xgb")
    xgboost = _library("xgboost", folder)
    name = str(settings.get("model_class") or "Booster").rpartition(".")[2]
    classes = ("Booster", "XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor")
    if name not in classes:
        raise InvalidPipeline(
            f"{folder}: found an xgboost.{name}, expected one of {', '.join(classes)}"
        )
    model = getattr(xgboost, name)()

    def load() -> Any:
        model.load_model(str(path))
        return model

    return _native(path, load)


def _open_catboost(folder: Path, settings: Mapping[str, Any], trust: Sequence[str]) -> Any:
    path = _file(folder, settings, "data", "model.cb")
    catboost = _library("catboost", folder)
    name = str(settings.get("model_type") or "CatBoost")
    classes = ("CatBoostClassifier", "CatBoostRegressor")
    if name not in classes:
        raise InvalidPipeline(
            f"{folder}: found a catboost.{name}, expected one of {', '.join(classes)}"
        )
    model = getattr(catboost, name)()
    save_format = str(settings.get("save_format") or "cbm")
    return _native(path, lambda: model.load_model(str(path), format=save_format))


def _library(name: str, folder: Path) -> Any:
    """A booster's library, imported late: few pipelines need it."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise InvalidPipeline(
            f"{folder}: its model needs {name}, found none here. Install requirements/boosters.txt"
        ) from None


def _native(path: Path, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except Exception as error:
        # Each library has errors of its own.
        cause = " ".join(str(error).split())[:200]
        raise InvalidPipeline(
            f"{path}: cannot be opened ({type(error).__name__}: {cause}); is it whole, and of the "
            "library's version that is installed here?"
        ) from None


Opener = Callable[[Path, Mapping[str, Any], Sequence[str]], Any]
# In this order: a Pipeline with a booster at its end is logged as sklearn.
OPENERS: dict[str, Opener] = {
    "sklearn": _open_sklearn,
    "lightgbm": _open_lightgbm,
    "xgboost": _open_xgboost,
    "catboost": _open_catboost,
}


def _signature(document: Mapping[str, Any], folder: Path) -> tuple[Column, ...]:
    """The named columns of the signature; none where it has tensors, or is not there."""
    text = (document.get("signature") or {}).get("inputs")
    if not text:
        return ()
    try:
        inputs = json.loads(text) if isinstance(text, str) else text
        return tuple(
            Column(str(column["name"]), column.get("type"), bool(column.get("required", True)))
            for column in inputs
            if "name" in column and column.get("type") != "tensor"
        )
    except (ValueError, TypeError, AttributeError):
        raise InvalidPipeline(f"{folder / MLMODEL}: its signature cannot be read") from None


def _example(document: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The rows of the input example; none where there are none, or they have no columns."""
    info = document.get("saved_input_example_info") or {}
    if info.get("type") != "dataframe":
        return []
    try:
        found = json.loads((folder / str(info["artifact_path"])).read_text("utf-8"))
        if isinstance(found, dict) and "columns" in found:
            return [dict(zip(found["columns"], row, strict=True)) for row in found["data"]]
        return [dict(row) for row in found]
    except (OSError, ValueError, TypeError, KeyError):
        # It is a help, and nothing depends on it.
        return []


def _columns_of(example: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """Columns by the rows of an example."""
    names = list(example[0]) if example else []
    return tuple(Column(name, _type_of([row.get(name) for row in example])) for name in names)


def _type_of(values: Sequence[Any]) -> str | None:
    known = [value for value in values if value is not None]
    for kind, name in ((bool, "boolean"), (int, "long"), (float, "double"), (str, "string")):
        if known and all(isinstance(value, kind) for value in known):
            return name
    is_number = all(isinstance(value, int | float) for value in known)
    return "double" if known and is_number else None
