"""Food deliveries: minutes from order to door, from real records or from a recipe like them.

In the records the wait rises towards the evening, most of all on Friday and Saturday, and the rise
also stretches what a kilometre and an item cost. The recipe imitates that; its noiseless minutes
are known.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from training.recipe import BEST, Training

KM_PER_MILE = 1.609344
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_SHARES = (0.044, 0.070, 0.138, 0.169, 0.213, 0.223, 0.143)
DAY_RUSH = {"Mon": 0.1, "Tue": 0.25, "Wed": 0.55, "Thu": 0.75, "Fri": 1.0, "Sat": 1.1, "Sun": 0.6}
MOST_ITEMS = 12
MENU_SIZE = 27
# Noise as a share of the minutes: orders that take longer are also harder to foresee.
NOISE_SHARE = 0.07


def make_rows(n_rows: int, seed: int) -> pd.DataFrame:
    """Make orders between 11 and 21 o'clock; `delivery_minutes` scatters around `best_score`."""
    rng = np.random.default_rng(seed)
    n_items = np.clip(1 + rng.poisson(2.5, size=n_rows), 1, MOST_ITEMS)
    rows = pd.DataFrame(
        {
            "order_hour": np.round(11 + 10 * rng.beta(2.2, 2.0, size=n_rows), 2),
            "order_day": rng.choice(DAYS, size=n_rows, p=DAY_SHARES).astype(object),
            "distance_km": np.round(np.clip(2.8 + rng.gamma(1.6, 1.25, size=n_rows), 0, 20), 2),
            "n_items": n_items,
            # An item is a repetition when it hits one of those already in the basket.
            "n_distinct_items": n_items - rng.binomial(n_items - 1, 2.0 / MENU_SIZE),
        }
    )
    minutes = expected_minutes(rows)
    noisy = minutes * (1 + NOISE_SHARE * rng.normal(size=n_rows))
    return rows.assign(delivery_minutes=np.round(noisy, 2), **{BEST: minutes})


def expected_minutes(rows: pd.DataFrame) -> pd.Series:
    """Compute the noiseless minutes: a rush by hour and day multiplies distance and items."""
    evening = 1 + np.exp(-(rows["order_hour"] - 15) / 1.1)
    rush = rows["order_day"].map(DAY_RUSH).astype(float) / evening
    late = np.maximum(rows["order_hour"] - 18.5, 0)
    basket = 0.3 * rows["n_items"] + 0.2 * rows["n_distinct_items"]
    minutes: pd.Series = 10 + 0.7 * (rows["order_hour"] - 11) + rush * (7 - late) + basket
    way: pd.Series = (0.6 + 1.6 * rush) * rows["distance_km"]
    return minutes + way


def map_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Turn the columns of the delivery records into ours.

    They have `distance` in miles, and one count for each menu item.

    A file with the contract's own names passes as it is.
    """
    if "time_to_delivery" not in rows:
        return rows
    items = rows.filter(regex=r"^item_\d+$").apply(pd.to_numeric)
    gaps = items.isna().any(axis="columns")
    if gaps.any():
        # The file was cut off in the middle of a row.
        raise ValueError(f"row {int(gaps.idxmax()) + 1} has no count for some item_ columns")
    return pd.DataFrame(
        {
            "order_hour": rows["hour"],
            "order_day": rows["day"],
            "distance_km": (pd.to_numeric(rows["distance"]) * KM_PER_MILE).round(3),
            "n_items": items.sum(axis="columns"),
            "n_distinct_items": (items > 0).sum(axis="columns"),
            "delivery_minutes": rows["time_to_delivery"],
        }
    )


def pipeline() -> Any:
    """Build boosted trees; the day is its place in the week, which trees can cut anywhere."""
    week = OrdinalEncoder(categories=[list(DAYS)])
    numbers = ["order_hour", "distance_km", "n_items", "n_distinct_items"]
    columns = ColumnTransformer([("day", week, ["order_day"]), ("numbers", "passthrough", numbers)])
    trees = HistGradientBoostingRegressor(
        learning_rate=0.05,
        max_iter=400,
        max_leaf_nodes=8,
        min_samples_leaf=15,
        l2_regularization=1.0,
        early_stopping=False,
        # The day may go either way; later can mean faster; further and more items never do.
        monotonic_cst=[0, 0, 1, 1, 0],
        random_state=0,
    )
    return Pipeline([("columns", columns), ("model", trees)])


TRAINING = Training(
    make_rows=make_rows,
    pipeline=pipeline,
    n_rows=12_000,
    map_columns=map_columns,
    at_least={"r2": 0.5},
    at_most={"mae": 3.0},
)
