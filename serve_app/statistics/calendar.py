"""Months and weekdays of dates as they stand in a block: microseconds since 1970."""

import numpy as np
from numpy.typing import NDArray

from serve_app.contract.block import US_PER_DAY
from serve_app.contract.date_parts import WEEKDAY_OF_EPOCH

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def months_of(dates_us: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) the month of each date, 0 for January; none of them is NaN."""
    days = np.floor_divide(dates_us, US_PER_DAY).astype(np.int64)
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12


def weekdays_of(dates_us: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) the weekday of each date, 0 for Monday; none of them is NaN."""
    days = np.floor_divide(dates_us, US_PER_DAY).astype(np.int64)
    return np.asarray((days + WEEKDAY_OF_EPOCH) % 7)
