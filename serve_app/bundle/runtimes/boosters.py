"""A native LightGBM model with the methods of a scikit-learn estimator.

It stands inside of pickles, so it lives where they are opened. XGBoost needs none: its own
classifier and regressor take a native model.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class LightGBMRegressor:
    """What a `lightgbm.Booster` predicts: a value for each row."""

    def __init__(self, booster: Any) -> None:
        self.booster_ = booster

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """The columns that it was trained on."""
        return np.array(self.booster_.feature_name(), dtype=object)

    def predict(self, rows: Any) -> Any:
        """(n_rows,) values."""
        return self.booster_.predict(rows)


class LightGBMClassifier(LightGBMRegressor):
    """What a `lightgbm.Booster` with a binary or multiclass objective predicts.

    Its classes are the numbers 0, 1, … that it was trained on.
    """

    def __init__(self, booster: Any) -> None:
        super().__init__(booster)
        self.classes_ = np.arange(max(2, booster.num_model_per_iteration()))

    def predict_proba(self, rows: Any) -> NDArray[np.float64]:
        """(n_rows, n_classes) probabilities."""
        found = np.asarray(self.booster_.predict(rows), dtype=np.float64)
        return np.column_stack([1 - found, found]) if found.ndim == 1 else found

    def predict(self, rows: Any) -> Any:
        """(n_rows,) the most probable class."""
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]
