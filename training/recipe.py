"""What a model's training file must say; everything else is the same for every model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import pandas as pd

from serve_app.bundle.runtimes.needs import find_module
from serve_app.models import imported, is_module
from training.errors import TrainingError

# How text columns come to a pipeline.
TextType = Literal["str", "category"]
# An optional column of generated rows: the true probability or the noiseless value.
BEST = "best_score"


def keep_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Map a CSV file that has the contract's own column names: nothing to do."""
    return rows


@dataclass(frozen=True)
class Training:
    """How one model gets its rows and its pipeline.

    `make_rows(n_rows, seed)` gives the features, the target and, where it is known, the column
    `best_score`; without it, a CSV file is needed. `pipeline()` gives an unfitted scikit-learn
    estimator that takes a frame in the contract's columns. Where it cannot be compiled, serving
    opens it as it is: then it may only contain classes and functions that are installed there.
    `map_columns` turns a CSV file with foreign columns into the contract's; it may raise KeyError
    or ValueError. `at_least` and `at_most` name the worst metrics that a version may have. `texts`
    is the pandas type of text columns in the frame: `category` for boosters. `contamination` is the
    share of unusual rows that a model without a target is meant to find. `csv` holds arguments of
    `pandas.read_csv` for files that are not UTF-8 with commas, such as `{"sep": ";"}`.
    """

    make_rows: Callable[[int, int], pd.DataFrame] | None = None
    pipeline: Callable[[], Any] | None = None
    n_rows: int = 0
    map_columns: Callable[[pd.DataFrame], pd.DataFrame] = keep_columns
    at_least: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)
    texts: TextType = "str"
    contamination: float | None = None
    csv: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        share = self.contamination
        if share is not None and not 0 < share < 1:
            raise TrainingError(
                f"Training.contamination: found {share!r}, expected a share between 0 and 1"
            )
        if self.texts not in get_args(TextType):
            raise TrainingError(
                f"Training.texts: found {self.texts!r}, expected one of "
                f"{', '.join(get_args(TextType))}"
            )


def get_training(model: str) -> Training:
    """Find the training of a model, which bundling a fitted pipeline does not need.

    That of `churn` is `TRAINING` in `training/models/churn.py`; that of a module of somebody's own,
    `shop.models.loan`, is `TRAINING` in `shop.models.loan_training`. It never stands next to SPEC:
    servers import that module, and have no scikit-learn. Without such a file, a `Training()` that
    can do nothing by itself. Raises SettingsError or TrainingError in one sentence.
    """
    path = f"{model}_training" if is_module(model) else f"training.models.{model}"
    spec_module = imported(model) if is_module(model) else None
    if hasattr(spec_module, "TRAINING"):
        raise TrainingError(
            f"{model}: found TRAINING next to SPEC, in a module that servers import, where "
            f"training and scikit-learn are not installed; expected it in the module {path}"
        )
    if find_module(path) is None:
        return Training()
    training = getattr(imported(path), "TRAINING", None)
    if not isinstance(training, Training):
        raise TrainingError(f"{path}: has no TRAINING; expected TRAINING = Training(…) in it")
    return training
