"""LightGBM, XGBoost and CatBoost are compiled from their own trees, and answer as they do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from booster_libraries import catboost, lightgbm, xgboost
from purchases import TEXTS, behind, compiled_purchases, fitted, opened, purchases
from sklearn.preprocessing import StandardScaler

from serve_app.bundle.runtimes.sklearn_runtime import SklearnRuntime
from training.calling import find_call
from training.truth import find_truth

SMALL = {"n_estimators": 8, "n_jobs": 1, "random_state": 0}
# The boosters complain of names of columns, and of what an encoder never saw.
pytestmark = pytest.mark.filterwarnings("ignore")


def quiet(**more: Any) -> dict[str, Any]:
    """Settings of LightGBM for few rows."""
    return {**SMALL, "verbose": -1, "min_child_samples": 5, **more}


CATBOOST = {
    "iterations": 8,
    "depth": 3,
    "verbose": 0,
    "thread_count": 1,
    "random_seed": 0,
    "allow_writing_files": False,
}
BOOSTERS: dict[str, tuple[str, Callable[[], Any]]] = {
    "lightgbm": ("binary", lambda: behind(lightgbm().LGBMClassifier(**quiet()))),
    "lightgbm behind a scaler": (
        "binary",
        lambda: behind(lightgbm().LGBMClassifier(**quiet()), StandardScaler()),
    ),
    "lightgbm as a forest": (
        "binary",
        lambda: behind(
            lightgbm().LGBMClassifier(
                **quiet(boosting_type="rf", bagging_freq=1, bagging_fraction=0.7)
            )
        ),
    ),
    "lightgbm of three classes": ("three", lambda: behind(lightgbm().LGBMClassifier(**quiet()))),
    "lightgbm poisson": (
        "value",
        lambda: behind(lightgbm().LGBMRegressor(**quiet(objective="poisson"))),
    ),
    "xgboost": ("binary", lambda: behind(xgboost().XGBClassifier(max_depth=3, **SMALL))),
    "xgboost of three classes": (
        "three",
        lambda: behind(xgboost().XGBClassifier(max_depth=3, **SMALL)),
    ),
    "xgboost gamma": (
        "value",
        lambda: behind(xgboost().XGBRegressor(objective="reg:gamma", max_depth=3, **SMALL)),
    ),
    "catboost": ("binary", lambda: behind(catboost().CatBoostClassifier(**CATBOOST))),
    "catboost of three classes": (
        "three",
        lambda: behind(catboost().CatBoostClassifier(**CATBOOST)),
    ),
    "catboost of prices": ("value", lambda: behind(catboost().CatBoostRegressor(**CATBOOST))),
}


@pytest.mark.parametrize("name", BOOSTERS)
def test_a_booster_is_compiled_and_answers_as_it_does(name: str) -> None:
    """Also next to its cuts, which are float64 in LightGBM and float32 in the others."""
    kind, make = BOOSTERS[name]
    pipeline = fitted(make(), kind)
    compilation, truth, call = compiled_purchases(pipeline, kind)
    rows = purchases(300, 3, kind)
    found = opened(compilation, call).score(rows.block)
    expected = np.asarray(getattr(pipeline, call.method)(rows.frame_for(call)), dtype=float)
    if call.columns is not None:
        expected = expected[:, call.columns]
    assert np.abs(found - expected.reshape(found.shape)).max() <= truth.tolerance
    assert found.std() > 0


def test_lightgbm_on_pandas_categories_is_compiled_exactly() -> None:
    """A category that training never saw, or a missing one, goes where LightGBM sends it."""
    model = lightgbm().LGBMClassifier(**quiet())
    rows = purchases(400, 1, "binary")
    model.fit(rows.frame.astype(dict.fromkeys(TEXTS, "category")), rows.labels)
    compilation, truth, call = compiled_purchases(model, "binary")
    assert call.texts == "category"
    found = opened(compilation, call).score(truth.block)
    known = ~np.isnan(truth.scores)
    assert np.abs(found - truth.scores)[known].max() <= truth.tolerance
    assert np.isin(["legacy", ""], truth.block.categories[known, 0]).all()


def xgboost_on_categories() -> tuple[Any, Any, Any]:
    """A model of XGBoost that was fitted on pandas categories, rows, and its call."""
    model = xgboost().XGBClassifier(max_depth=3, enable_categorical=True, **SMALL)
    rows = purchases(400, 1, "binary")
    model.fit(rows.frame.astype(dict.fromkeys(TEXTS, "category")), rows.labels)
    return model, rows, find_call(model, rows)


def test_a_row_alone_whose_category_is_missing_is_answered_as_in_company() -> None:
    """XGBoost refuses a column without categories, which is all that pandas can make of it."""
    model, rows, call = xgboost_on_categories()
    runtime = SklearnRuntime(model, rows.spec.contract, call)
    block = rows.block[:6]
    block.categories[:3] = [["", "Lyon"], ["pro", ""], ["", ""]]
    together = runtime.score(block)
    assert len(set(together.tolist())) > 2
    for row in range(3):
        assert runtime.score(block[row : row + 1]) == together[row]


def test_what_xgboost_refuses_is_said_without_its_sources_and_with_what_it_does_not() -> None:
    """It refuses only texts that sort behind all it knows; others it takes for the next one."""
    model, rows, call = xgboost_on_categories()
    truth = find_truth(model, rows, call)
    refused = {refusal.value: refusal.reason for refusal in truth.refusals}
    assert "nan" in refused
    assert None not in refused
    reason = refused["nan"]
    assert "XGBoostError: Found a category not in the training set" in reason
    assert "answers other unseen texts as if they were the next one in the alphabet" in reason
    for reason in refused.values():
        assert "cat_container" not in reason
        assert "Stack trace" not in reason


def test_a_booster_without_a_graph_is_served_uncompiled_with_a_true_reason() -> None:
    """The name of the objective stands in the reason."""
    model = behind(lightgbm().LGBMRegressor(**quiet(objective="cross_entropy_lambda")))
    rows = purchases(400, 1, "value")
    target = (rows.labels - rows.labels.min()) / np.ptp(rows.labels)
    compilation, _, _ = compiled_purchases(model.fit(rows.frame, target), "value")
    assert compilation.graph is None
    assert "cross_entropy_lambda" in compilation.reason
