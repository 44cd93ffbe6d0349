"""A pipeline that somebody has already fitted, read from a joblib file."""

import warnings
from pathlib import Path
from typing import Any

import joblib
from sklearn.exceptions import InconsistentVersionWarning

from training.errors import InvalidPipeline


def read_pipeline(path: Path) -> Any:
    """The fitted estimator in `path`. Opening it runs the code inside: only for files that one trusts.

    Raises InvalidPipeline when it cannot be opened here, or was written by another scikit-learn.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            return joblib.load(path)
    except InconsistentVersionWarning as warning:
        raise InvalidPipeline(
            f"{path}: found an estimator of scikit-learn {warning.original_sklearn_version}, expected "
            f"{warning.current_sklearn_version}, the one installed here. Fit it again, or install its version."
        ) from None
    except Exception as error:  # a pickle can raise anything, a missing module most of all
        raise InvalidPipeline(
            f"{path}: cannot be opened ({type(error).__name__}: {' '.join(str(error).split())[:300]}); "
            "expected a fitted scikit-learn estimator written by joblib.dump"
        ) from None
