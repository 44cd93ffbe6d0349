"""What stands for a missing text is found in the pipeline that was fitted on it."""

from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest
from encoders import one_hot
from pydantic import Field
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from serve_app.contract import Features, ModelSpec, Text
from training.calling import find_call
from training.reading import check
from training.table import Table
from training.truth import find_truth

FIELDS = ["amount", "plan"]


class Orders(Features):
    """An amount, and a plan that may be missing."""

    amount: Annotated[float, Field(ge=0, le=100)]
    plan: Annotated[str, Text(20)] | None


SPEC = ModelSpec(name="orders", title="Orders", kind="regressor", target="y", features=Orders)


def orders() -> pd.DataFrame:
    """Rows as pandas reads them; who has no plan pays far more."""
    rng = np.random.default_rng(1)
    amount = np.round(rng.uniform(0, 100, 400), 2)
    plan = pd.Series(rng.choice(["basic", "pro"], 400), dtype="str")
    plan = plan.mask(rng.random(400) < 0.2)
    return pd.DataFrame({"amount": amount, "plan": plan, "y": amount + 500 * plan.isna()})


def fitted(rows: pd.DataFrame, *steps: Any) -> Any:
    """A linear model behind these steps for the plan."""
    columns = ColumnTransformer(
        [("plan", make_pipeline(*steps), ["plan"])], remainder="passthrough"
    )
    return make_pipeline(columns, LinearRegression()).fit(rows[FIELDS], rows["y"])


def filled(value: Any) -> pd.DataFrame:
    """The rows as somebody has prepared them, with this in the place of a missing plan."""
    rows = orders()
    plan = rows["plan"].astype(object)
    return rows.assign(plan=plan.where(plan.notna(), value))


def imputer(missing: Any) -> SimpleImputer:
    """Writes a word where this stands."""
    return SimpleImputer(missing_values=missing, strategy="constant", fill_value="nobody")


FORMS: dict[str, tuple[Any, tuple[Any, ...], tuple[str, Any]]] = {
    "NaN for an encoder": (np.nan, (one_hot(),), ("nan", None)),
    "NaN for an imputer": (np.nan, (imputer(np.nan), one_hot()), ("nan", None)),
    "None for an encoder": (None, (one_hot(),), ("none", None)),
    "None for an imputer": (None, (imputer(None), one_hot()), ("none", None)),
    "a text for an imputer": ("unknown", (imputer("unknown"), one_hot()), ("value", "unknown")),
    "an empty text for an encoder": ("", (one_hot(),), ("value", "")),
}


def rows_of(call_free: pd.DataFrame) -> Table:
    """The rows as training checks them."""
    return check(call_free, SPEC, "orders")


@pytest.mark.parametrize("form", FORMS)
def test_the_form_is_found_and_the_answer_is_that_of_a_missing_plan(form: str) -> None:
    """Another form is an unseen plan to the pipeline: the 500 would be lost in silence."""
    value, steps, (missing_text, missing_value) = FORMS[form]
    prepared = filled(value)
    pipeline = fitted(prepared, *steps)
    table = rows_of(orders())
    call = find_call(pipeline, table)
    assert call.missing_text == missing_text
    if missing_text == "value":
        assert call.missing_value == missing_value
    truth = find_truth(pipeline, table, call, budget_s=0.0)
    expected = pipeline.predict(prepared[FIELDS])
    assert np.abs(truth.file_scores - expected).max() < 1e-9
    gone = orders()["plan"].isna().to_numpy()
    assert truth.file_scores[gone].min() > 450


class NoNumber(LinearRegression):  # type: ignore[misc]
    """Gives NaN for an amount of a hundred, and raises nothing."""

    def predict(self, rows: Any) -> Any:
        """The amount, or no number."""
        amount = rows["amount"].to_numpy()
        return np.where(amount >= 100, np.nan, amount)


def test_a_value_for_which_a_pipeline_gives_no_number_is_told() -> None:
    """With field and value, as one for which it raises: such a row gets an error."""
    pipeline = NoNumber().fit(orders()[["amount"]], orders()["y"])
    table = rows_of(orders())
    truth = find_truth(pipeline, table, find_call(pipeline, table), budget_s=0.0)
    [refusal] = truth.refusals
    assert (refusal.field, refusal.value) == ("amount", 100.0)
    assert refusal.reason == "the pipeline gives no finite number"
    [note] = truth.notes
    assert note.startswith("amount 100.0: allowed by the contract, but the pipeline gives no")
    assert "narrow the contract, or let the pipeline handle it" in note
