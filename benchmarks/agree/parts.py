"""Parts that the cases share; functions are importable, so that joblib can store them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

N_TREES = 25


def columns(
    numbers: Sequence[str], texts: Sequence[str] = (), *, number: Any = None, text: Any = None
) -> ColumnTransformer:
    """Numbers through one transformer, texts through another: imputed and scaled, and one-hot."""
    ways = []
    if number is None:
        number = imputed()
    if text is None:
        text = one_hot()
    if numbers:
        ways.append(("numbers", number, list(numbers)))
    if texts:
        ways.append(("texts", text, list(texts)))
    return ColumnTransformer(ways)


def one_hot(**words: Any) -> OneHotEncoder:
    """A dense one-hot encoder to which unseen values are nothing."""
    return OneHotEncoder(**{"handle_unknown": "ignore", "sparse_output": False, **words})


def imputed(*more: Any, **words: Any) -> Any:
    """Numbers without gaps, scaled."""
    return make_pipeline(SimpleImputer(**words), StandardScaler(), *more)


def day_numbers(rows: pd.DataFrame) -> Any:
    """Dates as days since 2020 and weekdays, NaN where missing."""
    start = pd.Timestamp("2020-01-01")
    day = pd.Timedelta(days=1)
    since = rows.apply(lambda column: (column - start) / day)
    weekdays = rows.apply(lambda column: column.dt.weekday).add_suffix("_weekday")
    return pd.concat([since, weekdays], axis=1).astype(np.float64)


def as_float(rows: pd.DataFrame) -> Any:
    """Truth values, also those with gaps, as floats."""
    return rows.astype(np.float64)


def filled_with_missing(rows: pd.DataFrame) -> Any:
    """Gaps as the text "missing", as many a notebook does before an encoder."""
    return rows.astype(object).fillna("missing")


def as_categories(rows: pd.DataFrame) -> Any:
    """All texts as categories, for boosters."""
    texts = rows.select_dtypes(exclude="number").columns
    return rows.astype(dict.fromkeys(texts, "category"))


def log_of_room(rows: pd.DataFrame) -> Any:
    """How far amounts are from 200,000, which a customer may exceed: there it is no number."""
    return rows.assign(amount=np.log(200_000 - rows["amount"]))


def of_texts(rows: pd.DataFrame) -> Any:
    """The column of texts itself: a vectorizer takes no frame."""
    return rows.iloc[:, 0].astype(str)


def logistic(**words: object) -> LogisticRegression:
    """A logistic regression that converges."""
    return LogisticRegression(**{"max_iter": 1_000, **words})


def hist(**words: object) -> HistGradientBoostingClassifier:
    """A small boosting of histograms."""
    return HistGradientBoostingClassifier(**{"max_iter": N_TREES, "random_state": 0, **words})


def hist_values(**words: object) -> HistGradientBoostingRegressor:
    """The same for values."""
    return HistGradientBoostingRegressor(**{"max_iter": N_TREES, "random_state": 0, **words})


def forest(**words: object) -> RandomForestClassifier:
    """A forest of deep trees."""
    return RandomForestClassifier(**{"n_estimators": N_TREES, "random_state": 0, **words})


def isotonic(model: Any) -> CalibratedClassifierCV:
    """The model, calibrated by steps, which make small differences of its scores large."""
    return CalibratedClassifierCV(model, method="isotonic", cv=3)
