"""Rows as pandas reads them from a CSV file: what a pipeline is fitted on, and asked.

Nothing of serving is used here: this is the other side of the comparison.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from serve_app.contract import Feature

# How a data scientist has them: pandas' own texts, objects with None, or categories.
Texts = Literal["str", "none", "category"]


def read_frame(
    rows: Sequence[Mapping[str, Any]], contract: Sequence[Feature], texts: Texts
) -> pd.DataFrame:
    """Rows of JSON values through a CSV file into a DataFrame, in the contract's order.

    Only an empty cell is missing. Texts are pandas' `str` with NaN, or objects with None, or a
    category.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_MINIMAL)
    writer.writerow([feature.name for feature in contract])
    for row in rows:
        writer.writerow([_cell(row[feature.name], feature) for feature in contract])
    buffer.seek(0)
    words: Any = {f.name: str for f in contract if f.is_text}
    frame = pd.read_csv(
        buffer,
        dtype=words,
        parse_dates=[f.name for f in contract if f.dtype in ("date", "datetime")],
        date_format="ISO8601",
        keep_default_na=False,
        na_values=[""],
        skip_blank_lines=False,
    )
    for name in words:
        if texts == "none":
            column = frame[name].astype(object)
            frame[name] = column.where(column.notna(), None)
        elif texts == "category":
            frame[name] = frame[name].astype("category")
    return frame


def _cell(value: Any, feature: Feature) -> str:
    if value is None:
        return ""
    # A float column may hold whole numbers, as JSON writes them: 5.
    return repr(float(value)) if feature.dtype == "float" else str(value)
