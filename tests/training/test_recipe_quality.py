"""The two recipes, and the models trained on them: quality floors, calibration and directions."""

import numpy as np
import pandas as pd
import pytest

from serve_app.bundle.loading import load
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.store import FolderStore
from serve_app.contract import ModelSpec
from serve_app.contract.block import Block, Layout
from serve_app.models import MODELS, get_spec
from training.bundling import Written
from training.metrics import auc, brier
from training.models import churn as churn_training
from training.models import delivery_time as delivery_training
from training.recipe import BEST, get_training
from training.table import Table


@pytest.fixture
def churn_model(churn_bundle: Written, store: FolderStore) -> Predictor:
    """The trained churn version as a replica would load it."""
    return load(store, get_spec("churn"), "1.0.0")


@pytest.fixture
def delivery_model(delivery_bundle: Written, store: FolderStore) -> Predictor:
    """The trained delivery version as a replica would load it."""
    return load(store, get_spec("delivery_time"), "1.0.0")


def with_number(rows: Table, name: str, value: float) -> Block:
    """The rows with one number set to a value everywhere."""
    numbers = rows.block.numbers.copy()
    numbers[:, Layout(rows.spec.contract).number_names.index(name)] = value
    return Block(numbers, rows.block.categories)


@pytest.mark.parametrize("name", MODELS)
def test_a_recipe_gives_the_same_rows_for_the_same_seed_and_others_for_another(name: str) -> None:
    """Training twice from a recipe sees the same data."""
    make_rows = get_training(name).make_rows
    assert make_rows(50, 1).equals(make_rows(50, 1))
    assert not make_rows(50, 1).equals(make_rows(50, 2))


def test_about_a_quarter_of_the_customers_leave_as_their_true_probability_says() -> None:
    """Labels are drawn from the probability: they follow it, and are not a threshold of it."""
    rows = churn_training.make_rows(20_000, 3)
    assert 0.20 < rows["churned"].mean() < 0.25
    undecided = rows[rows[BEST].between(0.4, 0.6)]
    assert 0.45 < undecided["churned"].mean() < 0.55


@pytest.mark.parametrize("feature", churn_training.DIRECTIONS)
def test_every_feature_moves_the_true_churn_probability(feature: str) -> None:
    """No feature of the contract is decoration in the recipe."""
    rows = churn_training.make_rows(300, 3)
    high = 24 if feature == "contract_length_months" else rows[feature].max()
    low = 1 if feature == "contract_length_months" else rows[feature].min()
    difference = churn_training.churn_probability(
        rows.assign(**{feature: high})
    ) - churn_training.churn_probability(rows.assign(**{feature: low}))
    assert np.sign(difference.mean()) == churn_training.DIRECTIONS[feature]
    assert np.abs(difference).mean() > 0.02


def test_churn_comes_close_to_the_best_that_its_recipe_allows(churn_bundle: Written) -> None:
    """AUC is within 0.02 and the Brier score within 0.01 of those of the true probability."""
    metrics = churn_bundle.manifest.metrics
    assert metrics["best_auc"].value - metrics["auc"].value < 0.02
    assert metrics["brier"].value - metrics["best_brier"].value < 0.01
    assert metrics["ece"].value < 0.03


def test_churn_keeps_its_quality_on_customers_it_never_saw(
    churn_model: Predictor, churn_rows: Table
) -> None:
    """The served model, not only the manifest, is close to the best on fresh rows."""
    scores = churn_model.score(churn_rows.block)
    assert churn_rows.best is not None
    assert auc(churn_rows.target, scores) > auc(churn_rows.target, churn_rows.best) - 0.02
    assert brier(churn_rows.target, scores) < brier(churn_rows.target, churn_rows.best) + 0.01


@pytest.mark.parametrize(
    ("place", "label", "risk"), [(0, "Churned", "High"), (1, "Retained", "Low")]
)
def test_the_examples_of_churn_come_out_as_their_summary_says(
    churn_model: Predictor, place: int, label: str, risk: str
) -> None:
    """The customer who leaves and the one who stays are told apart, clearly."""
    spec = get_spec("churn")
    score = churn_model.score(Layout(spec.contract).block([spec.examples[place].row.model_dump()]))[
        0
    ]
    answer = spec.answer(float(score), {})
    assert (answer.label, answer.risk_level) == (label, risk)  # type: ignore[attr-defined]
    assert abs(score - 0.5) > 0.3


@pytest.mark.parametrize(("feature", "direction"), churn_training.DIRECTIONS.items())
def test_no_customer_s_risk_moves_against_a_feature_s_direction(
    churn_model: Predictor, churn_rows: Table, feature: str, direction: int
) -> None:
    """More tickets never lower the risk, more active days never raise it, and it does move."""
    column = churn_rows.frame[feature]
    low, high = (float(column.quantile(q)) for q in (0.0, 1.0))
    change = churn_model.score(with_number(churn_rows, feature, high)) - churn_model.score(
        with_number(churn_rows, feature, low)
    )
    assert (direction * change > -1e-6).all()
    assert direction * change.mean() > 0.01


def test_delivery_time_comes_close_to_the_best_that_its_recipe_allows(
    delivery_bundle: Written,
) -> None:
    """The mean absolute error is within 0.15 minutes of the noise itself."""
    metrics = delivery_bundle.manifest.metrics
    assert metrics["mae"].value - metrics["best_mae"].value < 0.15
    assert metrics["r2"].value > 0.85


def test_a_longer_way_takes_longer_for_every_order(
    delivery_model: Predictor, delivery_rows: Table
) -> None:
    """A longer distance may only lengthen the delivery."""
    near, far = (
        delivery_model.score(with_number(delivery_rows, "distance_km", km)) for km in (3.0, 9.0)
    )
    assert (far - near > -1e-3).all()
    assert (far - near).mean() > 5


def test_friday_evening_takes_longer_than_monday_noon(delivery_model: Predictor) -> None:
    """The model has learnt the rush that the records show."""
    order = {"distance_km": 5.0, "n_items": 3, "n_distinct_items": 3}
    rows = [
        {**order, "order_day": "Fri", "order_hour": 18.5},
        {**order, "order_day": "Mon", "order_hour": 12.0},
    ]
    friday, monday = delivery_model.score(Layout(get_spec("delivery_time").contract).block(rows))
    assert friday - monday > 5


def test_the_orders_of_the_recipe_have_the_shape_of_the_records() -> None:
    """Hours, waits and baskets lie where the records have them."""
    rows = delivery_training.make_rows(5_000, 1)
    assert rows["order_hour"].between(11, 21).all()
    assert 22 < rows["delivery_minutes"].mean() < 30
    assert (rows["n_distinct_items"].between(1, rows["n_items"])).all()


def test_every_registered_model_names_its_target_and_all_its_features() -> None:
    """A newcomer's recipe that forgets a column is found here."""
    for spec in map(get_spec, MODELS):
        rows: pd.DataFrame = get_training(spec.name).make_rows(50, 0)
        assert _missing(spec, rows) == []


def _missing(spec: ModelSpec, rows: pd.DataFrame) -> list[str]:
    return [name for name in (*(f.name for f in spec.contract), spec.target) if name not in rows]
