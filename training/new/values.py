"""The sample's values as `map_columns` will read them, and which of its rows make good examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training import columns
from training.new.field import Field, Reading, Target

# A text of an open field that stands in fewer rows may say who a person is.
ROWS_OF_TEXT = 5
NEUTRAL_TEXT = "an example"
MOST_EXAMPLES = 3
THIRDS = ((0.0, 1 / 3, "low"), (2 / 3, 1.0, "high"))


@dataclass(frozen=True)
class Row:
    """An example: its name, what it is, and its values as JSON has them, by field."""

    name: str
    summary: str
    values: dict[str, Any]


def read_column(raw: pd.Series, reading: Reading | None, dtype: str) -> pd.Series:
    """A column of texts as it stands after `map_columns`, with None or NaN where missing."""
    if reading is None:
        default = {"int": "numbers", "float": "numbers", "bool": "truths"}
        default |= {"date": "dates", "datetime": "dates"}
        reading = Reading(default.get(dtype, "texts"))
    read: pd.Series = getattr(columns, reading.function)(raw, **dict(reading.arguments))
    return read


def read_fields(sample: pd.DataFrame, fields: Sequence[Field]) -> dict[str, pd.Series]:
    """Each field's values in the sample, by the column's name in the file."""
    return {
        field.column: read_column(sample[field.column], field.reading, field.dtype)
        for field in fields
    }


def read_target(sample: pd.DataFrame, target: Target) -> pd.Series:
    """The target's values in the sample: labels, or floats."""
    raw = sample[target.column]
    if target.kind == "regressor":
        return read_column(raw, target.reading, "float")
    names = columns.texts(raw).map(lambda text: None if text is None else _plain_name(text))
    labels = {_plain_name(str(label)): label for label in target.classes}
    return names.map(labels).astype(object).where(names.isin(list(labels)), None)


def _plain_name(text: str) -> str:
    if text.lower() in ("true", "false"):
        return text.lower()
    return text.removesuffix(".0")


def examples(
    fields: Sequence[Field], values: Mapping[str, pd.Series], target: Target, truth: pd.Series
) -> list[Row]:
    """Real rows that are typical for a class, or for low and high values of the target."""
    if not target.column:
        everything = np.ones(len(truth), bool)
        return [_typical(fields, values, everything, "typical", "An ordinary row")]
    if target.kind == "regressor":
        ranks = pd.to_numeric(truth).rank(pct=True).to_numpy()
        groups = [
            ((ranks > low) & (ranks <= high), name, f"A typical row with a {name} {target.column}")
            for low, high, name in THIRDS
        ]
    else:
        labels = sorted(target.classes, key=lambda label: label != target.positive)
        names = ["positive", "negative"]
        if target.kind == "classifier":
            names = [f"class_{i + 1}" for i in range(MOST_EXAMPLES)]
        groups = [
            ((truth == label).to_numpy(bool), name, f"A typical row with {target.column} = {label}")
            for name, label in zip(names, labels, strict=False)
        ]
    return [_typical(fields, values, group, *words) for group, *words in groups if group.any()]


def _typical(
    fields: Sequence[Field],
    values: Mapping[str, pd.Series],
    group: NDArray[np.bool_],
    name: str,
    summary: str,
) -> Row:
    """The row of a group whose values are the nearest to the middle of each field."""
    rows = np.flatnonzero(group)
    distance = np.zeros(len(rows))
    for field in fields:
        distance += _distance(values[field.column].iloc[rows], field)
    best = int(rows[np.argmin(distance)])
    return Row(
        name,
        summary,
        {field.name: _json_value(values[field.column], best, field) for field in fields},
    )


def _distance(column: pd.Series, field: Field) -> NDArray[np.float64]:
    """How far each value is from the middle: 0 to ½ for numbers, the more rows the nearer."""
    if field.dtype in ("category", "text", "bool") or field.choices is not None:
        shares = column.map(column.value_counts(normalize=True))
        known = pd.to_numeric(shares).astype(float).fillna(-1.0).to_numpy(np.float64)
        return np.asarray(0.5 * (1 - known))
    ranks = column.rank(pct=True).to_numpy(np.float64)
    return np.where(np.isnan(ranks), 1.0, np.abs(ranks - 0.5))


def _json_value(column: pd.Series, row: int, field: Field) -> Any:
    value = column.iloc[row]
    if value is None or pd.isna(value):
        return None
    match field.dtype:
        case "int":
            return int(value)
        case "float":
            return float(value)
        case "bool":
            return bool(value)
        case "date":
            return value.date().isoformat()
        case "datetime":
            return value.isoformat(timespec="seconds")
        case "text":
            n_rows = int((column == value).sum())
            return str(value) if n_rows >= ROWS_OF_TEXT else NEUTRAL_TEXT
    return str(value)
