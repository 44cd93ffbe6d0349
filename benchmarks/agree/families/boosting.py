"""What scikit-learn boosts, and bags of trees."""

from collections.abc import Iterator

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from benchmarks.agree.case import NUMBERS, TEXTS, WHOLE, Case
from benchmarks.agree.parts import N_TREES, columns, hist, hist_values, imputed

BOTH = (*NUMBERS, *TEXTS)


def boosting_cases() -> Iterator[Case]:
    """Pipelines that scikit-learn boosts."""
    yield Case(
        "gradient boosting, gaps that it refuses",
        lambda: GradientBoostingClassifier(n_estimators=N_TREES, random_state=0),
        NUMBERS,
        fit_gaps=False,
    )
    yield Case(
        "gradient boosting, imputed",
        lambda: make_pipeline(
            columns(NUMBERS, TEXTS, number=SimpleImputer(strategy="median", add_indicator=True)),
            GradientBoostingClassifier(n_estimators=N_TREES, random_state=0),
        ),
    )
    yield Case(
        "gradient boosting of prices",
        lambda: GradientBoostingRegressor(n_estimators=N_TREES, random_state=0),
        WHOLE,
        "price",
    )
    yield Case(
        "gradient boosting, scaled",
        lambda: make_pipeline(
            imputed(), GradientBoostingClassifier(n_estimators=N_TREES, random_state=0)
        ),
        NUMBERS,
        "answer",
    )
    yield Case(
        "gradient boosting, three classes",
        lambda: GradientBoostingClassifier(n_estimators=10, random_state=0),
        WHOLE,
        "tier",
    )
    yield Case("hist boosting, gaps as they are", hist, NUMBERS)
    yield Case("hist boosting of prices", hist_values, NUMBERS, "price")
    yield Case("hist boosting, three classes", hist, NUMBERS, "tier")
    yield Case("hist boosting, gamma", lambda: hist_values(loss="gamma"), NUMBERS, "weeks")
    yield Case(
        "hist boosting, quantile",
        lambda: hist_values(loss="quantile", quantile=0.5),
        NUMBERS,
        "price",
    )
    yield Case(
        "hist boosting, two outputs",
        lambda: MultiOutputRegressor(hist_values(max_iter=10)),
        NUMBERS,
        ("low", "high"),
    )
    yield Case("hist boosting, monotonic", lambda: hist(monotonic_cst=[1, 0, 0, -1, 0]), NUMBERS)
    yield Case("hist boosting, categories by pandas", hist, BOTH, texts="category")
    yield Case(
        "hist boosting, categories by ordinal",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    (
                        "texts",
                        OrdinalEncoder(
                            handle_unknown="use_encoded_value",
                            unknown_value=np.nan,
                            encoded_missing_value=np.nan,
                        ),
                        list(TEXTS),
                    )
                ],
                remainder="passthrough",
            ),
            hist(categorical_features=[0, 1]),
        ),
    )
    yield Case(
        "hist boosting, categories by number",
        lambda: hist(categorical_features=["store"]),
        ("amount", "store"),
    )
    yield Case(
        "hist boosting behind a scaler",
        lambda: make_pipeline(StandardScaler(), hist()),
        NUMBERS,
    )
    yield Case(
        "AdaBoost",
        lambda: make_pipeline(
            columns(NUMBERS, TEXTS), AdaBoostClassifier(n_estimators=20, random_state=0)
        ),
    )
    yield Case(
        "AdaBoost of values",
        lambda: AdaBoostRegressor(n_estimators=10, random_state=0),
        WHOLE,
        "price",
    )
    yield Case(
        "bagging",
        lambda: make_pipeline(
            columns(NUMBERS, TEXTS),
            BaggingClassifier(DecisionTreeClassifier(max_depth=5), random_state=0),
        ),
    )
