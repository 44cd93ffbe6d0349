"""A step for pipelines that takes dates to the numbers that trees can cut."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = ("day number", "month", "day of month", "weekday", "hour")
# 1970-01-01 was a Thursday; Monday is 0.
WEEKDAY_OF_EPOCH = 3


def date_parts(columns: Any) -> NDArray[np.float64]:
    """(n_rows, n_columns × 5): days since 1970, month, day of month, weekday and hour of dates.

    `columns` is a DataFrame of datetime64 or an array of it, (n_rows, n_columns). All parts of a
    missing date are NaN. In a pipeline: `FunctionTransformer(date_parts)`.
    """
    times = np.asarray(columns).astype("datetime64[us]")
    times = times.reshape(len(times), -1)
    days = times.astype("datetime64[D]")
    months = times.astype("datetime64[M]")
    day_numbers = days.astype(np.int64)
    parts = (
        day_numbers,
        months.astype(np.int64) % 12 + 1,
        (days - months).astype(np.int64) + 1,
        (day_numbers + WEEKDAY_OF_EPOCH) % 7,
        (times - days).astype("timedelta64[h]").astype(np.int64),
    )
    is_missing = np.isnat(times)
    return np.hstack([np.where(is_missing, np.nan, part.astype(np.float64)) for part in parts])
