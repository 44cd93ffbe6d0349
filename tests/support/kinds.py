"""One small model of each kind, with rows and an unfitted pipeline: none of them is registered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import lookalikes
import numpy as np
import pandas as pd
from pydantic import Field, create_model
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import OneClassSVM

from serve_app.contract import Date, DateTime, Features, ModelSpec, Number, Text
from training.recipe import Training

N_ROWS = 700


class Plain(Features):
    """Two numbers without bounds and a category."""

    size: Number
    age_years: Annotated[int, Field(ge=0, le=120)]
    colour: Literal["red", "green", "blue"] | None


class Every(Features):
    """Every type of field: all that a CSV file may hold."""

    balance_usd: Number | None
    visits: Annotated[int, Field(ge=0, le=1_000)]
    is_member: bool
    has_app: bool | None
    joined: Date
    seen: DateTime | None
    city: Annotated[str, Text(40)] | None
    note: Annotated[str, Text(200)]
    plan: Literal["basic", "plus"]


@dataclass(frozen=True)
class Kind:
    """A contract, its rows `make_rows(n_rows, seed)`, and its pipeline."""

    spec: ModelSpec
    make_rows: Callable[[int, int], pd.DataFrame]
    pipeline: Callable[[], Any]

    @property
    def training(self) -> Training:
        """The recipe of this model."""
        return Training(self.make_rows, self.pipeline, N_ROWS)


def _plain(n_rows: int, seed: int) -> tuple[pd.DataFrame, Any, Any]:
    """Features, a signal in them of standard deviation 1.2, and the generator."""
    rng = np.random.default_rng(seed)
    colour = rng.choice(["red", "green", "blue"], n_rows).astype(object)
    rows = pd.DataFrame(
        {"size": rng.normal(size=n_rows), "age_years": rng.integers(18, 90, n_rows)}
    )
    signal = rows["size"] + (rows["age_years"] - 54) / 40 + (colour == "red")
    colour[rng.random(n_rows) < 0.1] = None
    return rows.assign(colour=colour), signal.to_numpy(), rng


def _columns() -> ColumnTransformer:
    numbers = ["size", "age_years"]
    one_hot = OneHotEncoder(handle_unknown="ignore")
    return ColumnTransformer([("n", StandardScaler(), numbers), ("c", one_hot, ["colour"])])


def _spec(kind: Any, name: str, features: type[Features] = Plain, **more: Any) -> ModelSpec:
    more = {"target": "truth", **more}
    return ModelSpec(name=name, title=f"A {name} model", kind=kind, features=features, **more)


def _labels(first: Any, second: Any) -> Callable[[int, int], pd.DataFrame]:
    def make_rows(n_rows: int, seed: int) -> pd.DataFrame:
        rows, signal, rng = _plain(n_rows, seed)
        is_second = signal + rng.normal(size=n_rows) > 0.4
        return rows.assign(truth=[second if one else first for one in is_second])

    return make_rows


def binary(first: Any, second: Any, positive: Any) -> Kind:
    """A binary classifier with these two labels."""
    spec = _spec("binary_classifier", "binary", classes=(first, second), positive=positive)
    return Kind(spec, _labels(first, second), _classify)


def _classify() -> Any:
    return make_pipeline(_columns(), LogisticRegression(max_iter=500))


def classes(*labels: Any) -> Kind:
    """A classifier with these labels, three or more."""

    def make_rows(n_rows: int, seed: int) -> pd.DataFrame:
        rows, signal, rng = _plain(n_rows, seed)
        noisy = signal + 0.7 * rng.normal(size=n_rows)
        cuts = np.quantile(noisy, np.linspace(0, 1, len(labels) + 1)[1:-1])
        return rows.assign(truth=[labels[i] for i in np.digitize(noisy, cuts)])

    return Kind(_spec("classifier", "classes", classes=labels), make_rows, _classify)


def value(offset: float = 0.0) -> Kind:
    """A regressor with one value around `offset`."""

    def make_rows(n_rows: int, seed: int) -> pd.DataFrame:
        rows, signal, rng = _plain(n_rows, seed)
        return rows.assign(truth=offset + signal + 0.5 * rng.normal(size=n_rows))

    return Kind(_spec("regressor", "value"), make_rows, _regress)


def _regress() -> Any:
    return make_pipeline(_columns(), LinearRegression())


def outputs() -> Kind:
    """A regressor with two columns of its own, in units that are far from each other."""

    def make_rows(n_rows: int, seed: int) -> pd.DataFrame:
        rows, signal, rng = _plain(n_rows, seed)
        noise = rng.normal(size=(2, n_rows))
        return rows.assign(
            grams=1e4 * (signal + 0.4 * noise[0]), metres=1e-3 * (noise[1] - 2 * signal)
        )

    spec = _spec("regressor", "outputs", target="", outputs=("grams", "metres"))
    forest = RandomForestRegressor(12, max_depth=6, random_state=0)
    return Kind(spec, make_rows, lambda: make_pipeline(_columns(), forest))


class Quantiles(RegressorMixin, BaseEstimator):
    """A line, and quantiles of what is left of the truth around it: (n_rows, n_levels)."""

    def __init__(self, levels: tuple[float, ...] = (0.05, 0.5, 0.95)) -> None:
        self.levels = levels

    def fit(self, rows: Any, target: Any) -> "Quantiles":
        """Fit the line, then keep the quantiles of its residuals."""
        self.line_ = LinearRegression().fit(rows, target)
        self.shifts_ = np.quantile(target - self.line_.predict(rows), self.levels)
        return self

    def predict(self, rows: Any) -> Any:
        """One column a level."""
        return self.line_.predict(rows)[:, None] + self.shifts_


class ConstantQuantiles(RegressorMixin, BaseEstimator):
    """The same three quantiles for every row."""

    def fit(self, rows: Any, target: Any) -> "ConstantQuantiles":
        """Keep the quantiles of the target."""
        self.values_ = np.quantile(target, (0.05, 0.5, 0.95))
        return self

    def predict(self, rows: Any) -> Any:
        """One column a quantile."""
        return np.tile(self.values_, (len(rows), 1))


def quantiles(levels: tuple[float, ...] = (0.05, 0.5, 0.95)) -> Kind:
    """A regressor whose three outputs are quantiles of one target."""
    spec = _spec("regressor", "quantiles", outputs=("low", "value", "high"))
    return Kind(spec, value().make_rows, lambda: make_pipeline(_columns(), Quantiles(levels)))


def _unusual(n_rows: int, seed: int) -> pd.DataFrame:
    """Without a target; every twentieth row is far outside."""
    rows, _, rng = _plain(n_rows, seed)
    is_odd = np.arange(n_rows) % 20 == 0
    return rows.assign(size=np.where(is_odd, rng.normal(9, 2, n_rows), rows["size"]))


def anomaly(contamination: Any = 0.05) -> Kind:
    """An anomaly score of an isolation forest."""
    forest = IsolationForest(n_estimators=30, contamination=contamination, random_state=0)
    spec = _spec("regressor", "anomaly", target="")
    return Kind(spec, _unusual, lambda: make_pipeline(_columns(), forest))


def nothing(rows: pd.DataFrame) -> pd.DataFrame:
    """One column of zeros."""
    return rows[["age_years"]] * 0


def one_column(estimator: Any) -> Any:
    """A pipeline whose estimator sees a constant."""
    return make_pipeline(FunctionTransformer(nothing), estimator)


def one_class(nu: float = 0.05) -> Kind:
    """An anomaly score of a one-class SVM."""
    spec = _spec("regressor", "one_class", target="")
    return Kind(spec, _unusual, lambda: make_pipeline(_columns(), OneClassSVM(nu=nu, gamma=0.1)))


def wide(n_numbers: int) -> Kind:
    """A binary classifier of so many numbers, some of which matter, with a few trees."""
    names = [f"x{i}" for i in range(n_numbers)]
    fields = {name: (float, Field(ge=-100, le=100)) for name in names}
    features = create_model("WideFeatures", __base__=Features, **fields)  # type: ignore[call-overload]

    def make_rows(n_rows: int, seed: int) -> pd.DataFrame:
        rows = lookalikes.wide(n_rows, n_numbers * 5 // 4, seed).rows
        return rows[names].assign(truth=rows["y"])

    spec = _spec("binary_classifier", "wide", features)
    trees = HistGradientBoostingClassifier(max_iter=10, random_state=0)
    return Kind(spec, make_rows, lambda: make_pipeline(StandardScaler(), trees))


WORDS = ("late", "broken", "thanks", "refund", "great", "again", "parcel", "waiting", "happy")
CITIES = ("Bern", "Zürich", "Genf", "Basel")


def _everything(n_rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    notes = [" ".join(rng.choice(WORDS, rng.integers(2, 6))) for _ in range(n_rows)]
    joined = pd.Timestamp("2019-01-01") + pd.to_timedelta(rng.integers(0, 2_000, n_rows), "D")
    seen = pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 10**7, n_rows), "s")
    has_app = rng.choice([True, False], n_rows).astype(object)
    city = rng.choice(CITIES, n_rows).astype(object)
    rows = pd.DataFrame(
        {
            "balance_usd": np.round(rng.normal(0, 5_000, n_rows), 2),
            "visits": rng.poisson(4, n_rows),
            "is_member": rng.random(n_rows) < 0.5,
            "has_app": has_app,
            "joined": joined.strftime("%Y-%m-%d"),
            "seen": seen.strftime("%Y-%m-%dT%H:%M:%S").astype(object),
            "city": city,
            "note": notes,
            "plan": rng.choice(["basic", "plus"], n_rows),
        }
    )
    is_angry = rows["note"].str.contains("broken|refund").to_numpy()
    days = (joined - pd.Timestamp("2021-09-27")).days.to_numpy()
    signal = 2.0 * is_angry - 1.0 * rows["is_member"] + (city == "Bern") + days / 800
    rows["truth"] = np.where(signal + rng.normal(size=n_rows) > 0.8, "yes", "no")
    for name in ("balance_usd", "has_app", "seen", "city"):
        rows.loc[rng.random(n_rows) < 0.08, name] = None
    return rows


def days_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Dates as days since 2000, NaN where missing."""
    return (rows - pd.Timestamp("2000-01-01")) / pd.Timedelta(days=1)


def as_floats(rows: pd.DataFrame) -> pd.DataFrame:
    """Truth values and numbers as floats, NaN where missing."""
    return rows.astype(float)


def every_field() -> Kind:
    """A binary classifier on every type of field, with a TfidfVectorizer on the free text."""

    def pipeline() -> Any:
        days = make_pipeline(FunctionTransformer(days_of), SimpleImputer(), StandardScaler())
        floats = make_pipeline(FunctionTransformer(as_floats), SimpleImputer(), StandardScaler())
        columns = ColumnTransformer(
            [
                ("floats", floats, ["balance_usd", "visits", "is_member", "has_app"]),
                ("days", days, ["joined", "seen"]),
                ("texts", OneHotEncoder(handle_unknown="ignore"), ["city", "plan"]),
                ("note", TfidfVectorizer(), "note"),
            ]
        )
        return Pipeline([("columns", columns), ("model", LogisticRegression(max_iter=500))])

    spec = _spec("binary_classifier", "every", Every, classes=("no", "yes"), positive="yes")
    return Kind(spec, _everything, pipeline)
