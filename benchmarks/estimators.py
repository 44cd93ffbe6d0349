"""Pipelines that are hard to serve: a big forest, one that is not compiled, one that is slow."""

import time
from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from training.models.churn import DIRECTIONS

SLOW_S = 0.2


def forest() -> Any:
    """Build 500 trees, about 50 MB."""
    columns = ColumnTransformer([("numbers", "passthrough", list(DIRECTIONS))])
    trees = RandomForestClassifier(n_estimators=500, max_leaf_nodes=1_250, random_state=0)
    return Pipeline([("columns", columns), ("model", trees)])


def uncompilable() -> Any:
    """Build a pipeline with a Python function inside, which scikit-learn itself must run."""
    scaled = ColumnTransformer(
        [("scaled", StandardScaler(), list(DIRECTIONS))], remainder="passthrough"
    )
    trees = HistGradientBoostingClassifier(max_iter=300, random_state=0)
    return Pipeline(
        [("ratios", FunctionTransformer(add_ratios)), ("columns", scaled), ("model", trees)]
    )


def add_ratios(rows: pd.DataFrame) -> pd.DataFrame:
    """Add spend and tickets by seat."""
    return rows.assign(
        spend_by_seat=rows["monthly_spend_usd"] / rows["num_team_members"],
        tickets_by_seat=rows["support_tickets_opened"] / rows["num_team_members"],
    )


class Slow(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Another pipeline's answers, 200 ms a call later: waiting, or computing all the while."""

    def __init__(self, inner: Any, computes: bool) -> None:
        self.inner = inner
        self.computes = computes

    def fit(self, rows: Any, labels: Any) -> "Slow":
        """Fit the other pipeline."""
        self.inner.fit(rows, labels)
        self.classes_ = self.inner.classes_
        return self

    def predict_proba(self, rows: Any) -> Any:
        """Answer as scikit-learn does, SLOW_S after the call."""
        until_s = time.monotonic() + SLOW_S
        answers = self.inner.predict_proba(rows)
        if not self.computes:
            time.sleep(max(0.0, until_s - time.monotonic()))
        while time.monotonic() < until_s:
            pass
        return answers
