"""Columns as tables: what they are for each text, or each run of numbers, of their field."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.contract import Feature
from serve_app.contract.block import MISSING_CATEGORY, US_PER_DAY
from serve_app.contract.feature import UNSEEN_TEXTS
from training.bounds import bounds
from training.compilation.asker import Asker, Matrix, NotCompiled, listed_numbers
from training.compilation.bisection import last_left
from training.compilation.columns import Columns
from training.compilation.graph import ML, Graph

# A table of more rows is no step function any more.
MAX_STEPS = 2_000
N_MIXED_TEXTS = 20


@dataclass(frozen=True, eq=False)
class Table:
    """`index` is the row (n_rows,) in the graph; `values` (n_table_rows, n_columns) the table.

    `columns` are the columns of the view that it holds.
    """

    index: str
    values: Matrix
    columns: NDArray[np.int64]


def unit_of(feature: Feature) -> float | None:
    """What all numbers of a field are multiples of; None for floats."""
    if feature.dtype == "float":
        return None
    return float(US_PER_DAY) if feature.dtype == "date" else 1.0


def table_of(graph: Graph, columns: Columns, position: int, wanted: NDArray[np.int64]) -> Table:
    """A table of the `wanted` columns, which the field at `position` makes.

    Raises NotCompiled where they are none.
    """
    feature = columns.asker.spec.contract[position]
    if feature.is_text:
        return _of_texts(graph, columns, position, wanted)
    return _of_numbers(graph, columns, position, wanted)


def ask_tables_ahead(columns: Columns, positions: Sequence[int]) -> None:
    """Ask about all that tables of these fields need to know, many fields in one call."""
    asker = columns.asker
    first: dict[int, Any] = {}
    second: dict[int, Any] = {}
    for position in positions:
        feature = asker.spec.contract[position]
        if feature.is_text:
            first[position] = _table_texts(asker, feature)
            second[position] = _unseen_texts(feature, asker.texts(feature))
            continue
        first[position] = _table_numbers(asker, feature)
        if feature.nullable:
            second[position] = np.array([np.nan])
    columns.ask_ahead(first)
    columns.ask_ahead(second)


def _table_texts(asker: Asker, feature: Feature) -> NDArray[Any]:
    """A text for each row of the table of a field; the last may stand for all unseen ones."""
    texts = asker.texts(feature)
    if feature.choices is None:
        texts.append(UNSEEN_TEXTS[0])
    return np.array(texts, dtype=object)


def _table_numbers(asker: Asker, feature: Feature) -> Matrix:
    listed = listed_numbers(feature)
    if listed is None:
        return tried_numbers(asker, feature)
    return listed


def _unseen_texts(feature: Feature, known: list[str]) -> NDArray[Any]:
    """Texts that a field of any text may have, made to be like known ones and not; else none."""
    if feature.choices is not None:
        return np.array([], dtype=object)
    some = [text for text in known if text != MISSING_CATEGORY][:N_MIXED_TEXTS]
    mixed = [f"{a} {b}" for a, b in zip(some, some[::-1], strict=True)]
    most = feature.max_length or 1
    unseen = {text[:most] for text in (*UNSEEN_TEXTS, *mixed, *(text.upper() for text in some))}
    return np.array(sorted(unseen - set(known)), dtype=object)


def _of_texts(graph: Graph, columns: Columns, position: int, wanted: Any) -> Table:
    asker = columns.asker
    feature = asker.spec.contract[position]
    known = asker.texts(feature)
    values = columns.on(position, _table_texts(asker, feature))[:, wanted]
    tried = _unseen_texts(feature, known)
    if len(tried):
        # Steps that look into a text make unseen ones differ from each other.
        found = columns.on(position, tried)[:, wanted]
        if not np.array_equal(found, np.broadcast_to(values[-1], found.shape), equal_nan=True):
            raise NotCompiled(f"a step looks into the text of {feature.name}")
    texts = graph.text(asker.place(feature))
    index = graph.node(
        "LabelEncoder",
        [texts],
        domain=ML,
        keys_strings=known,
        values_int64s=list(range(len(known))),
        default_int64=len(values) - 1,
    )
    return Table(index, values, wanted)


def _of_numbers(graph: Graph, columns: Columns, position: int, wanted: Any) -> Table:
    asker = columns.asker
    feature = asker.spec.contract[position]
    place = asker.place(feature)
    listed = listed_numbers(feature)
    tried = _table_numbers(asker, feature)
    found = columns.on(position, tried)[:, wanted]
    is_step = ~_same(found[1:], found[:-1])
    before = np.flatnonzero(is_step)
    if len(before) > MAX_STEPS and listed is None:
        raise NotCompiled(f"{feature.name} goes through a curve")
    cuts = tried[before]
    if listed is None and len(before):
        cuts = _exact_steps(columns, position, wanted, tried, found, before)
        graph.steps.setdefault(place, set()).update(cuts.tolist())
    values = found[np.append(before, len(found) - 1)]
    column = graph.take([graph.column("bin", place, cuts)])
    if feature.nullable:
        values = np.concatenate([values, columns.on(position, [np.nan])[:, wanted]])
        missing = graph.constant([len(values) - 1], np.float64)
        column = graph.node("Where", [graph.node("IsNaN", [column]), missing, column])
    # 7 is int64 in ONNX.
    whole = graph.node("Cast", [column], to=7)
    index = graph.node("Squeeze", [whole, graph.constant([1], np.int64)])
    return Table(index, values, wanted)


def tried_numbers(asker: Asker, feature: Feature) -> Matrix:
    """Numbers of a field that a function of it is asked about, ascending."""
    seen = asker.samples(feature)
    low, high = bounds(feature, seen)
    learned = asker.known_numbers
    near = [learned, np.nextafter(learned, np.inf), np.nextafter(learned, -np.inf)]
    if unit_of(feature) is not None:
        near = [learned, learned + 1, learned - 1]
    numbers = np.unique(np.concatenate([seen, *near, np.array([low, high])]))
    numbers = numbers[(numbers >= low) & (numbers <= high)]
    unit = unit_of(feature)
    if unit is None:
        return numbers
    return np.unique(np.round(numbers / unit) * unit)


def _exact_steps(
    columns: Columns, position: int, wanted: Any, tried: Matrix, found: Matrix, before: Any
) -> Matrix:
    """The last number in front of each step."""
    feature = columns.asker.spec.contract[position]

    def is_left(numbers: Matrix, lanes: Any) -> NDArray[np.bool_]:
        return _same(columns.on(position, numbers)[:, wanted], found[before[lanes]])

    unit = unit_of(feature)
    cuts = last_left(is_left, tried[before], tried[before + 1], unit)
    after = np.nextafter(cuts, np.inf) if unit is None else cuts + unit
    if not _same(columns.on(position, after)[:, wanted], found[before + 1]).all():
        raise NotCompiled(f"{feature.name} goes through a curve")
    return cuts


def _same(one: Matrix, other: Matrix) -> NDArray[np.bool_]:
    """(n_rows,) whether rows are equal; NaN is equal to NaN."""
    same: NDArray[np.bool_] = ((one == other) | (np.isnan(one) & np.isnan(other))).all(axis=1)
    return same
