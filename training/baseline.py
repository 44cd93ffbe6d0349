"""What a version is compared with: an answer that ignores the row, and a linear model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from serve_app.bundle.manifest import Metric
from serve_app.contract import ModelSpec
from serve_app.contract.block import Block, Layout, Scores
from training.fitted_pipeline import FittedPipeline
from training.metrics import measure
from training.table import Table
from training.yardstick import is_quantiles

# Columns that the words of one open text field are counted in.
N_WORD_COLUMNS = 256


@dataclass(frozen=True)
class Baseline:
    """A baseline's scores and metrics on the same hold-out, in the shape of the version's."""

    name: str
    scores: Scores
    metrics: dict[str, Metric]


def baselines(fitted: FittedPipeline) -> dict[str, Baseline]:
    """Fit `linear` and `constant` on rows that are not in the hold-out.

    An anomaly score has none: without a truth there is nothing to be closer to.
    """
    if fitted.spec.is_anomaly_score:
        return {}
    linear = Pipeline([("columns", _columns(fitted.spec)), ("model", _linear(fitted.spec))])
    return {
        "linear": _baseline("linear", linear, fitted),
        "constant": _constant(fitted),
    }


def constant_metrics(fitted: FittedPipeline) -> dict[str, Metric]:
    """Measure what the answer that ignores the row reaches on the hold-out."""
    return {} if fitted.spec.is_anomaly_score else _constant(fitted).metrics


def _constant(fitted: FittedPipeline) -> Baseline:
    if fitted.spec.is_classifier:
        return _baseline("constant", DummyClassifier(strategy="prior"), fitted)
    # The median is the constant with the least mean absolute error.
    return _baseline("constant", DummyRegressor(strategy="median"), fitted)


def _linear(spec: ModelSpec) -> Any:
    if spec.is_classifier:
        return LogisticRegression(max_iter=500)
    # Words make more columns than a plain fit can tell apart.
    has_words = any(feature.dtype == "text" for feature in spec.contract)
    return Ridge() if has_words else LinearRegression()


def _baseline(name: str, estimator: Any, fitted: FittedPipeline) -> Baseline:
    rows = fitted.baseline_rows
    holdout = fitted.holdout
    if is_quantiles(fitted.spec):
        scores = _quantiles(estimator, rows, holdout.block, fitted.yardstick.levels)
    else:
        scores = _scores(estimator.fit(_plain(rows.block, rows.spec), rows.target), holdout)
    return Baseline(name, scores, measure(fitted.yardstick.measures, holdout.target, scores))


def _scores(estimator: Any, rows: Table) -> Scores:
    """In the shape of the spec's own: the classes of a baseline are positions already."""
    frame = _plain(rows.block, rows.spec)
    if not rows.spec.is_classifier:
        # One output comes as a column.
        return np.asarray(estimator.predict(frame), dtype=np.float64).reshape(rows.target.shape)
    probabilities = np.asarray(estimator.predict_proba(frame), dtype=np.float64)
    return probabilities[:, 1] if rows.spec.kind == "binary_classifier" else probabilities


def _quantiles(estimator: Any, rows: Table, block: Block, levels: tuple[float, ...]) -> Scores:
    """A baseline's value, moved by the quantiles of what it leaves open: (n_rows, n_levels)."""
    frame = _plain(rows.block, rows.spec)
    fitted = clone(estimator).fit(frame, rows.target)
    left = rows.target - fitted.predict(frame)
    values = np.asarray(fitted.predict(_plain(block, rows.spec)), dtype=np.float64)
    return np.asarray(values[:, None] + np.quantile(left, levels))


def _plain(block: Block, spec: ModelSpec) -> pd.DataFrame:
    """A block as it is: dates and truth values are numbers, a missing text is empty."""
    layout = Layout(spec.contract)
    numbers = pd.DataFrame(block.numbers, columns=list(layout.number_names))
    texts = pd.DataFrame(block.categories, columns=list(layout.category_names))
    return pd.concat([numbers, texts], axis="columns")


def _columns(spec: ModelSpec) -> ColumnTransformer:
    """Any contract as plain numbers.

    They are scaled; missing ones are at the median and flagged; categories are one-hot; the words
    of open texts are counted.
    """
    layout = Layout(spec.contract)
    # A column of nothing but gaps stays a column.
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    closed = [feature.name for feature in spec.contract if feature.dtype == "category"]
    words = HashingVectorizer(n_features=N_WORD_COLUMNS, token_pattern=r"\S+", alternate_sign=False)
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(imputer, StandardScaler()), list(layout.number_names)),
            ("categories", OneHotEncoder(handle_unknown="ignore"), closed),
            *((f.name, words, f.name) for f in spec.contract if f.dtype == "text"),
        ]
    )
