"""Trained once for the whole folder: both registered models, and the rows of a third that nobody registered."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import Field
from threadpoolctl import threadpool_limits

from serve_app.bundle.store import FolderStore
from serve_app.contract import Example, Features, ModelSpec
from serve_app.models import churn, delivery_time, get_spec
from training.bundling import Written
from training.reading import check
from training.recipe import get_training
from training.run import train
from training.table import Table


def ignore_step(name: str) -> None:
    """A progress display that shows nothing."""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> FolderStore:
    """A store that the tests only read, apart from the two fixtures below."""
    return FolderStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def churn_bundle(store: FolderStore) -> Written:
    """`churn` 1.0.0 as the command line trains it."""
    return train(get_training("churn"), churn.SPEC, "1.0.0", store, None, ignore_step)


@pytest.fixture(scope="session")
def delivery_bundle(store: FolderStore) -> Written:
    """`delivery_time` 1.0.0 as the command line trains it."""
    return train(get_training("delivery_time"), delivery_time.SPEC, "1.0.0", store, None, ignore_step)


@pytest.fixture(scope="session")
def churn_rows() -> Table:
    """Customers that no version was trained on."""
    return check(get_training("churn").make_rows(1_500, 77), get_spec("churn"), "recipe")


@pytest.fixture(scope="session")
def delivery_rows() -> Table:
    """Orders that no version was trained on."""
    return check(get_training("delivery_time").make_rows(1_500, 77), get_spec("delivery_time"), "recipe")


class LoanFeatures(Features):
    """Every kind of field at once: a float, an int, an int and a category that may be missing."""

    income_usd: Annotated[float, Field(gt=0, le=1_000_000)]
    age_years: Annotated[int, Field(ge=18, le=120)]
    n_children: Annotated[int, Field(ge=0, le=20)] | None
    employment: Literal["salaried", "self", "none"] | None


@pytest.fixture(scope="session")
def loan_spec() -> ModelSpec:
    """A third model, with missing values; it answers like churn."""
    row = LoanFeatures(income_usd=2_500.0, age_years=40, n_children=None, employment="self")
    return ModelSpec(
        name="loan",
        title="Loan default",
        kind="binary_classifier",
        target="defaulted",
        features=LoanFeatures,
        prediction=churn.ChurnPrediction,
        answer=churn.answer,
        examples=(Example("typical", "Somebody of forty", row),),
    )


def make_loans(n_rows: int, seed: int) -> pd.DataFrame:
    """Loans with a tenth of the children and of the employments missing."""
    rng = np.random.default_rng(seed)
    children = rng.poisson(1.2, n_rows).astype(float)
    employment = rng.choice(["salaried", "self", "none"], n_rows, p=[0.6, 0.3, 0.1]).astype(object)
    income, age = np.round(rng.gamma(4, 700, n_rows) + 100, 2), rng.integers(18, 80, n_rows)
    logit = 1.2 - income / 1_500 + 0.3 * children - 0.01 * age + np.where(employment == "none", 1.5, 0)
    rows = pd.DataFrame({"income_usd": income, "age_years": age, "n_children": children, "employment": employment})
    rows["defaulted"] = (rng.random(n_rows) < 1 / (1 + np.exp(-logit))).astype(int)
    rows.loc[rng.random(n_rows) < 0.1, "n_children"] = np.nan
    rows.loc[rng.random(n_rows) < 0.1, "employment"] = None
    return rows


@pytest.fixture(scope="session")
def loan_rows(loan_spec: ModelSpec) -> Table:
    """Checked loans."""
    return check(make_loans(1_500, 5), loan_spec, "recipe")
