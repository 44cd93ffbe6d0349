"""Trees in a graph, on counts of cuts: every split sends every float64 where the fitted tree does.

Each column of the graph's matrix belongs to one column of the fitted trees and says, as a small
number, between which of their thresholds a value lies. A missing number stays missing, and each
node says where it goes. A split by categories becomes a column of its own: 0 for the codes that go
left, 1 for others.
"""

import numpy as np

from training.compilation.asker import Matrix
from training.compilation.columns import Columns
from training.compilation.ensembles import Ensemble
from training.compilation.float_parts import float32_parts
from training.compilation.functions import plus
from training.compilation.graph import Graph, Tensor
from training.compilation.matrix import matrix_of
from training.compilation.tree_inputs import Inputs, InputSearch
from training.compilation.tree_nodes import Comparisons, Nodes, nodes_of, summed


def raw_scores(
    graph: Graph, columns: Columns, ensemble: Ensemble, *, is_double: bool = False
) -> Tensor:
    """(n_rows, n_targets): the sums of the leaves, rounded to float32 unless they are `is_double`.

    Raises NotCompiled where a column can be neither counted nor tabled.
    """
    nodes = nodes_of(ensemble)
    inputs = InputSearch(graph, columns, ensemble, nodes).inputs()
    tables = _joined_tables(inputs)

    def walk(weights: Matrix, base: Matrix) -> Tensor:
        def make(output: str) -> None:
            matrix = _matrix(graph, columns, inputs, tables)
            how = Comparisons(
                inputs.column, _coded_thresholds(graph, nodes, inputs), inputs.sends_missing_left
            )
            graph.rename(summed(graph, matrix, nodes, how, weights, base), output)

        return Tensor(graph.later(make), is_double=False)

    if not is_double:
        return walk(nodes.values, ensemble.base)
    parts = float32_parts(nodes.values, nodes.starts)
    weights = np.concatenate(parts, axis=1)
    sums = walk(weights, np.zeros(weights.shape[1]))
    return plus(graph, _added(graph, sums, len(parts), nodes), ensemble.base)


def add_cuts(graph: Graph, columns: Columns, ensemble: Ensemble) -> None:
    """Note the cuts of trees that a converter puts into the graph, so that they are probed."""
    InputSearch(graph, columns, ensemble, nodes_of(ensemble)).add_cuts()


def _added(graph: Graph, sums: Tensor, n_parts: int, nodes: Nodes) -> Tensor:
    """(n_rows, n_targets) float64 from the sums of the parts (n_rows, n_parts · n_targets)."""
    n_targets = nodes.values.shape[1]
    places = graph.constant(np.tile(np.eye(n_targets), (n_parts, 1)), np.float64)
    parts = graph.cast(sums, is_double=True)
    return Tensor(graph.node("MatMul", [parts.name, places]), is_double=True)


def _joined_tables(inputs: Inputs) -> list[tuple[str, Matrix]]:
    """The index of each table, and its columns (n_table_rows, n_columns) side by side."""
    joined = []
    for table in dict.fromkeys(table for table, _ in inputs.tabled):
        columns = [values for other, values in inputs.tabled if other is table]
        joined.append((table.index, np.stack(columns, axis=1)))
    return joined


def _matrix(
    graph: Graph, columns: Columns, inputs: Inputs, tables: list[tuple[str, Matrix]]
) -> str:
    """(n_rows, n_inputs) float32; only when all columns are known."""
    parts = []
    if inputs.ranked:
        value = graph.ranks([graph.column("rank", kind.place) for kind in inputs.ranked])
        signs = np.array([kind.sign for kind in inputs.ranked])
        if (signs != 1).any():
            value = graph.node("Mul", [value, graph.constant(signs, np.float32)])
        parts.append(value)
    for index, values in tables:
        parts.append(graph.node("Gather", [graph.constant(values, np.float32), index], axis=0))
    if not parts:
        # Trees that are single leaves: any number will do.
        any_matrix, _ = matrix_of(graph, columns)
        return graph.cast(any_matrix, is_double=False).name
    if len(parts) == 1:
        return parts[0]
    return graph.node("Concat", parts, axis=1)


def _coded_thresholds(graph: Graph, nodes: Nodes, inputs: Inputs) -> Matrix:
    """(n_nodes,) what each node's column is compared with; only when all cuts are known."""
    # Counts of thresholds below, in tables.
    coded: Matrix = nodes.threshold_place.astype(np.float64) + 0.5
    for i, kind in enumerate(inputs.ranked):
        looking = np.flatnonzero(nodes.is_split & (inputs.column == i))
        coded[looking] = kind.coded(graph)[nodes.threshold_place[looking]]
    coded[list(nodes.categories)] = 0.5
    coded[~nodes.is_split] = 0.0
    return coded
