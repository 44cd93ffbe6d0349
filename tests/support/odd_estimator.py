"""Parts of pipelines that the ONNX converter does not know; importable, so that joblib can store
them.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin


def log_of_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """A transformation that only Python knows."""
    return np.log1p(rows)


class MeanOfColumns(RegressorMixin, BaseEstimator):
    """A regressor of four lines that no converter has heard of."""

    def fit(self, rows: pd.DataFrame, target: Any) -> "MeanOfColumns":
        """Keep the mean of the target."""
        self.mean_ = float(np.mean(target))
        return self

    def predict(self, rows: pd.DataFrame) -> Any:
        """The mean, and a little more for each item."""
        return (
            self.mean_
            + (rows["n_items"].to_numpy() - 3.5) * 0.4
            + (rows["distance_km"].to_numpy() - 5) * 1.5
        )


class Drifting(MeanOfColumns):
    """Answers a minute later each time it is opened."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.mean_ += 1


class Answering(ClassifierMixin, BaseEstimator):
    """A classifier that gives the answers it was told, for the tests of refusals."""

    def __init__(
        self, shape: int = 2, value: float = 0.5, classes: tuple[object, ...] = (0, 1)
    ) -> None:
        self.shape, self.value, self.classes = shape, value, classes

    @property
    def classes_(self) -> Any:
        """The classes in the order of the columns."""
        return np.array(self.classes)

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        """The same answer for every row."""
        return np.full((len(rows), self.shape), self.value)


class Raising(Answering):
    """A classifier whose author did not think of these rows."""

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        """Raise what nobody expects."""
        raise ZeroDivisionError("no such customer")
