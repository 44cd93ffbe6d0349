"""The shop's orders: what is asked on each day, and how long it then took.

Each is asked when it is placed, so that hour and weekday go with the clock, and a Saturday has five
times as many as a Monday. Day 0 is a Monday.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from serve_app.models import get_spec
from training.models.delivery_time import (
    DAY_SHARES,
    DAYS,
    NOISE_SHARE,
    expected_minutes,
    make_rows,
)

SPEC = get_spec("delivery_time")
FIELDS = [feature.name for feature in SPEC.contract]
LABEL = SPEC.target
# In the monsoon people order from further away and earlier, within what training has seen.
FURTHER = 1.4
MOST_KM = 12.0
FIRST_HOUR = 11.0
EARLIER = 0.65
# And then every way takes longer.
SLOWER = 1.3


@dataclass(frozen=True)
class Weather:
    """From which day on orders differ, and from which on the same order takes longer; None: never.

    Days are counted from 0.
    """

    orders_from: int | None = None
    minutes_from: int | None = None


QUIET = Weather()
MONSOON = Weather(orders_from=8, minutes_from=12)


@dataclass(frozen=True)
class Order:
    """A row as it is asked, when in the day (0 to 1), and the minutes that it took."""

    at: float
    key: str
    row: dict[str, Any]
    minutes: float


def orders_of(day: int, mean_orders: int, weather: Weather, seed: int) -> list[Order]:
    """The orders of one day, in the order of their time; `mean_orders` are those of all days."""
    rng = np.random.default_rng([seed, day])
    weekday = day % len(DAYS)
    n_orders = round(len(DAYS) * DAY_SHARES[weekday] * mean_orders)
    rows = make_rows(n_orders, int(rng.integers(2**31)))
    rows["order_day"] = DAYS[weekday]
    if weather.orders_from is not None and day >= weather.orders_from:
        further = np.minimum(rows["distance_km"] * FURTHER, MOST_KM)
        rows["distance_km"] = np.round(further, 2)
        rows["order_hour"] = np.round(FIRST_HOUR + EARLIER * (rows["order_hour"] - FIRST_HOUR), 2)
    minutes = expected_minutes(rows) * (1 + NOISE_SHARE * rng.normal(size=n_orders))
    if weather.minutes_from is not None and day >= weather.minutes_from:
        minutes *= SLOWER
    plain: list[dict[Any, Any]] = rows[FIELDS].to_dict("records")
    orders = [
        Order(row["order_hour"] / 24, f"customer-{day}-{i}", row, round(float(truth), 2))
        for i, (row, truth) in enumerate(zip(plain, minutes, strict=True))
    ]
    return sorted(orders, key=lambda order: order.at)


def frame_of(orders: list[Order]) -> pd.DataFrame:
    """Orders with what came true, as a file for training has them."""
    return pd.DataFrame([{**order.row, LABEL: order.minutes} for order in orders])
