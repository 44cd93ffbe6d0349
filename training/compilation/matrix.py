"""The matrix that an estimator sees, made in a graph in float64 from the fields of the contract."""

from typing import Any

import numpy as np

from training.compilation.asker import Matrix
from training.compilation.columns import Columns
from training.compilation.graph import Graph, Tensor
from training.compilation.tables import ask_tables_ahead, table_of, tried_numbers

# Of the size of a column: how far it may be from a straight line.
AFFINE_TOLERANCE = 1e-9


def matrix_of(graph: Graph, columns: Columns) -> tuple[Tensor, Any]:
    """The matrix (n_rows, n_columns) float64, and which column of the view each of it is.

    A column is a straight line of a number, or a table of a text or of runs of numbers. Raises
    NotCompiled where it is neither.
    """
    parts: list[str] = []
    order: list[int] = []
    lines: list[tuple[int, int, float, float, float]] = []
    _ask_ahead(columns)
    for position, feature in enumerate(columns.asker.spec.contract):
        made = columns.of(position)
        if not feature.is_text:
            straight = _lines(columns, position, made)
            lines += straight
            made = np.setdiff1d(made, [column for column, *_ in straight])
        if len(made):
            table = table_of(graph, columns, position, made)
            values = graph.constant(table.values, np.float64)
            parts.append(graph.node("Gather", [values, table.index], axis=0))
            order += made.tolist()
    if lines:
        parts.insert(0, _straight(graph, lines, columns))
        order = [column for column, *_ in lines] + order
    if not parts:
        parts.append(_nothing(graph, columns))
    matrix = parts[0]
    if len(parts) > 1:
        matrix = graph.node("Concat", parts, axis=1)
    if len(columns.constants):
        # Added to the columns that are there: the constants stand at the end.
        shape = columns.first[columns.constants][None, :]
        zero = graph.node("Mul", [_first_of(graph, matrix), graph.constant(0.0, np.float64)])
        constants = graph.node("Add", [_finite(graph, zero), graph.constant(shape, np.float64)])
        matrix = graph.node("Concat", [matrix, constants], axis=1) if order else constants
        order += columns.constants.tolist()
    return Tensor(matrix, True), np.array(order, dtype=int)


def _ask_ahead(columns: Columns) -> None:
    """Ask about the numbers and the texts of all fields that make columns, together."""
    asker = columns.asker
    made = [p for p in range(len(asker.spec.contract)) if len(columns.of(p))]
    numbers = {p: asker.spec.contract[p] for p in made if not asker.spec.contract[p].is_text}
    columns.ask_ahead({p: tried_numbers(asker, feature) for p, feature in numbers.items()})
    columns.ask_ahead({p: np.array([np.nan]) for p, f in numbers.items() if f.nullable})
    ask_tables_ahead(columns, [p for p in made if p not in numbers])


def ordered(graph: Graph, columns: Columns) -> Tensor:
    """The matrix with the columns as the estimator has them."""
    tensor, order = matrix_of(graph, columns)
    if np.array_equal(order, np.arange(len(order))):
        return tensor
    places = graph.constant(np.argsort(order), np.int64)
    return Tensor(graph.node("Gather", [tensor.name, places], axis=1), True)


def _lines(
    columns: Columns, position: int, made: Any
) -> list[tuple[int, int, float, float, float]]:
    """(column, place of the number, slope, offset, value for a missing one) of straight lines."""
    asker = columns.asker
    feature = asker.spec.contract[position]
    numbers = tried_numbers(asker, feature)
    if not len(made) or len(numbers) < 2:
        return []
    found = columns.on(position, numbers)[:, made]
    seen = asker.samples(feature)
    ends = [0, -1]
    if len(seen) > 1:
        ends = np.searchsorted(numbers, [seen.min(), seen.max()]).tolist()
    x_low = numbers[ends[0]]
    x_high = numbers[ends[1]]
    with np.errstate(all="ignore"):
        slopes = (found[ends[1]] - found[ends[0]]) / (x_high - x_low)
        offsets = found[ends[0]] - slopes * x_low
        errors = np.abs(found - (numbers[:, None] * slopes + offsets))
        sizes = np.abs(found) + np.abs(slopes) * (x_high - x_low)
        is_line = (errors <= AFFINE_TOLERANCE * sizes).all(axis=0)
    missing = np.full(len(made), np.nan)
    if feature.nullable:
        missing = columns.on(position, [np.nan])[0, made]
    place = asker.place(feature)
    return [
        (int(column), place, float(slopes[i]), float(offsets[i]), float(missing[i]))
        for i, column in enumerate(made)
        if is_line[i]
    ]


def _straight(graph: Graph, lines: Any, columns: Columns) -> str:
    """(n_rows, n_lines) of numbers through their lines."""
    _, places, slopes, offsets, missing = (np.array(part) for part in zip(*lines, strict=True))
    numbers = graph.take([graph.column("number", int(place)) for place in places])
    value = numbers
    if (slopes != 1).any():
        value = graph.node("Mul", [value, graph.constant(slopes, np.float64)])
    if (offsets != 0).any():
        value = graph.node("Add", [value, graph.constant(offsets, np.float64)])
    if not np.isnan(missing).all():
        is_missing = graph.node("IsNaN", [numbers])
        value = graph.node("Where", [is_missing, graph.constant(missing, np.float64), value])
    return value


def _nothing(graph: Graph, columns: Columns) -> str:
    """(n_rows, 1) of a number or a text that the model does not use: the rows are counted by it."""
    asker = columns.asker
    if asker.layout.number_names:
        return graph.take([graph.column("number", 0)])
    every = np.arange(0)
    feature = next(f for f in asker.spec.contract if f.is_text)
    table = table_of(graph, columns, asker.spec.contract.index(feature), every)
    zeros: Matrix = np.zeros((len(table.values), 1))
    return graph.node("Gather", [graph.constant(zeros, np.float64), table.index], axis=0)


def _first_of(graph: Graph, matrix: str) -> str:
    return graph.node("Gather", [matrix, graph.constant([0], np.int64)], axis=1)


def _finite(graph: Graph, value: str) -> str:
    """Zero in place of a missing number."""
    zero = graph.constant(0.0, np.float64)
    return graph.node("Where", [graph.node("IsNaN", [value]), zero, value])
