"""Models that add and multiply, and thresholds on them."""

from collections.abc import Iterator

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVR

from benchmarks.agree.case import NUMBERS, TEXTS, WHOLE, Case
from benchmarks.agree.parts import columns, imputed, logistic


def linear_cases() -> Iterator[Case]:
    """Models that add and multiply."""

    def case(name: str, model: object, **words: object) -> Case:
        return Case(name, lambda: make_pipeline(columns(NUMBERS, TEXTS), model), **words)  # type: ignore[arg-type]

    yield case("logistic regression", logistic())
    yield case("logistic regression, labels yes and no", logistic(), target="answer")
    yield case("logistic regression, no is positive", logistic(), target="answer", positive="no")
    yield case("logistic regression, three classes", logistic(), target="tier")
    yield Case(
        "logistic regression, indicators of gaps",
        lambda: make_pipeline(
            columns(NUMBERS, TEXTS, number=imputed(strategy="median", add_indicator=True)),
            logistic(C=0.1),
        ),
    )
    yield Case(
        "linear regression of prices, cents and seconds as they are",
        LinearRegression,
        WHOLE,
        "price",
    )
    yield case("ridge regression of prices", Ridge(), target="price")
    yield case("lasso", Lasso(alpha=10), target="price")
    yield case("elastic net of rates", ElasticNet(alpha=1e-7), target="rate")
    yield case("huber", HuberRegressor(max_iter=500), target="weeks")
    yield case("poisson", PoissonRegressor(), target="weeks")
    yield case("SGD, log loss", SGDClassifier(loss="log_loss", random_state=0))
    yield case("SGD, three classes", SGDClassifier(loss="log_loss", random_state=0), target="tier")
    yield case("SGD, values", SGDRegressor(random_state=0), target="weeks")
    yield case("linear SVR", LinearSVR(random_state=0, max_iter=5_000), target="weeks")
    yield case("ridge, two outputs", Ridge(), target=("low", "high"))
    yield case(
        "target through a logarithm",
        TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
        target="price",
    )
    yield case("threshold of 0.2", FixedThresholdClassifier(logistic(), threshold=0.2))
    yield case(
        "threshold on the class that is not asked for",
        FixedThresholdClassifier(logistic(), threshold=0.3, pos_label="no"),
        target="answer",
    )
    yield case(
        "threshold on the decision function",
        FixedThresholdClassifier(logistic(), threshold=0.4, response_method="decision_function"),
    )
    yield case("tuned threshold", TunedThresholdClassifierCV(logistic(), scoring="recall", cv=3))
    yield case("grid search", GridSearchCV(logistic(), {"C": [0.1, 1]}, cv=3))
