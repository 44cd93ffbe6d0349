"""What is compiled gives the fitted pipeline's own answer next to every cut, and is compiled."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kinds import wide
from purchases import NUMBERS, TEXTS, compiled_purchases, fitted, opened, purchases
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier

from serve_app.contract import ModelSpec
from training.calling import find_call
from training.compilation.exact import compile_exactly
from training.reading import check
from training.table import Table
from training.threshold import find_threshold

FOREST = {"n_estimators": 8, "max_depth": 5, "random_state": 0}
BOOSTING = {"max_iter": 10, "random_state": 0}


def columns(numbers: Any = "passthrough", texts: Any = None) -> ColumnTransformer:
    """The texts through an encoder, the numbers through these steps."""
    texts = texts or OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer([("texts", texts, TEXTS), ("numbers", numbers, NUMBERS)])


def scaled() -> Any:
    """Imputed and scaled."""
    return make_pipeline(SimpleImputer(), StandardScaler())


def filled_texts() -> Any:
    """Texts imputed, then one-hot."""
    return make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )


def codes(unknown: float) -> OrdinalEncoder:
    """Ordinals with a code for what is unknown."""
    return OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=unknown, encoded_missing_value=-2
    )


def boosting(**more: Any) -> HistGradientBoostingClassifier:
    """A small histogram boosting."""
    return HistGradientBoostingClassifier(**BOOSTING, **more)


def logistic() -> LogisticRegression:
    """A plain logistic regression."""
    return LogisticRegression()


Make = Callable[[], Any]
PIPELINES: dict[str, tuple[str, Make]] = {
    "boosting": ("binary", lambda: make_pipeline(columns(), boosting())),
    "boosting behind a power": (
        "binary",
        lambda: make_pipeline(columns(PowerTransformer()), boosting()),
    ),
    "boosting on categories": (
        "binary",
        lambda: make_pipeline(columns(texts=codes(np.nan)), boosting(categorical_features=[0, 1])),
    ),
    "boosting on target means": (
        "binary",
        lambda: make_pipeline(columns(texts=TargetEncoder()), boosting()),
    ),
    "gradient boosting with an indicator": (
        "binary",
        lambda: make_pipeline(
            columns(SimpleImputer(add_indicator=True)),
            GradientBoostingClassifier(n_estimators=10, random_state=0),
        ),
    ),
    "forest": ("binary", lambda: make_pipeline(columns(), RandomForestClassifier(**FOREST))),
    "scaled extra trees on rare texts": (
        "binary",
        lambda: make_pipeline(
            columns(
                MinMaxScaler(),
                OneHotEncoder(
                    handle_unknown="infrequent_if_exist", min_frequency=0.1, sparse_output=False
                ),
            ),
            ExtraTreesClassifier(**FOREST),
        ),
    ),
    "calibrated forest": (
        "binary",
        lambda: make_pipeline(
            columns(), CalibratedClassifierCV(RandomForestClassifier(**FOREST), cv=2)
        ),
    ),
    "calibration around a pipeline": (
        "binary",
        lambda: CalibratedClassifierCV(make_pipeline(columns(scaled()), logistic()), cv=2),
    ),
    "calibration by temperature": (
        "binary",
        lambda: CalibratedClassifierCV(
            make_pipeline(columns(scaled()), logistic()), cv=2, method="temperature"
        ),
    ),
    "voting": (
        "binary",
        lambda: VotingClassifier(
            [
                ("sum", make_pipeline(columns(scaled()), logistic())),
                ("trees", make_pipeline(columns(), boosting())),
            ],
            voting="soft",
        ),
    ),
    "stacking": (
        "binary",
        lambda: StackingClassifier(
            [
                ("sum", make_pipeline(columns(scaled()), logistic())),
                ("trees", make_pipeline(columns(), RandomForestClassifier(**FOREST))),
            ],
            cv=2,
        ),
    ),
    "bagging of some columns": (
        "binary",
        lambda: make_pipeline(
            columns(),
            BaggingClassifier(
                DecisionTreeClassifier(max_depth=4), 5, max_features=0.7, random_state=0
            ),
        ),
    ),
    "filled texts": (
        "binary",
        lambda: make_pipeline(columns(scaled(), filled_texts()), logistic()),
    ),
    "bins": (
        "binary",
        lambda: make_pipeline(
            columns(make_pipeline(SimpleImputer(), KBinsDiscretizer(5, encode="onehot-dense"))),
            logistic(),
        ),
    ),
    "components": ("binary", lambda: make_pipeline(columns(scaled()), PCA(3), logistic())),
    "a threshold of its own": (
        "binary",
        lambda: FixedThresholdClassifier(
            make_pipeline(columns(scaled()), SGDClassifier(loss="log_loss", random_state=0)),
            threshold=0.3,
        ),
    ),
    "perceptron": (
        "binary",
        lambda: make_pipeline(
            columns(scaled()), MLPClassifier((6,), solver="lbfgs", max_iter=30, random_state=0)
        ),
    ),
    "three classes by boosting": ("three", lambda: make_pipeline(columns(), boosting())),
    "three classes by a sum": ("three", lambda: make_pipeline(columns(scaled()), logistic())),
    "prices by a sum": (
        "value",
        lambda: make_pipeline(columns(SimpleImputer()), LinearRegression()),
    ),
    "prices by ordinals": (
        "value",
        lambda: make_pipeline(columns(scaled(), codes(-1)), Ridge()),
    ),
    "prices by boosting of logarithms": (
        "value",
        lambda: TransformedTargetRegressor(
            make_pipeline(columns(), HistGradientBoostingRegressor(**BOOSTING)),
            func=np.log1p,
            inverse_func=np.expm1,
        ),
    ),
    "gamma": (
        "value",
        lambda: make_pipeline(columns(), HistGradientBoostingRegressor(loss="gamma", **BOOSTING)),
    ),
    "two outputs": ("outputs", lambda: make_pipeline(columns(), RandomForestRegressor(**FOREST))),
    "anomaly": (
        "anomaly",
        lambda: make_pipeline(
            columns(SimpleImputer()),
            IsolationForest(n_estimators=8, max_features=0.6, random_state=0),
        ),
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PIPELINES)
def test_an_ordinary_pipeline_is_compiled_and_answers_as_the_fitted_one(name: str) -> None:
    """On cents and epoch seconds, next to every cut, with texts and numbers missing or unseen."""
    kind, make = PIPELINES[name]
    pipeline = fitted(make(), kind)
    compilation, truth, call = compiled_purchases(pipeline, kind)
    runtime = opened(compilation, call)
    rows = purchases(300, 3, kind)
    expected = np.asarray(getattr(pipeline, call.method)(rows.frame_for(call)), dtype=float)
    if call.columns is not None:
        expected = expected[:, call.columns]
    found = runtime.score(rows.block)
    assert np.abs(found - expected.reshape(found.shape)).max() <= truth.tolerance
    alone = runtime.score(rows.block[:1])
    assert np.abs(alone - found[:1]).max() <= truth.tolerance
    assert found.std() > 0


@pytest.mark.filterwarnings("ignore")
def test_cuts_are_found_in_the_unit_of_the_field_behind_a_scaler() -> None:
    """The last number on the left of a cut, and its neighbour on the right, are told apart."""
    pipeline = fitted(
        make_pipeline(columns(StandardScaler()), DecisionTreeClassifier(max_depth=2)), "binary"
    )
    rows = purchases(300, 2, "binary")
    _, _, call = compiled_purchases(pipeline, "binary")
    cuts = compile_exactly(pipeline, rows.spec, call, rows.block).cuts
    steps = pipeline[:-1]
    name, found = next((name, found) for name, found in cuts.items() if name != "n_visits")
    unit = 1 if name == "since_s" else None
    after = found + unit if unit else np.nextafter(found, np.inf)
    tree = pipeline[-1]
    sides = []
    for values in (found, after):
        frame = pd.concat([rows.frame.iloc[:1]] * len(values), ignore_index=True)
        frame[name] = values.astype(frame[name].dtype)
        sides.append(tree.decision_path(steps.transform(frame)).toarray())
    assert (sides[0] != sides[1]).any(axis=1).all()


@pytest.mark.filterwarnings("ignore")
def test_probes_stand_on_both_sides_of_cuts() -> None:
    """A graph in float32, which cannot tell them apart, is found out by them."""
    pipeline = fitted(make_pipeline(columns(), boosting()), "binary")
    _, truth, call = compiled_purchases(pipeline, "binary")
    rows = purchases(300, 2, "binary")
    cuts = compile_exactly(pipeline, rows.spec, call, rows.block).cuts["amount_usd"]
    seen = truth.block.numbers[:, 0]
    assert np.isin(cuts, seen).all()
    assert np.isin(np.nextafter(cuts, np.inf), seen).all()


@pytest.mark.filterwarnings("ignore")
def test_a_curve_before_a_sum_is_the_reason_that_is_given() -> None:
    """The true cause, no fixed sentence about scalers; short enough to be read."""
    steps = make_pipeline(SimpleImputer(), StandardScaler(), SplineTransformer())
    pipeline = fitted(make_pipeline(columns(steps), logistic()), "binary")
    compilation, _, _ = compiled_purchases(pipeline, "binary")
    assert compilation.graph is None
    assert "amount_usd goes through a curve" in compilation.reason
    assert len(compilation.reason) <= 400


@pytest.mark.filterwarnings("ignore")
def test_a_tie_within_float_noise_of_the_threshold_does_not_hinder_compiling() -> None:
    """Ten trees of whole leaves vote five to five now and then: `predict` says negative.

    The threshold moves into the gap between the compiled scores, where float32 has put the tie.
    """
    forest = RandomForestClassifier(10, random_state=0)
    pipeline = fitted(make_pipeline(columns(SimpleImputer()), forest), "binary")
    compilation, truth, call = compiled_purchases(pipeline, "binary")
    assert (np.abs(truth.scores - 0.5) < 1e-9).any()
    assert compilation.graph is not None, compilation.reason
    rows = purchases(300, 2, "binary")
    scores = opened(compilation, call).score(rows.block)
    threshold, note = find_threshold(pipeline, rows, call, scores)
    assert note is None
    assert np.array_equal(scores >= threshold, pipeline.predict(rows.frame_for(call)) == 1)


def wide_model() -> tuple[Any, ModelSpec, Table]:
    """Forty numbers through a scaler and some trees, as `sluice new` would meet them."""
    kind = wide(40)
    rows = check(kind.make_rows(300, 4), kind.spec, "recipe")
    pipeline = kind.pipeline().fit(rows.frame, rows.labels)
    return pipeline, kind.spec, rows


def test_many_fields_are_asked_in_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field in calls of its own made a table of 300 columns take longer than a coffee."""
    pipeline, spec, rows = wide_model()
    calls = []
    transform = StandardScaler.transform

    def counted(self: Any, *arguments: Any, **more: Any) -> Any:
        calls.append(1)
        return transform(self, *arguments, **more)

    monkeypatch.setattr(StandardScaler, "transform", counted)
    exact = compile_exactly(pipeline, spec, find_call(pipeline, rows), rows.block)
    assert exact.graph is not None, exact.reason
    # Those of halving the distance to a cut, whatever the number of fields.
    assert len(calls) < 100


def test_a_pipeline_that_is_slow_to_ask_is_left_uncompiled_with_the_reason() -> None:
    """Nobody waits for hours: time is over, which is said."""
    pipeline, spec, rows = wide_model()
    call = find_call(pipeline, rows)
    exact = compile_exactly(pipeline, spec, call, rows.block, budget_cpu_s=-1.0)
    assert exact.graph is None
    assert exact.reason == "asking its steps what they do takes too long"


def seldom_mixed(frame: pd.DataFrame) -> pd.DataFrame:
    """The amount, which counts twice on a seldom day of visits."""
    return pd.DataFrame({"amount": frame["amount_usd"] * np.where(frame["n_visits"] == 11, 2, 1)})


@pytest.mark.filterwarnings("ignore")
def test_a_field_that_matters_in_one_of_its_values_is_found() -> None:
    """The first look at a few values may miss it; all of them together do not."""
    mixing = FunctionTransformer(seldom_mixed)
    pipeline = fitted(make_pipeline(mixing, DecisionTreeClassifier(max_depth=3)), "binary")
    compilation, _, _ = compiled_purchases(pipeline, "binary")
    assert compilation.graph is None
    assert "a step mixes amount_usd and n_visits" in compilation.reason
