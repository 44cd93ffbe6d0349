"""Single trees and forests."""

from collections.abc import Iterator

from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from benchmarks.agree.case import NUMBERS, TEXTS, WHOLE, Case
from benchmarks.agree.parts import N_TREES, columns, forest


def tree_cases() -> Iterator[Case]:
    """Trees and forests, with gaps of their own, on cents and epoch seconds."""
    yield Case(
        "single tree, gaps as they are", lambda: DecisionTreeClassifier(max_depth=4), NUMBERS
    )
    yield Case("single tree of rates", lambda: DecisionTreeRegressor(max_depth=7), WHOLE, "rate")
    yield Case("forest, gaps as they are", forest, NUMBERS)
    yield Case("forest, gaps never seen", forest, NUMBERS, fit_gaps=False)
    yield Case("forest, three classes", forest, NUMBERS, "tier")
    yield Case(
        "forest of even size, no is positive",
        lambda: forest(n_estimators=10),
        NUMBERS,
        "answer",
        positive="no",
    )
    yield Case(
        "forest of prices",
        lambda: RandomForestRegressor(N_TREES, random_state=0),
        NUMBERS,
        "price",
    )
    yield Case(
        "forest, two outputs",
        lambda: RandomForestRegressor(N_TREES, max_depth=8, random_state=0),
        NUMBERS,
        ("low", "high"),
    )
    yield Case(
        "extra trees behind ordinals",
        lambda: make_pipeline(
            columns(
                NUMBERS,
                TEXTS,
                number=SimpleImputer(),
                text=OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            ),
            ExtraTreesClassifier(N_TREES, random_state=0),
        ),
    )
    yield Case(
        "extra trees of values, scaled",
        lambda: make_pipeline(StandardScaler(), ExtraTreesRegressor(N_TREES, random_state=0)),
        NUMBERS,
        "weeks",
    )
