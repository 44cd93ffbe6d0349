"""The exact float64, or whole number, on which the answer of a function changes."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Orders = NDArray[np.int64]
# The sign of a float64 as its bits have it.
MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)
# How far around a guess is looked first, in neighbouring numbers.
AROUND = 512


def orders_of(numbers: Numbers, unit: float | None) -> Orders:
    """Whole numbers in the order of the numbers: neighbours differ by one.

    With a `unit` all numbers are multiples of it.
    """
    if unit is not None:
        return np.round(numbers / unit).astype(np.int64)
    bits = np.ascontiguousarray(numbers, dtype=np.float64).view(np.int64)
    # Negative floats are sorted backwards by their bits.
    ordered: Orders = bits ^ ((bits >> 63) & MAGNITUDE)
    return ordered


def numbers_of(orders: Orders, unit: float | None) -> Numbers:
    """The numbers that have these places in the order."""
    if unit is not None:
        return orders.astype(np.float64) * unit
    bits = orders ^ ((orders >> 63) & MAGNITUDE)
    return np.ascontiguousarray(bits).view(np.float64)


def last_left(
    is_left: Callable[[Numbers, NDArray[np.intp]], NDArray[np.bool_]],
    low: Numbers,
    high: Numbers,
    unit: float | None = None,
    guess: Numbers | None = None,
) -> Numbers:
    """(n,) the largest number of each lane for which it is left.

    `is_left(numbers, lanes)` is asked about one number for each of these lanes. It is true for
    `low` and false for `high`, (n,) each, and changes once between.
    """
    lows = orders_of(low, unit)
    highs = orders_of(high, unit)

    def narrow(middles: Orders, lanes: NDArray[np.intp]) -> None:
        if len(lanes):
            left = is_left(numbers_of(middles, unit), lanes)
            lows[lanes[left]] = middles[left]
            highs[lanes[~left]] = middles[~left]

    if guess is not None:
        guesses = orders_of(np.clip(guess, low, high), unit)
        for offset in (-AROUND, AROUND):
            tried = guesses + offset
            lanes = np.flatnonzero((tried > lows) & (tried < highs))
            narrow(tried[lanes], lanes)
    while True:
        # The mean of two int64 without their sum, which may not fit.
        middles = (lows >> 1) + (highs >> 1) + (lows & highs & 1)
        lanes = np.flatnonzero(middles > lows)
        if not len(lanes):
            return numbers_of(lows, unit)
        narrow(middles[lanes], lanes)
