"""Customers of a shop, with every kind of field: the contract, and rows that models learn from."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, create_model

from serve_app.contract import Choice, Date, DateTime, Features, Number, Text

# Everything that a case may choose from, with what a client may send.
FIELDS: dict[str, Any] = {
    "amount": Annotated[float, Field(ge=0, le=1_000_000)],
    "balance": Annotated[float, Field(ge=-1_000_000, le=1_000_000)] | None,
    "share": Annotated[float, Field(gt=0, le=1)],
    "income": Number,
    "age": Annotated[int, Field(ge=18, le=100)],
    "visits": Annotated[int, Field(ge=0, le=50)] | None,
    "since": Annotated[int, Field(ge=0, le=4_102_444_800)],
    "account": Annotated[int, Field(ge=0, le=2**40)],
    "store": Annotated[int, Choice((1, 2, 3, 5, 8))],
    "plan": Literal["basic", "pro", "team", "legacy"] | None,
    "region": Literal["north", "south", "east"],
    "city": Annotated[str, Text(40)] | None,
    "note": Annotated[str, Text(200)],
    "signup": Date | None,
    "seen_at": DateTime,
    "is_new": bool,
    "has_card": bool | None,
}
CITIES = ("Lyon", "Porto", "Gent", "Oslo", "Zürich", "Łódź")
WORDS = (
    "late",
    "broken",
    "great",
    "refund",
    "again",
    "thanks",
    "never",
    "fast",
    "parcel",
    "please",
)
LABELS = ("no", "yes")
TIERS = ("silver", "gold", "bronze")


def features_of(names: tuple[str, ...]) -> type[Features]:
    """The contract of some of the fields, in this order."""
    fields: dict[str, Any] = {name: (FIELDS[name], ...) for name in names}
    return create_model("ShopFeatures", __base__=Features, **fields)


def typical_customer(features: type[Features]) -> Features:
    """One valid row of a contract, without gaps."""
    customers = make_customers(20, 0).dropna()
    return features.model_validate(plain_rows(customers, features.model_fields)[0])


def plain_rows(customers: pd.DataFrame, names: Iterable[str]) -> list[dict[str, Any]]:
    """Rows of JSON values with these fields."""
    chosen = customers[list(names)]
    return [{str(name): value for name, value in row.items()} for row in chosen.to_dict("records")]


def make_customers(n_rows: int, seed: int) -> pd.DataFrame:
    """Customers with all fields, gaps as None, and every target that a case may want.

    `churned` is 0 or 1, `answer` the same as a text, `tier` one of three classes, `grade` its
    number, `price` about 50,000, `rate` about 0.00007, `weeks` above 0; `low` and `high` are two
    outputs. No customer has the plan "legacy".
    """
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "amount": np.round(rng.gamma(2, 100, n_rows), 2),
            "balance": np.round(rng.normal(0, 40_000, n_rows), 2),
            "share": np.round(rng.uniform(0.01, 1, n_rows), 3),
            "income": np.round(rng.lognormal(8, 1, n_rows) - 500, 2),
            "age": rng.integers(18, 90, n_rows),
            "visits": rng.poisson(5, n_rows),
            "since": rng.integers(1_500_000_000, 1_700_000_000, n_rows),
            "account": rng.integers(2**24, 2**38, n_rows),
            "store": rng.choice([1, 2, 3, 5, 8], n_rows),
            "plan": rng.choice(["basic", "pro", "team"], n_rows, p=[0.6, 0.33, 0.07]),
            "region": rng.choice(["north", "south", "east"], n_rows),
            "city": rng.choice(CITIES, n_rows, p=[0.4, 0.2, 0.2, 0.1, 0.06, 0.04]),
            "note": [" ".join(rng.choice(WORDS, 6)) for _ in range(n_rows)],
            "signup": _days(rng, n_rows),
            "seen_at": _times(rng, n_rows),
            "is_new": rng.random(n_rows) < 0.4,
            "has_card": rng.random(n_rows) < 0.6,
        }
    ).astype(object)
    effect = _effect(rows, rng)
    for name in ("balance", "visits", "plan", "city", "signup", "has_card"):
        rows[name] = rows[name].where(rng.random(n_rows) >= 0.12, None)
    return rows.assign(**_targets(effect + np.where(rows["plan"].isna(), 1.2, 0), rng))


def _days(rng: np.random.Generator, n_rows: int) -> list[str]:
    days = np.datetime64("2015-01-01") + rng.integers(0, 4_000, n_rows)
    return [str(day) for day in days]


def _times(rng: np.random.Generator, n_rows: int) -> list[str]:
    times = np.datetime64("2024-01-01T00:00:00") + rng.integers(0, 60_000_000, n_rows)
    return [str(time) for time in times]


def _effect(rows: pd.DataFrame, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n_rows,) how much each field speaks for the positive class, about a unit wide."""
    late = rows["note"].str.count("late|broken|refund").astype(float)
    hour = rows["seen_at"].str[11:13].astype(float)
    effect = (
        rows["amount"].astype(float) / 150
        - 0.25 * rows["visits"].astype(float)
        + rows["balance"].astype(float) / 40_000
        + rows["share"].astype(float)
        + np.log1p(rows["income"].astype(float) + 500) / 2
        - 0.02 * rows["age"].astype(float)
        + (rows["since"].astype(float) - 1_600_000_000) / 1e8
        + rows["account"].astype(float) / 2**38
        + rows["store"].isin([2, 5]) * 1.0
        + rows["plan"].map({"basic": 1.2, "pro": -0.5, "team": -1.5})
        + rows["region"].map({"north": 0.5, "south": -0.5, "east": 0})
        + rows["city"].isin(["Lyon", "Oslo"]) * 1.0
        + 0.5 * late
        - (rows["signup"].str[:4].astype(float) - 2020) / 4
        + 0.04 * hour
        + rows["is_new"].astype(float)
        - rows["has_card"].astype(float)
    )
    noisy = effect - effect.mean() + rng.normal(0, 0.5, len(rows))
    return np.asarray(np.clip(noisy.to_numpy(np.float64), -5, 5))


def _targets(effect: NDArray[np.float64], rng: np.random.Generator) -> dict[str, Any]:
    churned = (rng.random(len(effect)) < 1 / (1 + np.exp(-2 * effect))).astype(int)
    tier = np.digitize(effect + rng.normal(0, 0.5, len(effect)), [-0.8, 0.9])
    return {
        "churned": churned,
        "answer": np.array(LABELS)[churned],
        "tier": np.array(TIERS)[tier],
        "grade": tier,
        "price": np.round(50_000 + 9_000 * effect, 2),
        "rate": 1e-5 * (7 + effect),
        "weeks": np.round(np.exp(effect / 4) * 10, 1),
        "low": 10 * effect - 8,
        "high": 10 * effect + 8 + np.abs(effect),
    }
