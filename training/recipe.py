"""What a model file in `training/models/` must say; everything else is the same for every model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, get_args

import pandas as pd

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
    share of unusual rows that a model without a target is meant to find.
    """

    make_rows: Callable[[int, int], pd.DataFrame] | None = None
    pipeline: Callable[[], Any] | None = None
    n_rows: int = 0
    map_columns: Callable[[pd.DataFrame], pd.DataFrame] = keep_columns
    at_least: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)
    texts: TextType = "str"
    contamination: float | None = None

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


def get_training(name: str) -> Training:
    """Find the training of a registered model, in `training/models/<name>.py`.

    Raises TrainingError where there is none.
    """
    module = f"training.models.{name}"
    try:
        training = getattr(import_module(module), "TRAINING", None)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise TrainingError(
                f"{name}: its training needs the module {error.name}, which is not installed"
            ) from None
        training = None
    if not isinstance(training, Training):
        raise TrainingError(
            f"{name}: found no TRAINING in training/models/{name}.py, expected TRAINING = "
            "Training(…) there"
        )
    return training
