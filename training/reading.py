"""From a CSV file or a recipe's frame to a checked `Table`; every fault in the data stops here."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from serve_app.contract import Feature, ModelSpec
from serve_app.contract.block import MISSING_CATEGORY, Block, Layout
from training.errors import InvalidData
from training.recipe import BEST
from training.table import Numbers, Table

# With fewer, the fifth that is the hold-out says nothing.
MIN_ROWS = 300
MIN_ROWS_OF_CLASS = 30
LISTED = 10
MOST = 2**63


def read_csv(
    path: Path,
    spec: ModelSpec,
    map_columns: Callable[[pd.DataFrame], pd.DataFrame],
    csv: Mapping[str, Any] | None = None,
) -> Table:
    """Read a checked table from a CSV file. Raises InvalidData: which column, row, expectation.

    `csv` holds further arguments of `pandas.read_csv`.
    """
    texts: Any = dict.fromkeys((f.name for f in spec.contract if f.is_quoted), str)
    if any(isinstance(label, str) for label in spec.classes):
        texts[spec.target] = str
    try:
        # Only an empty cell is missing: a category may well be called "NA" or "None".
        options = dict(csv or {})
        texts |= options.pop("dtype", {})
        rows = pd.read_csv(
            path, dtype=texts, keep_default_na=False, na_values=[""], low_memory=False, **options
        )
    except (OSError, ValueError) as error:
        raise InvalidData(
            f"{path}: cannot be read as CSV ({_first_line(error)}); expected UTF-8 with a header"
        ) from None
    try:
        rows = map_columns(rows)
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidData(
            f"{path}: its columns cannot be mapped to those of {spec.name}: {_first_line(error)}"
        ) from None
    return check(rows.drop(columns=BEST, errors="ignore"), spec, str(path))


def check(rows: pd.DataFrame, spec: ModelSpec, source: str) -> Table:
    """Make a table of raw rows, each column checked against the contract.

    Raises InvalidData with every fault.
    """
    wanted = [*(f.name for f in spec.contract), *spec.targets]
    missing = [name for name in wanted if name not in rows]
    if missing:
        raise InvalidData(
            f"{source}: missing columns: {', '.join(missing)}; expected {', '.join(wanted)}. "
            "Add the columns, or map them in the model's training file."
        )
    require_rows(len(rows), source)
    columns = {}
    faults = []
    for feature in spec.contract:
        try:
            columns[feature.name] = _column(rows[feature.name], feature)
        except InvalidData as fault:
            faults.append(str(fault))
    if faults:
        raise InvalidData(f"{source}: " + "; ".join(faults) + ". Correct or drop these rows.")
    target = _targets(rows, spec, source)
    best = rows[BEST].to_numpy(np.float64) if BEST in rows else None
    return Table(spec, _block(columns, spec, len(rows)), target, best)


def require_rows(n_rows: int, source: str) -> None:
    """Refuse what is too little to measure on. Raises InvalidData."""
    if n_rows < MIN_ROWS:
        raise InvalidData(
            f"{source}: found {n_rows} rows, expected at least {MIN_ROWS}. Collect more rows."
        )


def _block(columns: dict[str, pd.Series], spec: ModelSpec, n_rows: int) -> Block:
    """The two matrices in the layout of serving."""
    layout = Layout(spec.contract)
    numbers = np.empty((n_rows, len(layout.number_names)))
    for i, name in enumerate(layout.number_names):
        numbers[:, i] = columns[name]
    categories = np.empty((n_rows, len(layout.category_names)), dtype=object)
    for i, name in enumerate(layout.category_names):
        categories[:, i] = columns[name].to_numpy(object)
    return Block(numbers, categories)


def _column(raw: pd.Series, feature: Feature) -> pd.Series:
    """One column as it stands in a block, missing values as NaN or the empty text."""
    missing = raw.isna()
    if feature.is_quoted:
        missing |= raw.astype(object) == MISSING_CATEGORY
    if missing.any() and not feature.nullable:
        raise InvalidData(_fault(feature.name, "no value", missing, feature.allowed))
    if feature.is_text:
        values = raw.astype(object).where(~missing, MISSING_CATEGORY)
        _refuse(values, ~missing & ~values.map(feature.accepts).astype(bool), feature)
        return values
    if feature.dtype in ("date", "datetime"):
        return _dates(raw, missing, feature)
    if feature.dtype == "bool":
        return _truths(raw, missing, feature)
    numbers = _numbers(raw, feature.name, feature.allowed)
    _refuse(raw, ~missing & ~_is_allowed(numbers, feature), feature)
    return numbers


def _dates(raw: pd.Series, missing: pd.Series, feature: Feature) -> pd.Series:
    """Microseconds since 1970 of ISO texts, or of what pandas has read as dates already."""
    if pd.api.types.is_datetime64_any_dtype(raw):
        shape = "%Y-%m-%d" if feature.dtype == "date" else "%Y-%m-%dT%H:%M:%S.%f"
        raw = raw.dt.strftime(shape)
    values = raw.astype(object)
    _refuse(values, ~missing & ~values.map(feature.accepts).astype(bool), feature)
    dates = values.where(~missing, None)
    name = feature.name
    numbers = Layout([feature]).block([{name: value} for value in dates]).numbers[:, 0]
    return pd.Series(numbers, index=raw.index)


TRUTHS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}


def _truths(raw: pd.Series, missing: pd.Series, feature: Feature) -> pd.Series:
    """1 and 0 of truth values, however a CSV file writes them."""
    numbers = raw.map(lambda value: TRUTHS.get(str(value).lower(), np.nan)).astype(np.float64)
    _refuse(raw, ~missing & numbers.isna(), feature)
    return numbers


def _numbers(raw: pd.Series, name: str, allowed: str) -> pd.Series:
    """Floats from a raw column; a text or a truth value in it is a fault, not a number."""
    usable = raw.map(_may_be_a_number).astype(bool)
    numbers = pd.to_numeric(raw.astype(object).where(usable), errors="coerce").astype(np.float64)
    unreadable = numbers.isna() & raw.notna()
    if unreadable.any():
        raise InvalidData(_fault(name, _shown(raw[unreadable].iloc[0]), unreadable, allowed))
    return numbers


def _may_be_a_number(value: object) -> bool:
    """A truth value is no number here, and an int of hundreds of digits fits no float."""
    if isinstance(value, bool | np.bool_):
        return False
    return not isinstance(value, int) or abs(value) <= MOST


def _is_allowed(numbers: pd.Series, feature: Feature) -> pd.Series:
    if feature.choices is not None:
        return numbers.isin(feature.choices)
    inside: pd.Series = np.isfinite(numbers)
    if feature.dtype == "int":
        inside &= numbers == np.floor(numbers)
    if feature.minimum is not None:
        inside &= numbers >= feature.minimum
    if feature.exclusive_minimum is not None:
        inside &= numbers > feature.exclusive_minimum
    if feature.maximum is not None:
        inside &= numbers <= feature.maximum
    return inside


def _refuse(raw: pd.Series, wrong: pd.Series, feature: Feature) -> None:
    if wrong.any():
        raise InvalidData(_fault(feature.name, _shown(raw[wrong].iloc[0]), wrong, feature.allowed))


def _fault(name: str, found: str, wrong: pd.Series, allowed: str) -> str:
    """`wrong` marks the rows; the header counts as line 1 of the file."""
    line = int(np.argmax(wrong.to_numpy())) + 2
    n_rows = int(wrong.sum())
    rows = "1 row" if n_rows == 1 else f"{n_rows} rows"
    return f"{name}: found {found} in line {line} ({rows} in all), expected {allowed}"


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else f"{value}"
    return text if len(text) <= 40 else text[:39] + "…"


def _targets(rows: pd.DataFrame, spec: ModelSpec, source: str) -> Numbers:
    """The target as `Table` wants it."""
    if spec.is_anomaly_score:
        return np.zeros(len(rows))
    if spec.is_classifier:
        return _classes(rows[spec.target], spec, source)
    values = [_values(rows[name], name, source) for name in spec.targets]
    return values[0] if spec.target else np.column_stack(values)


def _values(raw: pd.Series, name: str, source: str) -> Numbers:
    """The target of a regressor: finite floats."""
    allowed = "a finite number"
    values = _numbers(raw, f"{source}: {name}", allowed).to_numpy()
    wrong = ~np.isfinite(values)
    if wrong.any():
        found = _shown(raw[wrong].iloc[0])
        raise InvalidData(f"{source}: " + _fault(name, found, pd.Series(wrong), allowed))
    return values


def _classes(raw: pd.Series, spec: ModelSpec, source: str) -> Numbers:
    """The target of a classifier: the position of each row's class, all of which occur enough."""
    positions = {name_of_class(label): float(i) for i, label in enumerate(spec.classes)}
    if spec.kind == "binary_classifier":
        positive = name_of_class(spec.positive)
        positions = {name: float(name == positive) for name in positions}
    names = raw.map(name_of_class)
    values = np.asarray(names.map(positions), dtype=np.float64)
    wrong = np.isnan(values)
    listed = ", ".join(str(label) for label in spec.classes[:LISTED])
    if wrong.any():
        first = raw[wrong].iloc[0]
        found = "no value" if pd.isna(first) else _shown(first)
        fault = _fault(spec.target, found, pd.Series(wrong), f"one of {listed}")
        raise InvalidData(
            f"{source}: {fault}. Other spellings are mapped by `map_columns` in the model's "
            "training file."
        )
    counts = {str(label): int((names == name_of_class(label)).sum()) for label in spec.classes}
    least = min(counts, key=counts.__getitem__)
    if counts[least] < MIN_ROWS_OF_CLASS:
        found = " and ".join(f"{n} of {label}" for label, n in counts.items())
        raise InvalidData(
            f"{source}: {spec.target}: found {found} rows, expected at least {MIN_ROWS_OF_CLASS} "
            "of each. A classifier needs to see all of them."
        )
    return values


def name_of_class(label: Any) -> str:
    """A class as a name that does not depend on how it was read: 1, 1.0, "1" and np.int64(1).

    True and 1 are one class, and False and 0.
    """
    if isinstance(label, bool | np.bool_):
        return str(int(label))
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return {"True": "1", "False": "0"}.get(str(label), str(label))


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
