"""How the columns that trees look at come into the graph: as counts of cuts, or from tables."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.compilation.asker import Matrix, NotCompiled
from training.compilation.columns import Columns
from training.compilation.ensembles import Categories, Ensemble
from training.compilation.graph import Graph
from training.compilation.tables import Table, ask_tables_ahead, table_of
from training.compilation.tree_cuts import FAR, CutSearch, Ranked
from training.compilation.tree_nodes import Nodes, Places

ByField = dict[int, NDArray[np.int64]]


@dataclass
class Inputs:
    """The columns of the graph's matrix: first the ranked ones, then those of tables.

    For each node, `column` is the one that it looks at, and `sends_missing_left` says what becomes
    of a missing value there.
    """

    column: NDArray[np.int64]
    sends_missing_left: NDArray[np.bool_]
    ranked: list[Ranked] = field(default_factory=list)
    tabled: list[tuple[Table, Matrix]] = field(default_factory=list)


class InputSearch:
    """Finds out for one ensemble how the columns that its nodes look at come in."""

    def __init__(self, graph: Graph, columns: Columns, ensemble: Ensemble, nodes: Nodes) -> None:
        self.graph = graph
        self.columns = columns
        self.ensemble = ensemble
        self.nodes = nodes
        self.thresholds = {column: nodes.thresholds(column) for column in nodes.used.tolist()}

    def add_cuts(self) -> None:
        """Note the cuts of numbers in the graph, and nothing else."""
        self._search().ranked(self._numbers_without(np.array([], dtype=np.int64)))

    def inputs(self) -> Inputs:
        """The columns. Raises NotCompiled where one can be neither counted nor tabled."""
        nodes = self.nodes
        ranked, tabled = self._kinds()
        n_nodes = len(nodes.feature)
        inputs = Inputs(np.zeros(n_nodes, dtype=np.int64), np.zeros(n_nodes, dtype=bool))
        for column, kind in ranked.items():
            comparing = nodes.comparing(column)
            inputs.column[comparing] = len(inputs.ranked)
            sends_left = nodes.is_missing_left[comparing]
            if kind.missing_rank is not None:
                sends_left = kind.missing_rank <= nodes.threshold_place[comparing]
            inputs.sends_missing_left[comparing] = sends_left
            self.graph.column("rank", kind.place)
            inputs.ranked.append(kind)
        made: list[tuple[Table, Matrix, Places]] = []
        for column, table in tabled.items():
            made += self._table_columns(column, table)
        # Columns of one table stand together.
        tables = list(dict.fromkeys(table for table, _, _ in made))
        made.sort(key=lambda found: tables.index(found[0]))
        for table, values, looking in made:
            inputs.column[looking] = len(inputs.ranked) + len(inputs.tabled)
            inputs.tabled.append((table, values))
        return inputs

    def _search(self) -> CutSearch:
        return CutSearch(self.graph, self.columns, self.ensemble, self.thresholds)

    def _made(self) -> ByField:
        """The columns of each field that the trees look at."""
        used = self.nodes.used
        n_fields = len(self.columns.asker.spec.contract)
        return {p: np.intersect1d(self.columns.of(p), used) for p in range(n_fields)}

    def _numbers_without(self, left_out: NDArray[np.int64]) -> ByField:
        """Those of number fields, without some."""
        contract = self.columns.asker.spec.contract
        return {
            position: np.setdiff1d(of_field, left_out)
            for position, of_field in self._made().items()
            if not contract[position].is_text
        }

    def _kinds(self) -> tuple[dict[int, Ranked], dict[int, Table]]:
        """How each column that the trees look at comes in."""
        ranked = self._search().ranked(self._numbers_without(self.nodes.coded))
        # After all numbers: their cuts are worth knowing also where a table is refused.
        rests = {}
        for position, of_field in self._made().items():
            rest = np.setdiff1d(of_field, list(ranked))
            if len(rest):
                rests[position] = rest
        ask_tables_ahead(self.columns, list(rests))
        tabled: dict[int, Table] = {}
        for position, rest in rests.items():
            table = table_of(self.graph, self.columns, position, rest)
            tabled |= dict.fromkeys(rest.tolist(), table)
        self._add_constants(ranked, tabled)
        return ranked, tabled

    def _add_constants(self, ranked: dict[int, Ranked], tabled: dict[int, Table]) -> None:
        """Columns that no value of the contract changes, which trees look at all the same."""
        constants = np.intersect1d(self.columns.constants, self.nodes.used)
        if not len(constants):
            return
        are_coded = bool(np.isin(constants, self.nodes.coded).any())
        if are_coded or not self.columns.asker.layout.number_names:
            table = table_of(self.graph, self.columns, 0, constants)
            tabled |= dict.fromkeys(constants.tolist(), table)
            return
        for column in constants.tolist():
            value = self.columns.first[column]
            if np.isnan(value):
                raise NotCompiled("trees cut a column that is always missing")
            thresholds = self.thresholds[column]
            rank = int(self.ensemble.n_below(value, thresholds))
            ranked[column] = Ranked(0, 0, thresholds, np.zeros(0), rank)

    # Columns of tables.

    def _table_columns(self, column: int, table: Table) -> list[tuple[Table, Matrix, Places]]:
        """The graph's columns for one of the trees, and the nodes that look at each.

        A missing value in a table is a number, far left or far right; where nodes send it to
        different sides, the column is there twice. A split by categories is a column of its own.
        """
        nodes = self.nodes
        [place] = np.flatnonzero(table.columns == column)
        values = table.values[:, place]
        made: list[tuple[Table, Matrix, Places]] = []
        comparing = nodes.comparing(column)
        if len(comparing):
            is_missing = np.isnan(values)
            known = np.where(is_missing, 0.0, values)
            ranks = self.ensemble.n_below(known, self.thresholds[column]).astype(np.float64)
            if not is_missing.any():
                made.append((table, ranks, comparing))
            else:
                goes_left = nodes.is_missing_left[comparing]
                for looking, missing in (
                    (comparing[goes_left], -2 * FAR),
                    (comparing[~goes_left], 2 * FAR),
                ):
                    if len(looking):
                        made.append((table, np.where(is_missing, missing, ranks), looking))
        for split, looking in self._splits(column).items():
            goes_right = [0.0 if split.goes_left(value) else 1.0 for value in values]
            made.append((table, np.array(goes_right), looking))
        return made

    def _splits(self, column: int) -> dict[Categories, Places]:
        """The different splits of a column by codes, and the nodes of each."""
        found: dict[Categories, list[int]] = {}
        for node, split in self.nodes.categories.items():
            if self.nodes.feature[node] == column:
                found.setdefault(split, []).append(node)
        return {split: np.array(places) for split, places in found.items()}
