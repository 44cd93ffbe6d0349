"""A pipeline that somebody has already fitted, read from a joblib file."""

import warnings
from pathlib import Path
from typing import Any

import joblib
from sklearn.exceptions import InconsistentVersionWarning

from training.errors import InvalidPipeline


def read_pipeline(path: Path) -> Any:
    """Open the fitted estimator in `path`. That runs the code inside: only for trusted files.

    Raises InvalidPipeline when it cannot be opened here, or was written by another scikit-learn.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            return joblib.load(path)
    except InconsistentVersionWarning as warning:
        raise InvalidPipeline(
            f"{path}: found an estimator of scikit-learn {warning.original_sklearn_version}, "
            f"expected {warning.current_sklearn_version}, the one installed here. Fit it again, or "
            "install its version."
        ) from None
    except Exception as error:
        # A pickle can raise anything; most often a module is missing.
        cause = " ".join(str(error).split())[:300]
        raise InvalidPipeline(
            f"{path}: cannot be opened ({type(error).__name__}: {cause}); expected a fitted "
            "scikit-learn estimator written by joblib.dump"
        ) from None
