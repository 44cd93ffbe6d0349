"""Behind a sum may come a staircase: there a sum that is rounded to float32 is a wrong answer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from booster_libraries import catboost, lightgbm, xgboost
from purchases import behind, compiled_purchases, fitted, opened, purchases
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from training.compilation.asker import NotCompiled
from training.compilation.calibration import calibrated
from training.compilation.float_parts import float32_parts
from training.compilation.graph import Graph, Tensor

SMALL: dict[str, Any] = {"n_estimators": 8, "random_state": 0}
# Of float64 sums, also in another order. A float32 is off by 1e-7 and more.
EXACT = 1e-9
pytestmark = pytest.mark.filterwarnings("ignore")


def scaled(model: Any) -> Any:
    """The model at the end of a pipeline, after imputing, scaling and one-hot."""
    return behind(model, make_pipeline(SimpleImputer(), StandardScaler()))


def isotonic(model: Any) -> Any:
    """The model, calibrated by steps."""
    return scaled(CalibratedClassifierCV(model, method="isotonic", cv=2))


def boosting(**more: Any) -> HistGradientBoostingClassifier:
    """A small boosting of histograms."""
    return HistGradientBoostingClassifier(max_iter=8, random_state=0, **more)


def small_lightgbm() -> Any:
    """A small model of LightGBM, or a skip."""
    return lightgbm().LGBMClassifier(n_jobs=1, verbose=-1, min_child_samples=5, **SMALL)


def small_catboost() -> Any:
    """A small model of CatBoost, or a skip."""
    return catboost().CatBoostClassifier(
        iterations=8, depth=3, verbose=0, thread_count=1, allow_writing_files=False
    )


def small_xgboost() -> Any:
    """A small model of XGBoost, or a skip."""
    return xgboost().XGBClassifier(max_depth=3, n_jobs=1, **SMALL)


CALIBRATED: dict[str, tuple[str, Callable[[], Any]]] = {
    "boosting of histograms": ("binary", boosting),
    "boosting": ("binary", lambda: GradientBoostingClassifier(**SMALL)),
    "boosting by exponential loss": (
        "binary",
        lambda: GradientBoostingClassifier(loss="exponential", **SMALL),
    ),
    "forest": ("binary", lambda: RandomForestClassifier(max_depth=5, **SMALL)),
    "forest of three classes": ("three", lambda: RandomForestClassifier(max_depth=5, **SMALL)),
    "boosting of three classes": ("three", boosting),
    "bagging": (
        "binary",
        lambda: BaggingClassifier(DecisionTreeClassifier(max_depth=4), 5, random_state=0),
    ),
    "voting": (
        "binary",
        lambda: VotingClassifier(
            [("trees", boosting()), ("sum", LogisticRegression())], voting="soft"
        ),
    ),
    "lightgbm": ("binary", small_lightgbm),
    "catboost": ("binary", small_catboost),
}


@pytest.mark.parametrize("name", CALIBRATED)
def test_what_an_isotonic_calibration_follows_is_summed_in_float64(name: str) -> None:
    """A step may be ten thousand times as steep as a line: 1e-7 before it is 1e-3 behind."""
    kind, make = CALIBRATED[name]
    pipeline = fitted(isotonic(make()), kind)
    compilation, truth, call = compiled_purchases(pipeline, kind)
    found = opened(compilation, call).score(truth.block)
    assert np.nanmax(np.abs(found - truth.scores)) < EXACT
    rows = purchases(2_000, 3, kind)
    expected = pipeline.predict_proba(rows.frame_for(call))[:, call.columns]
    found = opened(compilation, call).score(rows.block)
    assert np.abs(found - expected.reshape(found.shape)).max() < EXACT
    assert found.std() > 0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (small_xgboost, "XGBoost itself"),
        (lambda: AdaBoostClassifier(**SMALL), "AdaBoostClassifier"),
    ],
)
def test_what_itself_adds_up_in_float32_is_not_compiled_before_steps(make: Any, named: str) -> None:
    """No other graph is tried: a proof on some thousand rows would not find the wrong one."""
    compilation, _, _ = compiled_purchases(fitted(isotonic(make()), "binary"), "binary")
    assert compilation.graph is None
    assert named in compilation.reason
    assert compilation.reason.count("float32, whose rounding shows behind isotonic") == 1


def stacked(final: Any) -> Any:
    """Two models, and a third one on their answers."""
    members = [("trees", boosting()), ("sum", LogisticRegression())]
    return scaled(StackingClassifier(members, final, cv=2))


def test_trees_on_the_answers_of_other_models_see_float64_sums() -> None:
    """They cut them: next to a cut a rounded sum may go to the other side."""
    pipeline = fitted(stacked(DecisionTreeClassifier(max_depth=4, random_state=0)), "binary")
    compilation, truth, call = compiled_purchases(pipeline, "binary")
    found = opened(compilation, call).score(truth.block)
    # The leaves are rounded to float32, not the side that a row goes to.
    assert np.nanmax(np.abs(found - truth.scores)) < 1e-7


def test_boosting_on_the_answers_of_other_models_is_not_compiled() -> None:
    """Its cuts are float64, and the converter rounds them."""
    compilation, _, _ = compiled_purchases(fitted(stacked(boosting()), "binary"), "binary")
    assert compilation.graph is None
    assert "skl2onnx rounds the cuts of the last estimator" in compilation.reason
    assert "behind trees that cut the answers of other models" in compilation.reason


def test_a_step_that_is_steeper_than_sums_are_exact_is_not_compiled() -> None:
    """Two sums that are equal on paper and not in float64 may have different answers."""
    member = FakeMember(x=[0.0, 0.3, 0.3 + 1e-14, 1.0], y=[0.0, 0.1, 0.8, 1.0])
    with pytest.raises(NotCompiled, match="steeper than sums are exact"):
        calibrated(Graph(None), member, Tensor("raw", True), "decision_function")  # type: ignore[arg-type]
    gentle = FakeMember(x=[0.0, 0.3, 0.3 + 1e-4, 1.0], y=[0.0, 0.1, 0.8, 1.0])
    made = calibrated(Graph(None), gentle, Tensor("raw", True), "decision_function")  # type: ignore[arg-type]
    assert made.is_double


class FakeMember:
    """One calibrated classifier of two classes with these thresholds."""

    method = "isotonic"
    out_of_bounds = "clip"
    classes = classes_ = (0, 1)

    def __init__(self, x: list[float], y: list[float]) -> None:
        self.X_thresholds_ = np.array(x)
        self.y_thresholds_ = np.array(y)
        self.calibrators = [self]
        self.estimator = self


def test_parts_of_numbers_add_up_exactly_in_float32_in_any_order() -> None:
    """That is what makes an operator that knows float32 alone give float64 sums."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(50 * 7, 2)) * np.exp(rng.uniform(-12, 3, (50 * 7, 2)))
    starts = np.arange(0, 350, 7)
    parts = float32_parts(values, starts)
    assert np.abs(sum(parts) - values).max() < 1e-14
    leaves = starts + rng.integers(0, 7, 50)
    total = np.zeros(2)
    for part in parts:
        chosen = part[leaves].astype(np.float32)
        forward = np.cumsum(chosen, axis=0, dtype=np.float32)[-1]
        backward = np.cumsum(chosen[::-1], axis=0, dtype=np.float32)[-1]
        assert np.array_equal(forward, backward)
        total += forward
    assert np.abs(total - values[leaves].sum(axis=0)).max() < 1e-13


def test_parts_of_trees_without_any_answer_are_zeros() -> None:
    """A class that no tree speaks for has a sum all the same."""
    [part] = float32_parts(np.zeros((4, 1)), np.array([0, 2]))
    assert not part.any()
