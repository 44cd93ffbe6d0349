"""Trained once for the whole folder: both registered models, and the rows of a third one."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from loan import LoanFeatures, make_loans
from threadpoolctl import threadpool_limits

from serve_app.bundle.store import FolderStore
from serve_app.contract import Example, ModelSpec
from serve_app.models import churn, delivery_time, get_spec
from training.bundling import Written
from training.reading import check
from training.recipe import get_training
from training.run import train
from training.table import Table


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
    """`churn` 1.0.0 as the command line trains it, on fewer rows to be quick."""
    return train(replace(get_training("churn"), n_rows=8_000), churn.SPEC, "1.0.0", store)


@pytest.fixture(scope="session")
def delivery_bundle(store: FolderStore) -> Written:
    """`delivery_time` 1.0.0 as the command line trains it."""
    return train(get_training("delivery_time"), delivery_time.SPEC, "1.0.0", store)


@pytest.fixture(scope="session")
def churn_rows() -> Table:
    """Customers that no version was trained on."""
    return check(get_training("churn").make_rows(1_500, 77), get_spec("churn"), "recipe")


@pytest.fixture(scope="session")
def delivery_rows() -> Table:
    """Orders that no version was trained on."""
    return check(
        get_training("delivery_time").make_rows(1_500, 77), get_spec("delivery_time"), "recipe"
    )


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


@pytest.fixture(scope="session")
def loan_rows(loan_spec: ModelSpec) -> Table:
    """Checked loans."""
    return check(make_loans(1_500, 5), loan_spec, "recipe")
