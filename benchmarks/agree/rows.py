"""Random rows that a contract allows, with far too many of those that break things."""

import math
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.contract import Feature

SHARE_MISSING = 0.12
# Texts that no training has seen: some look missing, some like a number, some like another text.
ODD_TEXTS = (
    "nan", "None", "NaN", "null", "NA", "0", "1.5", "-1", "True", "unseen", "infrequent_sklearn",
    "Ünïcödé", "日本", "🙂", "a,b", 'say "no"', "x y  z", "basic ", " Lyon", "lyon", "LYON", "'",
)  # fmt: skip
FLOAT32_WHOLE = 2**24
# A day and a moment in 1900 and in 2100; pandas holds more than pipelines do.
FIRST = datetime(1900, 1, 1)
LAST = datetime(2100, 12, 31)
EVES = (
    datetime(1970, 1, 1),
    datetime(1969, 12, 31, 23, 59, 59),
    datetime(2000, 2, 29),
    datetime(2024, 2, 29, 23, 59, 59, 999_999),
    datetime(2038, 1, 19, 3, 14, 8),
    FIRST,
    LAST,
)


def random_rows(
    contract: Sequence[Feature],
    seen: Sequence[dict[str, Any]],
    cuts: NDArray[np.float64],
    n_rows: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of JSON values (dates as ISO texts); `seen` are rows that a model was fitted on.

    `cuts` are the thresholds of all its trees, of whatever field: values next to those that a field
    may hold are tried in it.
    """
    rng = np.random.default_rng(seed)
    columns = {}
    for feature in contract:
        known = [row[feature.name] for row in seen if row[feature.name] is not None]
        values = _column(feature, known, cuts, n_rows, rng)
        if feature.nullable:
            gone = rng.random(n_rows) < SHARE_MISSING
            values = [None if no else value for no, value in zip(gone, values, strict=True)]
        columns[feature.name] = values
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _column(
    feature: Feature,
    known: Sequence[Any],
    cuts: NDArray[np.float64],
    n_rows: int,
    rng: np.random.Generator,
) -> list[Any]:
    if feature.choices is not None:
        return _picked(list(feature.choices), n_rows, rng)
    match feature.dtype:
        case "bool":
            return _picked([True, False], n_rows, rng)
        case "text":
            return _texts(feature, known, n_rows, rng)
        case "date" | "datetime":
            return _moments(feature, known, n_rows, rng)
    return _numbers(feature, np.array(known, dtype=np.float64), cuts, n_rows, rng)


def _picked(values: Sequence[Any], n_rows: int, rng: np.random.Generator) -> list[Any]:
    return [values[i] for i in rng.integers(0, len(values), n_rows)]


def _texts(
    feature: Feature, known: Sequence[str], n_rows: int, rng: np.random.Generator
) -> list[str]:
    most = feature.max_length or 1
    words = sorted(set(known))
    odd = [*ODD_TEXTS, "x" * most, words[0].upper(), f" {words[0]}", f"{words[-1]} "]
    values = _picked(words, n_rows, rng)
    for i in np.flatnonzero(rng.random(n_rows) < 0.35):
        values[i] = odd[rng.integers(0, len(odd))][:most]
    return values


def _moments(
    feature: Feature, known: Sequence[str], n_rows: int, rng: np.random.Generator
) -> list[str]:
    values = _picked(known, n_rows, rng)
    span_s = int((LAST - FIRST).total_seconds())
    kinds = rng.random(n_rows)
    for i in np.flatnonzero(kinds < 0.4):
        moment = FIRST + timedelta(seconds=int(rng.integers(0, span_s)))
        if kinds[i] < 0.1:
            moment = EVES[rng.integers(0, len(EVES))]
        elif kinds[i] < 0.2:
            moment += timedelta(microseconds=int(rng.integers(0, 1_000_000)))
        day: date = moment.date()
        values[i] = day.isoformat() if feature.dtype == "date" else moment.isoformat()
    return values


def _numbers(
    feature: Feature,
    known: NDArray[np.float64],
    cuts: NDArray[np.float64],
    n_rows: int,
    rng: np.random.Generator,
) -> list[Any]:
    """A third as seen, the rest from the bounds, next to cuts, of every size, whole and broken."""
    low, high = _bounds(feature, known)
    values = rng.choice(known, n_rows)
    sources: tuple[Callable[[int], NDArray[np.float64]], ...] = (
        lambda n: rng.uniform(low, high, n),
        lambda n: rng.uniform(known.min(), known.max(), n),
        lambda n: np.round(rng.uniform(known.min(), known.max(), n), 2),
        lambda n: rng.choice(_edges(low, high), n),
        lambda n: _beside(rng.choice(cuts, n), rng) if len(cuts) else rng.choice(known, n),
        lambda n: _beside(_between(known, n, rng), rng),
        lambda n: rng.choice(known, n) + rng.choice([-1, 1, -0.5, 0.5, 0.01, -0.01], n),
        lambda n: np.exp(rng.uniform(-8, math.log(max(high, 2)), n)) * rng.choice([-1, 1], n),
        lambda n: FLOAT32_WHOLE + np.round(rng.uniform(-5, 2**8, n) * rng.choice([1, 2**9], n)),
    )
    # The cuts that this field may hold.
    cuts = cuts[(cuts >= low) & (cuts <= high)]
    kinds = rng.integers(0, len(sources) + 4, n_rows)
    for number, source in enumerate(sources):
        rows = np.flatnonzero(kinds == number)
        values[rows] = source(len(rows))
    if feature.dtype == "int":
        values = np.floor(values)
    outside = (values < low) | (values > high)
    values[outside] = rng.choice(known, int(outside.sum()))
    plain: list[Any] = values.tolist()
    if feature.dtype == "int":
        return [int(value) for value in plain]
    # JSON may write a whole number without its point.
    for row in np.flatnonzero(rng.random(n_rows) < 0.5):
        value = plain[row]
        if value.is_integer() and abs(value) < 2**53:
            plain[row] = int(value)
    return plain


def _bounds(feature: Feature, known: NDArray[np.float64]) -> tuple[float, float]:
    """The lowest and the highest value; a thousand times what was seen where there is no bound."""
    far = 1e3 * float(np.abs(known).max())
    low = -far if feature.minimum is None else feature.minimum
    if feature.exclusive_minimum is not None:
        low = float(np.nextafter(feature.exclusive_minimum, math.inf))
    return low, far if feature.maximum is None else feature.maximum


def _edges(low: float, high: float) -> NDArray[np.float64]:
    inner = [np.nextafter(low, math.inf), np.nextafter(high, -math.inf), low + 0.01, high - 0.01]
    return np.array([low, high, 0.0, 1.0, -1.0, 0.5, low + 1, high - 1, *inner])


def _between(known: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The middles of neighbours, where trees cut."""
    values = np.unique(known)
    if len(values) < 2:
        return np.full(n, values[0])
    middles = (values[1:] + values[:-1]) / 2
    return np.asarray(rng.choice(middles, n))


def _beside(cuts: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A cut, its float64 and float32 neighbours, and it rounded to cents and to whole numbers."""
    single = cuts.astype(np.float32)
    ways = np.stack(
        [
            cuts,
            np.nextafter(cuts, math.inf),
            np.nextafter(cuts, -math.inf),
            single.astype(np.float64),
            np.nextafter(single, np.float32(math.inf)).astype(np.float64),
            np.round(cuts, 2),
            np.floor(cuts),
            np.ceil(cuts),
        ]
    )
    return np.asarray(ways[rng.integers(0, len(ways), len(cuts)), np.arange(len(cuts))])
