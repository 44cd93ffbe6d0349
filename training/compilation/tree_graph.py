"""Trees in a graph, on counts of cuts: every split sends every float64 where the fitted tree does.

Each column of the graph's matrix belongs to one column of the fitted trees and says, as a small
number, between which of their thresholds a value lies. A missing number stays missing, and each
node says where it goes. A missing value in a table is a number, far left or far right; where nodes
of one column send it to different sides, the column is there twice. A split by categories becomes a
column of its own: 0 for the codes that go left, 1 for others.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.compilation.bisection import last_left
from training.compilation.columns import Columns, Matrix, NotCompiled
from training.compilation.ensembles import LEAF, Categories, Ensemble
from training.compilation.float_parts import float32_parts
from training.compilation.functions import plus
from training.compilation.graph import ML, Graph, Tensor
from training.compilation.matrix import matrix_of
from training.compilation.tables import (
    Table,
    ask_tables_ahead,
    table_of,
    tried_numbers,
    unit_of,
)

# Farther than any count of cuts, and small enough for a float32 to hold halves of it.
FAR = 2.0**17


@dataclass
class Ranked:
    """A column that is compared by the count of a number's cuts below it.

    `thresholds` are those of the trees, ascending; `cuts` the last number on the left of each, as
    the fitted steps and the trees tell, infinite where all numbers are on one side. `sign` is −1
    for a column that falls while its number grows, 0 for a constant.
    """

    place: int
    sign: int
    thresholds: Matrix
    cuts: Matrix
    # How many thresholds lie below the value of a missing number; None where it stays missing.
    missing_rank: int | None
    # Of a constant: `missing_rank` is that of its value.

    def coded(self, graph: Graph) -> Matrix:
        """The thresholds as the graph compares them, strictly ascending."""
        n = len(self.thresholds)
        if self.sign == 0:
            return np.arange(n, dtype=np.float64) - float(self.missing_rank or 0) + 0.5
        spots = np.where(self.cuts > 0, FAR, -FAR)
        is_inside = np.isfinite(self.cuts)
        found = np.searchsorted(graph.sorted_cuts(self.place), self.cuts[is_inside])
        spots[is_inside] = found if self.sign > 0 else -(found + 1.0)
        # Thresholds between the same two numbers lie evenly in the gap.
        first = np.searchsorted(spots, spots, side="left")
        n_same = np.searchsorted(spots, spots, side="right") - first
        coded: Matrix = spots + (np.arange(n) - first + 1) / (n_same + 1)
        return coded


class Lane(NamedTuple):
    """A threshold of a column whose cut is searched between two numbers of the field."""

    position: int
    column: int
    # Its place among the thresholds of the column.
    threshold: int
    sign: int
    low: float
    high: float
    guess: float


@dataclass
class Inputs:
    """The columns of the graph's matrix: first the ranked ones, then those of tables."""

    ranked: list[Ranked] = field(default_factory=list)
    tabled: list[tuple[Table, Matrix]] = field(default_factory=list)


def raw_scores(
    graph: Graph, columns: Columns, ensemble: Ensemble, *, is_double: bool = False
) -> Tensor:
    """(n_rows, n_targets): the sums of the leaves, rounded to float32 unless they are `is_double`.

    Raises NotCompiled where a column can be neither counted nor tabled.
    """
    return _Emission(graph, columns, ensemble).tensor(is_double=is_double)


def add_cuts(graph: Graph, columns: Columns, ensemble: Ensemble) -> None:
    """Note the cuts of trees that a converter puts into the graph, so that they are probed."""
    _Emission(graph, columns, ensemble).add_cuts()


class _Emission:
    """One ensemble on its way into a graph."""

    def __init__(self, graph: Graph, columns: Columns, ensemble: Ensemble) -> None:
        self.graph = graph
        self.columns = columns
        self.ensemble = ensemble
        trees = ensemble.trees
        self.feature = np.concatenate([tree.feature for tree in trees])
        self.threshold = np.concatenate([tree.threshold for tree in trees])
        self.is_missing_left = np.concatenate([tree.is_missing_left for tree in trees])
        sizes = np.array([len(tree.feature) for tree in trees])
        self.start = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self.tree = np.repeat(np.arange(len(trees)), sizes)
        self.categories: dict[int, Categories] = {
            int(self.start[i] + node): split
            for i, tree in enumerate(trees)
            for node, split in tree.categories.items()
        }
        self.is_split = self.feature != LEAF
        self.is_number = self.is_split.copy()
        self.is_number[list(self.categories)] = False
        # For each node: which column of which kind, and which of its thresholds.
        self.input = np.zeros(len(self.feature), dtype=int)
        self.threshold_place = np.zeros(len(self.feature), dtype=int)
        self.sends_missing_left = np.zeros(len(self.feature), dtype=bool)

    def add_cuts(self) -> None:
        """Note the cuts of numbers, and nothing else."""
        contract = self.columns.asker.spec.contract
        used = np.unique(self.feature[self.is_number])
        thresholds = {
            int(column): np.unique(self.threshold[self.is_number & (self.feature == column)])
            for column in used
        }
        made = {
            position: np.intersect1d(self.columns.of(position), used)
            for position, feature in enumerate(contract)
            if not feature.is_text
        }
        self._ranked(made, thresholds)

    def tensor(self, *, is_double: bool) -> Tensor:
        """The sums of the leaves."""
        inputs = self._inputs()
        tables = [
            (
                table.index,
                np.stack([values for other, values in inputs.tabled if other is table], 1),
            )
            for table in dict.fromkeys(table for table, _ in inputs.tabled)
        ]

        values = np.concatenate([tree.values for tree in self.ensemble.trees])
        base = self.ensemble.base
        parts = [values]
        if is_double:
            parts = float32_parts(values, self.start)
            base = np.zeros(len(parts) * len(base))
        weights = np.concatenate(parts, axis=1)

        def make(output: str) -> None:
            matrix = self._matrix(inputs, tables)
            self._trees(matrix, output, inputs, weights, base)

        sums = Tensor(self.graph.later(make), is_double=False)
        return self._joined(sums, len(parts)) if is_double else sums

    def _joined(self, sums: Tensor, n_parts: int) -> Tensor:
        """(n_rows, n_targets) float64 from the sums of the parts (n_rows, n_parts · n_targets)."""
        graph = self.graph
        places = np.tile(np.eye(len(self.ensemble.base)), (n_parts, 1))
        parts = graph.cast(sums, is_double=True).name
        total = graph.node("MatMul", [parts, graph.constant(places, np.float64)])
        return plus(graph, Tensor(total, is_double=True), self.ensemble.base)

    # What the columns are.

    def _inputs(self) -> Inputs:
        ranked, tabled = self._kinds()
        inputs = Inputs()
        tabled_nodes: list[tuple[Table, Matrix, NDArray[np.intp]]] = []
        for column, kind in ranked.items():
            nodes = np.flatnonzero(self.is_number & (self.feature == column))
            self.input[nodes] = len(inputs.ranked)
            self.sends_missing_left[nodes] = (
                self.is_missing_left[nodes]
                if kind.missing_rank is None
                else kind.missing_rank <= self.threshold_place[nodes]
            )
            self.graph.column("rank", kind.place)
            inputs.ranked.append(kind)
        for column, table in tabled.items():
            tabled_nodes += self._table_columns(column, table)
        # Columns of one table stand together.
        tables = list(dict.fromkeys(table for table, _, _ in tabled_nodes))
        tabled_nodes.sort(key=lambda found: tables.index(found[0]))
        for table, values, nodes in tabled_nodes:
            self.input[nodes] = len(inputs.ranked) + len(inputs.tabled)
            inputs.tabled.append((table, values))
        return inputs

    def _sides(
        self, column: int, *, has_missing: bool
    ) -> list[tuple[NDArray[np.intp], float | None]]:
        """The nodes of a column by where they send a missing value, and a number for it there."""
        nodes = np.flatnonzero(self.is_number & (self.feature == column))
        if not has_missing:
            return [(nodes, None)]
        is_left = self.is_missing_left[nodes]
        sides = [(nodes[is_left], -2 * FAR), (nodes[~is_left], 2 * FAR)]
        return [(found, number) for found, number in sides if len(found)]

    def _kinds(self) -> tuple[dict[int, Ranked], dict[int, Table]]:
        """How each column that the trees cut comes in."""
        used = np.unique(self.feature[self.is_split])
        by_code = np.unique(self.feature[list(self.categories)])
        thresholds = {}
        for column in used:
            nodes = np.flatnonzero(self.is_number & (self.feature == column))
            thresholds[int(column)], place = np.unique(self.threshold[nodes], return_inverse=True)
            self.threshold_place[nodes] = place
        ranked: dict[int, Ranked] = {}
        tabled: dict[int, Table] = {}
        contract = self.columns.asker.spec.contract
        made = {
            position: np.intersect1d(self.columns.of(position), used)
            for position in range(len(contract))
        }
        numbered = {
            position: np.setdiff1d(of_field, by_code)
            for position, of_field in made.items()
            if not contract[position].is_text
        }
        ranked |= self._ranked(numbered, thresholds)
        # After all numbers: their cuts are worth knowing also where a table is refused.
        rests = {
            position: np.setdiff1d(of_field, list(ranked)) for position, of_field in made.items()
        }
        rests = {position: rest for position, rest in rests.items() if len(rest)}
        ask_tables_ahead(self.columns, list(rests))
        for position, rest in rests.items():
            table = table_of(self.graph, self.columns, position, rest)
            tabled |= {int(column): table for column in rest}
        constants = np.intersect1d(self.columns.constants, used)
        self._add_constants(constants, thresholds, ranked, tabled, by_code)
        return ranked, tabled

    def _add_constants(
        self, constants: Any, thresholds: Any, ranked: Any, tabled: Any, by_code: Any
    ) -> None:
        """Columns that no value of the contract changes, which trees cut all the same."""
        if not len(constants):
            return
        if self.columns.asker.layout.number_names and not len(np.intersect1d(constants, by_code)):
            for column in constants.tolist():
                value = self.columns.first[column]
                if np.isnan(value):
                    raise NotCompiled("trees cut a column that is always missing")
                rank = int(self._below(value, thresholds[column]))
                ranked[column] = Ranked(0, 0, thresholds[column], np.zeros(0), rank)
            return
        table = table_of(self.graph, self.columns, 0, constants)
        tabled.update({int(column): table for column in constants})

    def _is_left(self, values: Any, thresholds: Any) -> Any:
        """Whether values go left of thresholds, as the trees compare them."""
        with np.errstate(over="ignore"):
            cast = np.asarray(values, dtype=np.float64).astype(self.ensemble.cast)
        seen = cast.astype(np.float64)
        return seen < thresholds if self.ensemble.is_strict else seen <= thresholds

    def _below(self, values: Any, thresholds: Matrix) -> Any:
        """How many thresholds lie below values: those that they are right of."""
        with np.errstate(over="ignore"):
            cast = np.asarray(values, dtype=np.float64).astype(self.ensemble.cast)
        side: Any = "right" if self.ensemble.is_strict else "left"
        return np.searchsorted(thresholds, cast.astype(np.float64), side=side)

    # Columns of numbers.

    def _ranked(
        self, made: dict[int, NDArray[np.int64]], thresholds: dict[int, Matrix]
    ) -> dict[int, Ranked]:
        """Those of the columns `made` by each field that only rise, or only fall, with its number.

        Fields are asked together.
        """
        columns = self.columns
        asker = columns.asker
        contract = asker.spec.contract
        made = {position: of_field for position, of_field in made.items() if len(of_field)}
        numbers = {position: tried_numbers(asker, contract[position]) for position in made}
        columns.ask_ahead(numbers)
        columns.ask_ahead({p: np.array([np.nan]) for p in made if contract[p].nullable})
        signs: dict[int, dict[int, int]] = {}
        cuts: dict[int, Matrix] = {}
        lanes: list[Lane] = []
        for position, of_field in made.items():
            found = columns.on(position, numbers[position])[:, of_field]
            steps = np.diff(found, axis=0)
            signs[position] = {
                int(column): 1 if (steps[:, i] >= 0).all() else -1
                for i, column in enumerate(of_field)
                if (steps[:, i] >= 0).all() or (steps[:, i] <= 0).all()
            }
            by_column = dict(zip(of_field.tolist(), found.T, strict=True))
            some, waiting = self._cuts(
                position, numbers[position], by_column, signs[position], thresholds
            )
            cuts |= some
            lanes += waiting
        # Floats, whole numbers and days have neighbours of their own.
        for unit in dict.fromkeys(unit_of(contract[lane.position]) for lane in lanes):
            alike = [lane for lane in lanes if unit_of(contract[lane.position]) == unit]
            self._bisect(alike, thresholds, cuts, unit)
        ranked: dict[int, Ranked] = {}
        for position, of_position in signs.items():
            ranked |= self._ranked_of(position, of_position, cuts, thresholds)
        return ranked

    def _ranked_of(
        self,
        position: int,
        signs: dict[int, int],
        cuts: dict[int, Matrix],
        thresholds: dict[int, Matrix],
    ) -> dict[int, Ranked]:
        """The columns of one field, and their cuts for the graph."""
        columns = self.columns
        feature = columns.asker.spec.contract[position]
        if not signs:
            return {}
        missing = columns.on(position, [np.nan])[0] if feature.nullable else None
        place = columns.asker.place(feature)
        ranked = {}
        for column, sign in signs.items():
            finite = cuts[column][np.isfinite(cuts[column])]
            self.graph.cuts.setdefault(place, set()).update(finite.tolist())
            rank: int | None = 0
            if missing is not None:
                value = missing[column]
                is_missing = np.isnan(value)
                rank = None if is_missing else int(self._below(value, thresholds[column]))
            ranked[column] = Ranked(place, sign, thresholds[column], cuts[column], rank)
        return ranked

    def _cuts(
        self,
        position: int,
        numbers: Matrix,
        found: dict[int, Matrix],
        signs: dict[int, int],
        thresholds: dict[int, Matrix],
    ) -> tuple[dict[int, Matrix], list[Lane]]:
        """For each threshold the last number in front of the change; infinite where there is none.

        `numbers` (n,) ascend, `found` has the columns (n,) for them. Those that are only known to
        lie between two numbers come as lanes to search.
        """
        unit = unit_of(self.columns.asker.spec.contract[position])
        lanes: list[Lane] = []
        cuts = {}
        for column, sign in signs.items():
            values = found[column]
            cut = np.full(len(thresholds[column]), np.inf)
            if sign > 0 and unit is None and np.array_equal(values, numbers):
                cuts[column] = self._own_cuts(thresholds[column])
                continue
            n_left = np.array(
                [np.count_nonzero(self._is_left(values, t)) for t in thresholds[column]]
            )
            # A falling column goes left for its large numbers.
            n_before = n_left if sign > 0 else len(values) - n_left
            cut[n_before == 0] = -np.inf
            cut[n_before == len(values)] = np.inf
            if sign < 0:
                cut = -cut
            cuts[column] = cut
            for k in np.flatnonzero((n_before > 0) & (n_before < len(values))):
                i = int(n_before[k])
                low, high = numbers[i - 1], numbers[i]
                rise = values[i] - values[i - 1]
                share = (thresholds[column][k] - values[i - 1]) / rise if rise else 0.5
                guess = low + share * (high - low)
                lanes.append(Lane(position, column, int(k), sign, low, high, guess))
        return cuts, lanes

    def _own_cuts(self, thresholds: Matrix) -> Matrix:
        """The cuts of a column that is the number itself."""
        if self.ensemble.cast is np.float64 and not self.ensemble.is_strict:
            return thresholds
        far = np.full(len(thresholds), np.finfo(np.float64).max)
        return last_left(
            lambda numbers, lanes: np.asarray(self._is_left(numbers, thresholds[lanes])),
            -far,
            far,
            guess=thresholds,
        )

    def _bisect(self, lanes: list[Lane], thresholds: Any, cuts: Any, unit: float | None) -> None:
        """Find the cuts of all lanes, whatever their fields, with the same questions."""
        positions = np.array([lane.position for lane in lanes])
        made = np.array([lane.column for lane in lanes])
        is_rising = np.array([lane.sign > 0 for lane in lanes])
        wanted = np.array([thresholds[lane.column][lane.threshold] for lane in lanes])

        def is_left(numbers: Matrix, asked: NDArray[np.intp]) -> NDArray[np.bool_]:
            seen = self.columns.each(positions[asked], numbers, made[asked])
            return np.asarray(self._is_left(seen, wanted[asked]) == is_rising[asked])

        low, high, guess = (
            np.array(part)
            for part in zip(*((lane.low, lane.high, lane.guess) for lane in lanes), strict=True)
        )
        found = last_left(is_left, low, high, unit, guess)
        for lane, value in zip(lanes, found, strict=True):
            cuts[lane.column][lane.threshold] = value

    # Columns of tables.

    def _table_columns(self, column: int, table: Table) -> list[Any]:
        values = table.values[:, np.flatnonzero(table.columns == column)[0]]
        made: list[Any] = []
        numbered = np.flatnonzero(self.is_number & (self.feature == column))
        if len(numbered):
            thresholds = np.unique(self.threshold[numbered])
            is_missing = np.isnan(values)
            ranks = self._below(np.where(is_missing, 0.0, values), thresholds).astype(float)
            for nodes, missing in self._sides(column, has_missing=bool(is_missing.any())):
                filled = ranks if missing is None else np.where(is_missing, missing, ranks)
                made.append((table, filled, nodes))
        by_split: dict[Categories, list[int]] = {}
        for node, split in self.categories.items():
            if self.feature[node] == column:
                by_split.setdefault(split, []).append(node)
        for split, split_nodes in by_split.items():
            goes_right = np.array([0.0 if split.goes_left(value) else 1.0 for value in values])
            made.append((table, goes_right, np.array(split_nodes)))
        return made

    # Nodes of the graph.

    def _matrix(self, inputs: Inputs, tables: list[tuple[str, Matrix]]) -> str:
        """(n_rows, n_inputs) float32."""
        graph = self.graph
        parts = []
        if inputs.ranked:
            places = [graph.column("rank", kind.place) for kind in inputs.ranked]
            value = graph.ranks(places)
            signs = np.array([kind.sign for kind in inputs.ranked])
            if (signs != 1).any():
                value = graph.node("Mul", [value, graph.constant(signs, np.float32)])
            parts.append(value)
        for index, values in tables:
            parts.append(graph.node("Gather", [graph.constant(values, np.float32), index], axis=0))
        if not parts:
            # Trees that are single leaves: any number will do.
            parts.append(_any_number(graph, self.columns))
        return parts[0] if len(parts) == 1 else graph.node("Concat", parts, axis=1)

    def _coded_thresholds(self, inputs: Inputs) -> Matrix:
        coded = np.zeros(len(self.feature))
        for i, kind in enumerate(inputs.ranked):
            nodes = np.flatnonzero(self.is_split & (self.input == i))
            coded[nodes] = kind.coded(self.graph)[self.threshold_place[nodes]]
        is_tabled = self.is_split & (self.input >= len(inputs.ranked))
        coded[is_tabled] = self.threshold_place[is_tabled] + 0.5
        coded[list(self.categories)] = 0.5
        return coded

    def _trees(
        self, matrix: str, output: str, inputs: Inputs, values: Matrix, base: Matrix
    ) -> None:
        trees = self.ensemble.trees
        left = np.concatenate([np.where(t.feature == LEAF, 0, t.left) for t in trees])
        right = np.concatenate([np.where(t.feature == LEAF, 0, t.right) for t in trees])
        node_ids = np.arange(len(self.feature)) - self.start[self.tree]
        leaves = np.flatnonzero(~self.is_split)
        n_targets = values.shape[1]
        leaf, target = np.nonzero(values[leaves])
        # A leaf needs a weight, also when all of them are zero.
        empty = np.setdiff1d(np.arange(len(leaves)), leaf)
        leaf = np.concatenate([leaf, empty])
        target = np.concatenate([target, np.zeros(len(empty), dtype=int)])
        places = leaves[leaf]
        made = self.graph.node(
            "TreeEnsembleRegressor",
            [matrix],
            domain=ML,
            n_targets=n_targets,
            aggregate_function="SUM",
            post_transform="NONE",
            base_values=base.astype(np.float32).tolist(),
            nodes_treeids=self.tree.tolist(),
            nodes_nodeids=node_ids.tolist(),
            nodes_featureids=np.where(self.is_split, self.input, 0).tolist(),
            nodes_modes=np.where(self.is_split, "BRANCH_LEQ", "LEAF").tolist(),
            nodes_values=self._coded_thresholds(inputs).astype(np.float32).tolist(),
            nodes_missing_value_tracks_true=self.sends_missing_left.astype(int).tolist(),
            nodes_truenodeids=left.tolist(),
            nodes_falsenodeids=right.tolist(),
            target_treeids=self.tree[places].tolist(),
            target_nodeids=node_ids[places].tolist(),
            target_ids=target.tolist(),
            target_weights=values[places, target].astype(np.float32).tolist(),
        )
        self.graph.rename(made, output)


def _any_number(graph: Graph, columns: Columns) -> str:
    tensor, _ = matrix_of(graph, columns)
    return graph.cast(tensor, is_double=False).name
