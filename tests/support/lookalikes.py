"""Files like those that people have, made with seeds: what `sluice new` is tried on.

Each maker gives a frame as it would be written with `to_csv(index=False)`. Where the truth is drawn
from a probability, `best` says the score that nobody can beat.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Lookalike:
    """Rows as their file has them, and (n_rows,) the best score where it is known."""

    rows: pd.DataFrame
    best: Numbers


def telco(n_rows: int, seed: int = 1) -> Lookalike:
    """Customers in the columns of IBM's Telco file, with its blanks in TotalCharges.

    `best` is the probability that Churn was drawn from: as hard to beat as in the real file, where
    good models reach an AUC of 0.85.
    """
    rng = np.random.default_rng(seed)
    internet = rng.choice(["DSL", "Fiber optic", "No"], n_rows, p=[0.34, 0.44, 0.22])
    contract = rng.choice(["Month-to-month", "One year", "Two year"], n_rows, p=[0.55, 0.21, 0.24])
    longest = np.select([contract == "Month-to-month", contract == "One year"], [0.8, 1.3], 1.9)
    tenure = np.minimum(rng.gamma(1.1, 21, n_rows) * longest, 72).astype(int)
    phone = np.where(rng.random(n_rows) < 0.9, "Yes", "No")
    services = {
        name: _service(internet, share, rng)
        for name, share in {
            "OnlineSecurity": 0.37,
            "OnlineBackup": 0.44,
            "DeviceProtection": 0.44,
            "TechSupport": 0.37,
            "StreamingTV": 0.49,
            "StreamingMovies": 0.5,
        }.items()
    }
    n_extras = sum((column == "Yes").astype(int) for column in services.values())
    base = np.select([internet == "DSL", internet == "Fiber optic"], [25.0, 50.0], 0.0)
    monthly = np.round(base + 20 * (phone == "Yes") + 5 * n_extras + rng.normal(0, 1, n_rows), 2)
    monthly = np.clip(monthly, 18.25, 118.75)
    total = np.round(monthly * tenure * rng.normal(1, 0.02, n_rows), 2)
    senior = (rng.random(n_rows) < 0.16).astype(int)
    paperless = np.where(rng.random(n_rows) < 0.59, "Yes", "No")
    payment = rng.choice(
        [
            "Electronic check",
            "Mailed check",
            "Bank transfer (automatic)",
            "Credit card (automatic)",
        ],
        n_rows,
        p=[0.34, 0.23, 0.22, 0.21],
    )
    logit = (
        -1.25
        + np.select([internet == "Fiber optic", internet == "DSL"], [0.9, 0.0], -1.0)
        + np.select([contract == "Month-to-month", contract == "One year"], [0.9, -0.4], -1.6)
        - 0.035 * tenure
        + 0.35 * senior
        + 0.35 * (paperless == "Yes")
        + 0.5 * (payment == "Electronic check")
        - 0.45 * (services["OnlineSecurity"] == "Yes")
        - 0.4 * (services["TechSupport"] == "Yes")
        + 0.01 * (monthly - 65)
    )
    probability = 1 / (1 + np.exp(-1.15 * logit))
    rows = pd.DataFrame(
        {
            "customerID": _ids(n_rows, rng),
            "gender": rng.choice(["Male", "Female"], n_rows),
            "SeniorCitizen": senior,
            "Partner": rng.choice(["Yes", "No"], n_rows),
            "Dependents": rng.choice(["Yes", "No"], n_rows, p=[0.3, 0.7]),
            "tenure": tenure,
            "PhoneService": phone,
            "MultipleLines": np.where(
                phone == "No", "No phone service", rng.choice(["Yes", "No"], n_rows)
            ),
            "InternetService": internet,
            **services,
            "Contract": contract,
            "PaperlessBilling": paperless,
            "PaymentMethod": payment,
            "MonthlyCharges": monthly,
            # Who has just come has paid nothing yet.
            "TotalCharges": np.where(tenure == 0, " ", total.astype(str)),
            "Churn": np.where(rng.random(n_rows) < probability, "Yes", "No"),
        }
    )
    return Lookalike(rows, probability)


def _service(
    internet: NDArray[np.str_], share: float, rng: np.random.Generator
) -> NDArray[np.str_]:
    has_it = np.where(rng.random(len(internet)) < share, "Yes", "No")
    return np.where(internet == "No", "No internet service", has_it)


def _ids(n_rows: int, rng: np.random.Generator) -> list[str]:
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    words = ["".join(word) for word in rng.choice(letters, (n_rows, 5))]
    numbers = rng.permutation(10_000)
    return [f"{number:04d}-{word}" for number, word in zip(numbers, words, strict=False)]


def flowers(n_rows: int, seed: int = 2) -> Lookalike:
    """Three classes by four measures, and names of columns that Python does not have."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n_rows)
    sizes = np.array([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.5, 2.0]])[kind]
    measures = np.round(np.abs(sizes + rng.normal(0, 0.45, sizes.shape)), 1)
    names = ["Sepal length (cm)", "Sepal width (cm)", "Petal length (cm)", "Petal width (cm)"]
    rows = pd.DataFrame(measures, columns=names)
    rows["species"] = np.array(["setosa", "versicolor", "virginica"])[kind]
    return Lookalike(rows, np.zeros(n_rows))


def rides(n_rows: int, seed: int = 3) -> Lookalike:
    """A price with the day and the time of a ride; `best` is the price without its noise."""
    rng = np.random.default_rng(seed)
    minutes = rng.integers(0, 365 * 24 * 60, n_rows)
    start = np.datetime64("2025-01-01T00:00") + minutes.astype("timedelta64[m]")
    booked = start.astype("datetime64[D]") - rng.integers(0, 30, n_rows).astype("timedelta64[D]")
    km = np.round(rng.gamma(2.0, 4.0, n_rows) + 0.5, 1)
    hour = minutes // 60 % 24
    best = 3 + 1.6 * km + 4.0 * ((hour >= 22) | (hour < 6))
    rows = pd.DataFrame(
        {
            "ride": np.arange(1, n_rows + 1),
            "started at": pd.Series(start).dt.strftime("%Y-%m-%d %H:%M"),
            "booked": pd.Series(booked).dt.strftime("%d.%m.%Y"),
            "distance_km": km,
            "city": rng.choice([f"city {i}" for i in range(90)], n_rows),
            "price": np.round(best + rng.normal(0, 0.6, n_rows), 2),
        }
    )
    return Lookalike(rows, best)


def wide(n_rows: int, n_columns: int = 300, seed: int = 4) -> Lookalike:
    """Many columns of numbers and texts, of which five matter; `best` is the true probability."""
    rng = np.random.default_rng(seed)
    n_numbers = n_columns * 4 // 5
    numbers = np.round(rng.normal(0, 10, (n_rows, n_numbers)), 3)
    rows = pd.DataFrame(numbers, columns=[f"x{i}" for i in range(n_numbers)])
    texts = {
        f"group{i}": rng.choice(["a", "b", "c", "d"], n_rows) for i in range(n_columns - n_numbers)
    }
    rows = pd.concat([rows, pd.DataFrame(texts)], axis=1)
    logit = 0.12 * (rows["x0"] - rows["x1"] + rows["x2"]) + 1.0 * (rows["group0"] == "a")
    probability = 1 / (1 + np.exp(-logit.to_numpy()))
    rows["y"] = (rng.random(n_rows) < probability).astype(int)
    return Lookalike(rows, probability)
