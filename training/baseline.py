"""What a version is compared with: an answer that ignores the row, and a linear model."""

from dataclasses import dataclass
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from serve_app.bundle.manifest import Metric
from serve_app.bundle.runtimes.sklearn_runtime import SklearnRuntime
from serve_app.contract import ModelSpec
from serve_app.contract.block import Layout, Scores
from training.calling import find_call
from training.candidate import Candidate
from training.metrics import measure, measures_of


@dataclass(frozen=True)
class Baseline:
    """A baseline's scores (n_holdout,) and metrics on the same hold-out."""

    name: str
    scores: Scores
    metrics: dict[str, Metric]


def baselines(candidate: Candidate) -> tuple[Baseline, Baseline]:
    """Fit the constant and the linear baseline on rows that are not in the hold-out."""
    is_classifier = candidate.spec.kind == "binary_classifier"
    linear = LogisticRegression(max_iter=500) if is_classifier else LinearRegression()
    pipeline = Pipeline([("columns", _columns(candidate.spec)), ("model", linear)])
    return _constant(candidate), _baseline("linear", pipeline, candidate)


def constant_metrics(candidate: Candidate) -> dict[str, Metric]:
    """Measure what the answer that ignores the row reaches on the hold-out."""
    return _constant(candidate).metrics


def _constant(candidate: Candidate) -> Baseline:
    if candidate.spec.kind == "binary_classifier":
        return _baseline("constant", DummyClassifier(strategy="prior"), candidate)
    # The median is the constant with the least mean absolute error.
    return _baseline("constant", DummyRegressor(strategy="median"), candidate)


def _baseline(name: str, estimator: Any, candidate: Candidate) -> Baseline:
    rows = candidate.baseline_rows
    spec = candidate.spec
    fitted = estimator.fit(rows.frame, rows.labels)
    call = find_call(fitted, candidate.holdout)
    scores = SklearnRuntime(fitted, spec.contract, call).score(candidate.holdout.block)
    measures = measures_of(spec, candidate.parameters)
    return Baseline(name, scores, measure(measures, candidate.holdout.target, scores))


def _columns(spec: ModelSpec) -> ColumnTransformer:
    """Any contract as plain numbers.

    They are scaled; missing ones are at the median and flagged; categories are one-hot.
    """
    layout = Layout(spec.contract)
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    return ColumnTransformer(
        [
            ("numbers", numbers, list(layout.number_names)),
            ("categories", OneHotEncoder(handle_unknown="ignore"), list(layout.category_names)),
        ]
    )
