"""Files that hold a fitted pipeline: written by joblib or pickle, or by skops."""

import json
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import joblib
from sklearn.exceptions import InconsistentVersionWarning

from serve_app.bundle.runtimes.boosters import LightGBMClassifier, LightGBMRegressor
from training.errors import InvalidPipeline

MAX_CAUSE_LENGTH = 300
SKOPS = ".skops"
CLASSIFYING = ("binary", "multiclass", "softmax", "cross_entropy")


def open_pickle(path: Path) -> Any:
    """Open what joblib.dump, pickle or cloudpickle wrote. That runs the code inside.

    Raises InvalidPipeline when it cannot be opened here, or was written by another scikit-learn.
    """
    return _opened(path, lambda: joblib.load(path), "written by joblib.dump")


def untrusted_types(path: Path) -> list[str]:
    """The types in a .skops file that skops does not know. Nothing in the file is run.

    Raises InvalidPipeline for a file that is none of skops.
    """
    skops = _skops(path)
    try:
        return sorted(skops.get_untrusted_types(file=path))
    except Exception as error:
        raise InvalidPipeline(_unreadable(path, error, "written by skops.io.dump")) from None


def open_skops(path: Path, trust: Sequence[str] = ()) -> Any:
    """Open what skops.io.dump wrote; of types that skops does not know, those in `trust` alone.

    Raises InvalidPipeline which lists the others.
    """
    found = untrusted_types(path)
    others = [name for name in found if name not in trust]
    if others:
        options = " ".join(f"--trust {name}" for name in others)
        raise InvalidPipeline(
            f"{path}: found types that skops does not know: {', '.join(others)}; opening the file "
            f"runs their code. After a look at them, give {options}"
        )
    skops = _skops(path)
    return _opened(path, lambda: skops.load(path, trusted=found), "written by skops.io.dump")


def _skops(path: Path) -> Any:
    try:
        # Imported late: few pipelines come so.
        return import_module("skops.io")
    except ModuleNotFoundError:
        raise InvalidPipeline(
            f"{path}: needs skops to be opened, found none. Install it: pip install skops"
        ) from None


def _opened(path: Path, load: Any, expected: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            return with_interface(load())
    except InconsistentVersionWarning as warning:
        raise InvalidPipeline(
            f"{path}: found an estimator of scikit-learn {warning.original_sklearn_version}, "
            f"expected {warning.current_sklearn_version}, the one installed here. Fit it again, or "
            "install its version."
        ) from None
    except Exception as error:
        # A pickle can raise anything; most often a module is missing.
        raise InvalidPipeline(_unreadable(path, error, expected)) from None


def _unreadable(path: Path, error: Exception, expected: str) -> str:
    """Why a file cannot be opened, with what to do where that is known."""
    cause = " ".join(str(error).split())[:MAX_CAUSE_LENGTH]
    text = f"{path}: cannot be opened ({type(error).__name__}: {cause}); "
    if isinstance(error, ModuleNotFoundError) and error.name:
        return text + (
            f"expected the module {error.name} here: install the package that has it, or put its "
            "folder on PYTHONPATH, here and where it serves"
        )
    if isinstance(error, AttributeError) and "__main__" in cause:
        return text + (
            "the script that fitted it defined this itself: put it into a module, import it from "
            "there, and fit again"
        )
    return text + f"expected a fitted scikit-learn estimator {expected}"


def with_interface(pipeline: Any) -> Any:
    """Give a native model of LightGBM or XGBoost the methods of an estimator; others stay."""
    kind = type(pipeline)
    if kind.__name__ != "Booster":
        return pipeline
    if kind.__module__.startswith("lightgbm"):
        objective = str(pipeline.dump_model(num_iteration=1).get("objective", ""))
        if objective.startswith(CLASSIFYING):
            return LightGBMClassifier(pipeline)
        return LightGBMRegressor(pipeline)
    if kind.__module__.startswith("xgboost"):
        return _xgboost_estimator(pipeline)
    return pipeline


def _xgboost_estimator(booster: Any) -> Any:
    """XGBoost's own classifier or regressor around a native model."""
    xgboost = import_module("xgboost")
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    is_classifier = objective in ("binary:logistic", "multi:softprob", "multi:softmax")
    estimator = xgboost.XGBClassifier() if is_classifier else xgboost.XGBRegressor()
    if booster.attr("best_iteration") is not None:
        # Native models predict with all trees, estimators with those up to the best iteration.
        booster = booster.copy()
        booster.set_attr(best_iteration=None)
    estimator.load_model(booster.save_raw())
    return estimator
