"""The numbers of the contract at which trees change their mind, whatever scales them on the way.

For each threshold of a column: the last number of its field that goes left. Where the column is the
number itself this is known; else it is searched between two numbers, for many fields at once.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.compilation.asker import Matrix
from training.compilation.bisection import last_left
from training.compilation.columns import Columns
from training.compilation.ensembles import Ensemble
from training.compilation.graph import Graph
from training.compilation.tables import tried_numbers, unit_of

# Farther than any count of cuts, and small enough for a float32 to hold halves of it.
FAR = 2.0**17
ByColumn = dict[int, Matrix]


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
    # Of a constant: how many lie below its value.
    missing_rank: int | None

    def coded(self, graph: Graph) -> Matrix:
        """The thresholds as the graph compares them, strictly ascending."""
        n = len(self.thresholds)
        if self.sign == 0:
            return np.arange(n, dtype=np.float64) - float(self.missing_rank or 0) + 0.5
        spots = np.where(self.cuts > 0, FAR, -FAR)
        is_inside = np.isfinite(self.cuts)
        found = np.searchsorted(graph.sorted_cuts(self.place), self.cuts[is_inside])
        if self.sign > 0:
            spots[is_inside] = found
        else:
            spots[is_inside] = -(found + 1.0)
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


class CutSearch:
    """Finds the cuts of an ensemble's `thresholds` by column, and notes them in the graph."""

    def __init__(
        self, graph: Graph, columns: Columns, ensemble: Ensemble, thresholds: ByColumn
    ) -> None:
        self.graph = graph
        self.columns = columns
        self.ensemble = ensemble
        self.thresholds = thresholds

    def ranked(self, made: dict[int, NDArray[np.int64]]) -> dict[int, Ranked]:
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
        cuts: ByColumn = {}
        lanes: list[Lane] = []
        for position, of_field in made.items():
            found = columns.on(position, numbers[position])[:, of_field]
            signs[position] = _signs(of_field, found)
            by_column = dict(zip(of_field.tolist(), found.T, strict=True))
            known, waiting = self._cuts(position, numbers[position], by_column, signs[position])
            cuts |= known
            lanes += waiting
        # Floats, whole numbers and days have neighbours of their own.
        for unit in dict.fromkeys(unit_of(contract[lane.position]) for lane in lanes):
            alike = [lane for lane in lanes if unit_of(contract[lane.position]) == unit]
            self._bisect(alike, cuts, unit)
        ranked: dict[int, Ranked] = {}
        for position, of_position in signs.items():
            ranked |= self._ranked_of(position, of_position, cuts)
        return ranked

    def _ranked_of(self, position: int, signs: dict[int, int], cuts: ByColumn) -> dict[int, Ranked]:
        """The columns of one field, and their cuts for the graph."""
        if not signs:
            return {}
        columns = self.columns
        feature = columns.asker.spec.contract[position]
        place = columns.asker.place(feature)
        noted = self.graph.cuts.setdefault(place, set())
        ranked = {}
        for column, sign in signs.items():
            thresholds = self.thresholds[column]
            noted.update(cuts[column][np.isfinite(cuts[column])].tolist())
            rank: int | None = 0
            if feature.nullable:
                rank = self._missing_rank(columns.on(position, [np.nan])[0, column], thresholds)
            ranked[column] = Ranked(place, sign, thresholds, cuts[column], rank)
        return ranked

    def _missing_rank(self, value: float, thresholds: Matrix) -> int | None:
        """How many thresholds lie below what a missing number becomes; None where it stays so."""
        if np.isnan(value):
            return None
        return int(self.ensemble.n_below(value, thresholds))

    def _cuts(
        self, position: int, numbers: Matrix, found: ByColumn, signs: dict[int, int]
    ) -> tuple[ByColumn, list[Lane]]:
        """For each threshold the last number in front of the change; infinite where there is none.

        `numbers` (n,) ascend, `found` has the columns (n,) for them. Those that are only known to
        lie between two numbers come as lanes to search.
        """
        unit = unit_of(self.columns.asker.spec.contract[position])
        lanes: list[Lane] = []
        cuts: ByColumn = {}
        for column, sign in signs.items():
            values = found[column]
            thresholds = self.thresholds[column]
            if sign > 0 and unit is None and np.array_equal(values, numbers):
                cuts[column] = self._own_cuts(thresholds)
                continue
            n_before = self._n_before(values, thresholds, sign)
            cut = np.full(len(thresholds), np.inf)
            cut[n_before == 0] = -np.inf
            cuts[column] = cut if sign > 0 else -cut
            for k in np.flatnonzero((n_before > 0) & (n_before < len(values))):
                i = int(n_before[k])
                low = numbers[i - 1]
                high = numbers[i]
                share = _share(values[i - 1], values[i], thresholds[k])
                guess = low + share * (high - low)
                lanes.append(Lane(position, column, int(k), sign, low, high, guess))
        return cuts, lanes

    def _n_before(self, values: Matrix, thresholds: Matrix, sign: int) -> NDArray[np.int64]:
        """(n_thresholds,) how many of the values stand in front of the change at each threshold."""
        n_left = np.array(
            [np.count_nonzero(self.ensemble.goes_left(values, t)) for t in thresholds]
        )
        if sign > 0:
            return n_left
        # A falling column goes left for its large numbers.
        return len(values) - n_left

    def _own_cuts(self, thresholds: Matrix) -> Matrix:
        """The cuts of a column that is the number itself."""
        ensemble = self.ensemble
        if ensemble.cast is np.float64 and not ensemble.is_strict:
            return thresholds
        far = np.full(len(thresholds), np.finfo(np.float64).max)
        return last_left(
            lambda numbers, lanes: ensemble.goes_left(numbers, thresholds[lanes]),
            -far,
            far,
            guess=thresholds,
        )

    def _bisect(self, lanes: list[Lane], cuts: ByColumn, unit: float | None) -> None:
        """Find the cuts of all lanes, whatever their fields, with the same questions."""
        positions = np.array([lane.position for lane in lanes])
        made = np.array([lane.column for lane in lanes])
        is_rising = np.array([lane.sign > 0 for lane in lanes])
        wanted = np.array([self.thresholds[lane.column][lane.threshold] for lane in lanes])

        def is_left(numbers: Matrix, asked: NDArray[np.intp]) -> NDArray[np.bool_]:
            seen = self.columns.each(positions[asked], numbers, made[asked])
            return np.asarray(self.ensemble.goes_left(seen, wanted[asked]) == is_rising[asked])

        found = last_left(
            is_left,
            np.array([lane.low for lane in lanes]),
            np.array([lane.high for lane in lanes]),
            unit,
            np.array([lane.guess for lane in lanes]),
        )
        for lane, value in zip(lanes, found, strict=True):
            cuts[lane.column][lane.threshold] = value


def _signs(columns: NDArray[np.int64], found: Matrix) -> dict[int, int]:
    """1 for each column that only rises, −1 for one that only falls; `found` (n, n_columns)."""
    steps = np.diff(found, axis=0)
    signs = {}
    for i, column in enumerate(columns.tolist()):
        if (steps[:, i] >= 0).all():
            signs[column] = 1
        elif (steps[:, i] <= 0).all():
            signs[column] = -1
    return signs


def _share(before: Any, after: Any, threshold: Any) -> float:
    """How far a threshold is on the way between two values; the middle where they are one."""
    if before == after:
        return 0.5
    return float((threshold - before) / (after - before))
