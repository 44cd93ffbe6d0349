"""Models of models: calibrated, stacked, voting."""

from collections.abc import Iterator

from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    GradientBoostingClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from benchmarks.agree.case import NUMBERS, TEXTS, Case
from benchmarks.agree.parts import columns, forest, hist, isotonic, logistic


def combined_cases() -> Iterator[Case]:
    """Pipelines that are models of models."""

    def case(name: str, model: object, target: str = "churned") -> Case:
        return Case(name, lambda: make_pipeline(columns(NUMBERS, TEXTS), model), target=target)

    yield case(
        "calibrated boosting, isotonic",
        isotonic(hist(max_iter=10)),
    )
    yield case("calibrated forest, isotonic", isotonic(forest(n_estimators=10, max_depth=6)))
    yield case(
        "calibrated gradient boosting, isotonic",
        isotonic(GradientBoostingClassifier(n_estimators=10, random_state=0)),
    )
    yield case("calibrated linear SVC, sigmoid", CalibratedClassifierCV(LinearSVC(), cv=3))
    yield case("calibrated SVC", CalibratedClassifierCV(SVC(), cv=2))
    yield case(
        "calibrated forest, three classes",
        CalibratedClassifierCV(forest(n_estimators=10), cv=2),
        "tier",
    )
    yield Case(
        "calibrated around a pipeline",
        lambda: CalibratedClassifierCV(make_pipeline(columns(NUMBERS, TEXTS), logistic()), cv=3),
    )
    yield case(
        "stacked",
        StackingClassifier(
            [("trees", forest(n_estimators=10, max_depth=5)), ("linear", logistic())], cv=3
        ),
    )
    yield case(
        "stacked values",
        StackingRegressor(
            [("trees", DecisionTreeRegressor(max_depth=5)), ("linear", Ridge())], cv=3
        ),
        "price",
    )
    yield case(
        "voting",
        VotingClassifier(
            [("trees", DecisionTreeClassifier(max_depth=5)), ("linear", logistic())], voting="soft"
        ),
    )
    yield case(
        "voting of values",
        VotingRegressor([("trees", DecisionTreeRegressor(max_depth=5)), ("linear", Ridge())]),
        "weeks",
    )
