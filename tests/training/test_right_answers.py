"""The right answer is what the fitted pipeline says of a row as pandas reads it, or an error."""

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import joblib
import numpy as np
import pandas as pd
import pytest
from encoders import one_hot
from pydantic import Field
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    StratifiedKFold,
    TunedThresholdClassifierCV,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler, TargetEncoder

from serve_app.bundle.loading import load
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.store import FolderStore
from serve_app.contract import Features, ModelSpec, Text
from serve_app.contract.block import Block, Layout
from training.calling import find_call
from training.errors import InvalidPipeline
from training.reading import check
from training.recipe import Training
from training.run import bundle
from training.truth import find_truth

Bundle = Callable[..., Predictor]


class Orders(Features):
    """An amount, visits that may be missing, and a plan that may be missing."""

    amount: Annotated[float, Field(ge=0, le=1_000_000)]
    visits: Annotated[int, Field(ge=0, le=50)] | None
    plan: Literal["basic", "pro", "legacy"] | None


class Stores(Features):
    """Codes of stores, as texts."""

    amount: Annotated[float, Field(ge=0, le=1_000_000)]
    store: Literal["1", "2", "3"]


class Cities(Features):
    """A city, any."""

    amount: Annotated[float, Field(ge=0, le=1_000_000)]
    city: Annotated[str, Text(30)]


FIELDS = ["amount", "visits", "plan"]


def spec_of(features: type[Features], **words: Any) -> ModelSpec:
    """A contract with the standard answers."""
    return ModelSpec(
        **{
            "name": "orders",
            "title": "Orders",
            "kind": "binary_classifier",
            "target": "y",
            "features": features,
            **words,
        }
    )


def make_orders(n_rows: int, seed: int, share_missing: float = 0.15) -> pd.DataFrame:
    """Orders as pandas reads them: gaps are NaN. Nobody has the plan "legacy"."""
    rng = np.random.default_rng(seed)
    amount = np.round(rng.gamma(2, 100, n_rows), 2)
    plan = pd.Series(rng.choice(["basic", "pro"], n_rows), dtype="str")
    visits = pd.Series(rng.poisson(5, n_rows).astype(float))
    gone = rng.random(n_rows) < share_missing
    logit = amount / 100 - 2 + np.where(plan == "basic", 1.5, 0) + np.where(gone, 2.5, 0)
    rows = pd.DataFrame({"amount": amount, "visits": visits, "plan": plan.mask(gone)})
    rows.loc[rng.random(n_rows) < share_missing, "visits"] = np.nan
    return rows.assign(y=(rng.random(n_rows) < 1 / (1 + np.exp(-2 * logit))).astype(int))


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Bundles a fitted pipeline by the product's door, and opens it as a replica does."""
    # The report takes most of the time, and decides nothing here.
    monkeypatch.setattr("training.bundling.render", lambda *measured, **words: "")
    monkeypatch.setattr("training.metrics.N_RESAMPLES", 5)
    monkeypatch.setattr("training.run.find_truth", partial(find_truth, budget_s=0.5))

    def run(spec: ModelSpec, pipeline: Any, rows: pd.DataFrame) -> Predictor:
        joblib.dump(pipeline, tmp_path / "fitted.joblib")
        rows.to_csv(tmp_path / "rows.csv", index=False)
        store = FolderStore(tmp_path / "store")
        bundle(Training(), spec, "1.0.0", store, tmp_path / "fitted.joblib", tmp_path / "rows.csv")
        return load(store, spec, "1.0.0")

    return run


def block_of(spec: ModelSpec, rows: list[dict[str, Any]]) -> Block:
    """Rows of a client."""
    return Layout(spec.contract).block(
        [spec.features.model_validate(row).model_dump() for row in rows]
    )


def encoded(encoder: Any, last: Any = None) -> Any:
    """A pipeline with an encoder for the plan and everything known of numbers."""
    columns = ColumnTransformer(
        [("plan", encoder, ["plan"]), ("number", SimpleImputer(), ["amount", "visits"])]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=999) if last is None else last)


ENCODERS: dict[str, Callable[[], Any]] = {
    "the most frequent": lambda: make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot()),
    "a constant": lambda: make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"), one_hot()
    ),
    "a column of its own": one_hot,
    "a target encoder": lambda: TargetEncoder(cv=StratifiedKFold(5)),
}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_missing_text_gets_the_answer_that_the_pipeline_gives_for_nan(
    bundled: Bundle, encoder: str
) -> None:
    """Not the answer for an empty text, which no imputer and no encoder takes for missing."""
    pipeline = encoded(ENCODERS[encoder]()).fit(*_split(make_orders(600, 1)))
    spec = spec_of(Orders)
    predictor = bundled(spec, pipeline, make_orders(400, 2))
    amounts = [1.0, 60.5, 150.0, 400.25]
    rows = [{"amount": amount, "visits": 3, "plan": None} for amount in amounts]
    right = pipeline.predict_proba(
        pd.DataFrame(
            {"amount": amounts, "visits": 3.0, "plan": pd.Series([np.nan] * 4, dtype="str")}
        )
    )[:, 1]
    assert np.abs(predictor.score(block_of(spec, rows)) - right).max() < 1e-5


def test_a_pipeline_that_was_fitted_on_none_is_given_none(bundled: Bundle) -> None:
    """To an encoder None and NaN are two values; only an object column keeps the first."""
    orders = make_orders(600, 1)
    orders["plan"] = orders["plan"].astype(object).where(orders["plan"].notna(), None)
    pipeline = encoded(one_hot()).fit(*_split(orders))
    spec = spec_of(Orders)
    predictor = bundled(spec, pipeline, make_orders(400, 2))
    rows = [{"amount": 60.5, "visits": 3, "plan": None}]
    frame = pd.DataFrame(
        {"amount": [60.5], "visits": [3.0], "plan": pd.Series([None], dtype=object)}
    )
    right = pipeline.predict_proba(frame)[0, 1]
    assert abs(predictor.score(block_of(spec, rows))[0] - right) < 1e-5
    assert predictor.manifest.call.missing_text == "none"


def test_columns_that_were_chosen_by_their_type_are_found_again(bundled: Bundle) -> None:
    """The plan was a category when a selector looked for categories."""
    orders = make_orders(600, 1)
    orders["plan"] = orders["plan"].astype("category")
    columns = ColumnTransformer(
        [
            ("texts", one_hot(), make_column_selector(dtype_include="category")),
            ("numbers", SimpleImputer(), make_column_selector(dtype_include="number")),
        ]
    )
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=999)).fit(*_split(orders))
    spec = spec_of(Orders)
    predictor = bundled(spec, pipeline, make_orders(400, 2))
    frame = orders[FIELDS].iloc[:50]
    plain = frame.astype(object).where(frame.notna(), None)
    rows = [
        row | {"visits": None if row["visits"] is None else int(row["visits"])}
        for row in plain.to_dict("records")
    ]
    right = pipeline.predict_proba(frame)[:, 1]
    assert np.abs(predictor.score(block_of(spec, rows)) - right).max() < 1e-5


def test_an_encoder_that_knows_none_of_the_contracts_values_is_refused(bundled: Bundle) -> None:
    """Codes are texts in the contract and were ints in the fitted frame: all would be unknown."""
    rng = np.random.default_rng(0)
    amount = np.round(rng.gamma(2, 100, 500), 2)
    store = rng.integers(1, 4, 500)
    rows = pd.DataFrame({"amount": amount, "store": store})
    y = (amount / 100 + store + rng.normal(0, 0.5, 500) > 4).astype(int)
    columns = ColumnTransformer([("store", one_hot(), ["store"])], remainder="passthrough")
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=999)).fit(rows, y)
    with pytest.raises(InvalidPipeline, match="store: its encoder knows none of the contract's"):
        bundled(spec_of(Stores), pipeline, rows.assign(y=y))


def test_a_missing_number_that_the_pipeline_refuses_is_an_error_row_and_a_note(
    bundled: Bundle,
) -> None:
    """Gradient boosting raises for a gap; compiled trees would make up an answer."""
    train = make_orders(500, 1, share_missing=0)
    model = GradientBoostingClassifier(n_estimators=10, random_state=0)
    columns = ColumnTransformer([("plan", one_hot(), ["plan"])], remainder="passthrough")
    pipeline = make_pipeline(columns, model).fit(*_split(train))
    spec = spec_of(Orders)
    predictor = bundled(spec, pipeline, make_orders(400, 2, share_missing=0))
    rows = [{"amount": 60.5, "visits": visits, "plan": "pro"} for visits in (None, 3)]
    scores = predictor.score(block_of(spec, rows))
    assert np.isnan(scores).tolist() == [True, False]
    [refusal] = [one for one in predictor.manifest.refusals if one.field == "visits"]
    assert refusal.value is None
    assert any(note.startswith("visits null") for note in predictor.manifest.notes)


THRESHOLDS: dict[str, Callable[[], Any]] = {
    "fixed": lambda: FixedThresholdClassifier(LogisticRegression(), threshold=0.2),
    "fixed for the other class": lambda: FixedThresholdClassifier(
        LogisticRegression(), threshold=0.2, pos_label=0
    ),
    "fixed for the decision function": lambda: FixedThresholdClassifier(
        LogisticRegression(), threshold=-1.1, response_method="decision_function"
    ),
    "tuned": lambda: TunedThresholdClassifierCV(LogisticRegression(), scoring="recall", cv=3),
}


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_labels_are_those_of_a_pipeline_with_a_threshold_of_its_own(
    bundled: Bundle, threshold: str
) -> None:
    """Not those of a probability that is cut at one half."""
    model = THRESHOLDS[threshold]()
    columns = ColumnTransformer([("plan", one_hot(), ["plan"])], remainder=StandardScaler())
    train = make_orders(600, 1, share_missing=0)
    pipeline = make_pipeline(columns, model).fit(*_split(train))
    spec = spec_of(Orders)
    predictor = bundled(spec, pipeline, make_orders(400, 2, share_missing=0))
    orders = make_orders(2_000, 3, share_missing=0)
    rows = orders[FIELDS].astype({"visits": int}).to_dict("records")
    scores = predictor.score(block_of(spec, rows))
    labels = [spec.answer(float(s), predictor.manifest.parameters).label for s in scores]
    right = pipeline.predict(orders[FIELDS])
    assert labels == right.tolist()
    cut_at_half = pipeline.predict_proba(orders[FIELDS])[:, 1] >= 0.5
    assert np.sum(cut_at_half != right) > 20


@pytest.mark.parametrize("positive", ["no", "yes"])
def test_of_two_equal_probabilities_the_pipelines_own_label_is_served(
    bundled: Bundle, positive: str
) -> None:
    """Four neighbours are two and two often; scikit-learn then takes the first class."""
    spec = spec_of(Orders, classes=("no", "yes"), positive=positive)
    train = make_orders(400, 1, share_missing=0)
    columns = ColumnTransformer([("numbers", StandardScaler(), ["amount", "visits"])])
    labels = np.array(["no", "yes"])[train["y"]]
    pipeline = make_pipeline(columns, KNeighborsClassifier(4)).fit(train[FIELDS], labels)
    rows = make_orders(400, 2, share_missing=0)
    predictor = bundled(spec, pipeline, rows.assign(y=np.array(["no", "yes"])[rows["y"]]))
    block = block_of(spec, rows[FIELDS].astype({"visits": int}).to_dict("records"))
    scores = predictor.score(block)
    assert np.sum(scores == 0.5) > 5
    found = [spec.answer(float(s), predictor.manifest.parameters).label for s in scores]
    assert found == pipeline.predict(rows[FIELDS]).tolist()


def test_of_equally_probable_classes_the_first_in_sorted_order_wins() -> None:
    """As in scikit-learn, whatever the order of the contract is."""
    spec = spec_of(Orders, kind="classifier", classes=("silver", "gold", "bronze"))
    assert spec.answer([0.4, 0.2, 0.4], {}).label == "bronze"
    assert spec.answer([0.4, 0.4, 0.2], {}).label == "gold"
    assert spec.answer([0.5, 0.3, 0.2], {}).label == "silver"


def test_every_row_of_the_file_is_compared() -> None:
    """Half of it measures, but a wrong answer may be in the other half."""
    spec = spec_of(Orders)
    table = check(make_orders(400, 2), spec, "orders")
    pipeline = encoded(one_hot()).fit(*_split(make_orders(600, 1)))
    truth = find_truth(pipeline, table, find_call(pipeline, table))
    assert truth.n_file_rows == 400
    assert np.array_equal(truth.block.numbers[:400], table.block.numbers, equal_nan=True)
    right = pipeline.predict_proba(make_orders(400, 2)[FIELDS])[:, 1]
    assert np.abs(truth.file_scores - right).max() < 1e-12
    said = set(truth.said[400:])
    assert {"plan missing", "visits missing", "plan = 'legacy'", "amount = 1000000.0"} <= said


def test_an_interval_of_negative_values_has_its_width(bundled: Bundle) -> None:
    """It is twice the half width, whatever the sign of the target."""
    rng = np.random.default_rng(0)
    orders = make_orders(800, 1, share_missing=0)
    orders["y"] = -500 - orders["amount"] + rng.normal(0, 20, 800)
    columns = ColumnTransformer([("numbers", "passthrough", ["amount", "visits"])])
    pipeline = make_pipeline(columns, LinearRegression()).fit(*_split(orders[:400]))
    spec = spec_of(Orders, kind="regressor")
    manifest = bundled(spec, pipeline, orders[400:]).manifest
    half_width = manifest.parameters["half_width"]
    assert 20 < half_width < 50
    assert manifest.metrics["interval_width"].value == pytest.approx(2 * half_width)
    answer = spec.answer(-700.0, manifest.parameters)
    assert (answer.low, answer.high) == (-700.0 - half_width, -700.0 + half_width)


def no_cheap_pro(rows: pd.DataFrame) -> pd.DataFrame:
    """Raises for rows that no list of single values can name."""
    if ((rows["amount"] < 50) & (rows["plan"] == "pro")).any():
        raise ValueError("cheap pro")
    return rows


@pytest.mark.parametrize("way", ["a listed value", "an unseen text", "two fields together"])
def test_a_failing_row_costs_no_other_row_of_its_block(
    bundled: Bundle, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A quarter of a coalesced block fails; all others are answered, with one line of log."""
    train = make_orders(500, 1, share_missing=0)
    encoder = OneHotEncoder(handle_unknown="error", sparse_output=False)
    model = HistGradientBoostingClassifier(max_iter=5, random_state=0)
    spec = spec_of(Orders)
    good = {"amount": 60.5, "visits": 3, "plan": "pro"}
    bad = good | {"plan": "legacy"}
    field = "plan"
    if way == "an unseen text":
        spec = spec_of(Cities)
        field = "city"
        train = train.rename(columns={"plan": "city"})[["amount", "city", "y"]]
        good = {"amount": 60.5, "city": "pro"}
        bad = {"amount": 60.5, "city": "Paris"}
    columns = ColumnTransformer([("text", encoder, [field])], remainder="passthrough")
    pipeline = make_pipeline(columns, model)
    rows = train[:400]
    if way == "two fields together":
        pipeline = make_pipeline(FunctionTransformer(no_cheap_pro), pipeline)
        train = train[(train["amount"] >= 50) | (train["plan"] != "pro")]
        rows = train
        bad = good | {"amount": 10.0}
    pipeline.fit(train.drop(columns="y"), train["y"])
    predictor = bundled(spec, pipeline, rows)
    block = block_of(spec, [bad if i % 4 == 0 else good for i in range(256)])
    caplog.clear()
    with caplog.at_level(logging.INFO):
        scores = predictor.score(block)
    is_bad = np.arange(256) % 4 == 0
    assert np.array_equal(np.isnan(scores), is_bad)
    right = pipeline.predict_proba(pd.DataFrame([good]))[0, 1]
    assert np.abs(scores[~is_bad] - right).max() < 1e-5
    assert len(caplog.records) <= 1


class Counting(LinearRegression):  # type: ignore[misc]
    """Counts the rows that it is asked about, and takes its time."""

    n_rows = 0

    def predict(self, rows: Any) -> Any:
        """The prediction, a tenth of a second later."""
        time.sleep(0.1)
        Counting.n_rows += len(rows)
        return super().predict(rows)


def test_a_slow_pipeline_is_proven_on_fewer_of_the_random_rows() -> None:
    """All single values are tried; pairs of them until the time is over."""
    orders = make_orders(400, 1, share_missing=0)
    spec = spec_of(Orders, kind="regressor")
    columns = ColumnTransformer([("numbers", SimpleImputer(), ["amount", "visits"])])
    pipeline = make_pipeline(columns, Counting()).fit(*_split(orders))
    table = check(orders, spec, "orders")
    call = find_call(pipeline, table)
    Counting.n_rows = 0
    quick = find_truth(pipeline, table, call, budget_s=0.0)
    n_quick = Counting.n_rows
    whole = find_truth(pipeline, table, call)
    assert len(quick.block) == len(quick.scores) == len(quick.said) == n_quick
    assert len(quick.block) < len(whole.block)
    assert quick.file_scores.tolist() == whole.file_scores.tolist()
    assert {"visits missing", "amount = 1000000.0"} <= set(quick.said)


def _split(rows: pd.DataFrame) -> tuple[pd.DataFrame, Any]:
    """What an estimator is fitted on."""
    return rows.drop(columns="y"), rows["y"].to_numpy()
