"""What a bundle serves is what its pipeline says: the short form of `make agree`."""

import numpy as np
import pytest

from benchmarks.agree.families import all_cases
from benchmarks.agree.frames import read_frame
from benchmarks.agree.judge import Verdict, judge
from benchmarks.agree.rows import random_rows
from benchmarks.agree.run import summary_of
from benchmarks.agree.shop import FIELDS, features_of, make_customers, plain_rows
from serve_app.contract import ModelSpec

# One of each family, and the ways in which a text may be missing.
SHORT = (
    "logistic regression, no is positive",
    "threshold on the class that is not asked for",
    "forest, gaps never seen",
    "gradient boosting, gaps that it refuses",
    "hist boosting, gaps as they are",
    "hist boosting, categories by pandas",
    "nearest neighbours of values",
    "one-hot, gaps are None",
    "one-hot, the most frequent for a gap",
    "ordinal, unseen raises",
    "dates, boosted",
)
REFUSING = ("gradient boosting, gaps that it refuses", "ordinal, unseen raises")
N_ROWS = 300
N_FIT_ROWS = 400


@pytest.fixture(autouse=True)
def _without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report and the intervals of metrics take most of the time, and decide nothing here."""
    monkeypatch.setattr("training.metrics.N_RESAMPLES", 5)
    monkeypatch.setattr("training.bundling.render", lambda *measured, **words: "")


@pytest.mark.parametrize("name", SHORT)
def test_random_rows_of_the_contract_get_the_pipelines_own_answers(name: str) -> None:
    """Bundled by the product's door, opened as a replica does, and asked with awkward rows."""
    [case] = [case for case in all_cases() if case.name == name]
    verdict = judge(case, N_ROWS, seed=3, n_fit_rows=N_FIT_ROWS)
    assert not verdict.refusal
    assert verdict.n_rows == N_ROWS
    assert not verdict.shown
    # Gradient boosting refuses gaps, an ordinal encoder a plan that no customer had.
    assert (20 < verdict.n_errors < 150) == (name in REFUSING)
    refused = [note for note in verdict.notes if "allowed by the contract" in note]
    assert bool(refused) == (name in REFUSING)


# What `make agree` must hold of each: parts of the names of its cases.
FAMILIES = (
    "linear regression",
    "logistic regression",
    "single tree",
    "forest",
    "gradient boosting",
    "hist boosting",
    "calibrated",
    "stacked",
    "voting",
    "nearest neighbours",
    "network",
    "SVC",
    "naive Bayes",
    "one-hot, unseen raises",
    "one-hot, unseen warns",
    "one-hot, rare",
    "ordinal, unseen raises",
    "ordinal, unseen is a number",
    "target encoder",
    "gaps by a constant, with indicators",
    "gaps by the most frequent",
    "bins",
    "splines",
    "powers",
    "polynomials",
    "principal components",
    "target through a logarithm",
    "LightGBM",
    "XGBoost",
    "CatBoost",
)


def test_every_family_of_pipelines_has_a_case() -> None:
    """Names are unique, so that each can be asked for alone."""
    names = [case.name for case in all_cases()]
    assert [family for family in FAMILIES if not any(family in name for name in names)] == []
    assert len(names) == len(set(names)) >= 60


def test_a_version_that_answers_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is worth something: a score that is moved by a thousandth differs."""
    monkeypatch.setattr(
        "benchmarks.agree.judge.load",
        lambda store, spec, version, pin: _Moved(store, spec, version, pin),
    )
    [case] = [case for case in all_cases() if case.name == "nearest neighbours of values"]
    verdict = judge(case, N_ROWS, seed=3, n_fit_rows=N_FIT_ROWS)
    assert verdict.n_different == N_ROWS
    assert not verdict.is_right
    assert "served" in verdict.shown[0]
    assert "right" in verdict.shown[0]


class _Moved:
    """A version whose scores are a little off those of the bundle."""

    def __init__(self, *words: object) -> None:
        from serve_app.bundle.loading import load

        self._right = load(*words)  # type: ignore[arg-type]
        self.manifest = self._right.manifest

    def score(self, block: object) -> np.ndarray:
        """The scores, moved by a thousandth."""
        return self._right.score(block) * 1.001  # type: ignore[arg-type]


def test_random_rows_are_valid_and_have_what_breaks_things() -> None:
    """Gaps, bounds, whole numbers above 2^24, unseen texts: all within the contract."""
    features = features_of(tuple(FIELDS))
    spec = ModelSpec(name="shop", title="", kind="regressor", target="price", features=features)
    seen = plain_rows(make_customers(200, 1), FIELDS)
    rows = random_rows(spec.contract, seen, np.array([100.0, 1.6e9]), 2_000, 5)
    for row in rows:
        features.model_validate(row)
    for feature in spec.contract:
        values = [row[feature.name] for row in rows]
        assert (None in values) == feature.nullable
    amounts = {row["amount"] for row in rows}
    assert {0, 1_000_000, 100.0} <= amounts
    assert any(row["account"] > 2**24 for row in rows)
    assert {row["city"] for row in rows} >= {"nan", "None", "Lyon"}


def test_the_frame_that_a_pipeline_is_asked_with_is_the_one_that_pandas_reads() -> None:
    """Only an empty cell is missing, and each field has the type that pandas gives it."""
    names = ("visits", "age", "plan", "city", "signup", "has_card")
    spec = ModelSpec(
        name="shop", title="", kind="regressor", target="price", features=features_of(names)
    )
    rows = [
        dict(zip(names, (3, 30, "pro", "NA", "2024-02-29", True), strict=True)),
        dict(zip(names, (None, 31, None, "nan", None, None), strict=True)),
    ]
    frame = read_frame(rows, spec.contract, "str")
    assert [str(kind) for kind in frame.dtypes] == [
        "float64",
        "int64",
        "str",
        "str",
        "datetime64[us]",
        "object",
    ]
    assert frame["plan"].isna().tolist() == [False, True]
    assert frame["city"].tolist() == ["NA", "nan"]
    assert read_frame(rows, spec.contract, "none")["plan"].tolist() == ["pro", None]


def test_the_last_line_counts_what_is_compiled_and_what_differs() -> None:
    """A case whose library is missing is none of the pipelines that were tried."""
    found = [
        Verdict("a", is_compiled=True, n_rows=100),
        Verdict("b", n_rows=100, n_different=2),
        Verdict("c", skipped="lightgbm is not installed"),
        Verdict("d", refusal="no"),
    ]
    assert summary_of(found) == (
        "3 pipelines, 200 rows: 2 differ; 1 compiled, 1 refused, 1 skipped"
    )
