"""What each column of a matrix inside a pipeline is made of, found by asking the fitted steps.

Encoders, imputers, scalers and people's own transformers have one thing in common: most columns
that they make depend on one field of the contract. Such a column is known completely from what it
is for each value of that field, however the steps compute it.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.contract import Feature
from serve_app.contract.block import Block
from training.compilation.asker import N_BASE, Asker, Matrix, NotCompiled, View, part_of

# Rows in which one field at a time is changed, to see which columns are made of it.
N_FIRST_ROWS = 6_000
MIN_FIRST_VALUES = 12
# Rows with all fields changed at once, as often with other company.
N_COMPANIES = 3
MAX_CELLS = 4_000_000


class Columns:
    """The columns of a view, each made of one field of the contract, or constant.

    `fields` has the position of the field in the contract for each column, -1 for a constant.
    Raises NotCompiled where a column is made of two fields.
    """

    def __init__(self, asker: Asker, view: View) -> None:
        self.asker = asker
        self.view = view
        self._known: dict[tuple[int, Any], Matrix] = {}
        self.first = asker.matrix(view, asker.base)[0]
        self.fields = self._find_fields()

    @property
    def n_columns(self) -> int:
        """The width of the matrix."""
        return len(self.fields)

    def _find_fields(self) -> NDArray[np.int64]:
        """A few values of each field say which columns it makes, all values at once confirm it."""
        samples = [self._samples(feature) for feature in self.asker.spec.contract]
        n_first = max(MIN_FIRST_VALUES, N_FIRST_ROWS // len(samples))
        some = [_spread(values, n_first) for values in samples]
        changes, refused = self._alone(some)
        fields = self._one_each(changes)
        if not refused and self._is_confirmed(fields, samples):
            return fields
        # One by one, which takes a call for each field: values that are refused, or a field that
        # matters in few of its values.
        return self._one_each(changes | self._alone_in_full(samples))

    def _samples(self, feature: Feature) -> NDArray[Any]:
        values = self.asker.samples(feature)
        if feature.nullable and not feature.is_text:
            return np.append(values, np.nan)
        return values

    def _one_each(self, changes: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(n_columns,) the field of each column from (n_fields, n_columns) whether one changes it.

        Raises NotCompiled where two do.
        """
        contract = self.asker.spec.contract
        mixed = np.flatnonzero(changes.sum(axis=0) > 1)
        if len(mixed):
            # The first pair that meets, in the order of the contract.
            pairs = [np.flatnonzero(changes[:, column])[:2].tolist() for column in mixed]
            one, other = min(pairs, key=lambda pair: pair[1])
            raise NotCompiled(f"a step mixes {contract[one].name} and {contract[other].name}")
        fields: NDArray[np.int64] = np.where(changes.any(axis=0), changes.argmax(axis=0), -1)
        return fields

    def _alone(self, some: list[NDArray[Any]]) -> tuple[NDArray[np.bool_], bool]:
        """Whether each field changes each column, and whether a value is refused.

        `some` are values of each field, which are put into the same few rows, one field at a time.
        """
        asker = self.asker
        changes = np.zeros((len(some), len(self.first)), dtype=bool)
        is_refused = False
        n_rows = max(1, MAX_CELLS // max(1, len(self.first)))
        blocks: list[Block] = []
        waiting: list[int] = []

        def ask() -> None:
            nonlocal is_refused
            found = self._asked(Block.concat(blocks))
            ends = np.cumsum([len(block) for block in blocks])[:-1]
            for position, part in zip(waiting, np.split(found, ends), strict=True):
                is_known = ~np.isnan(part).all(axis=1)
                is_refused |= bool(not is_known.all() and part.shape[1])
                changes[position] |= _changing(part[is_known])
            blocks.clear()
            waiting.clear()

        for position, feature in enumerate(asker.spec.contract):
            for row in range(N_BASE):
                base = asker.base[row : row + 1]
                blocks.append(asker.with_values(feature, some[position], base))
                waiting.append(position)
            if sum(len(block) for block in blocks) > n_rows:
                ask()
        if blocks:
            ask()
        return changes, is_refused

    def _alone_in_full(self, samples: list[NDArray[Any]]) -> NDArray[np.bool_]:
        """(n_fields, n_columns) whether any of all values of a field changes a column."""
        changes = np.zeros((len(samples), len(self.first)), dtype=bool)
        for position, values in enumerate(samples):
            # All values in one row, then all in another: what varies within a row depends on them.
            for row in range(N_BASE):
                found = self.on(position, values, row)
                # A value that a step refuses tells nothing.
                changes[position] |= _changing(found[~np.isnan(found).all(axis=1)])
        return changes

    def _is_confirmed(self, fields: NDArray[np.int64], samples: list[NDArray[Any]]) -> bool:
        """Whether each column follows its field alone while all fields take all their values.

        A value of a field meets other values of the others each time, and must give the same.
        """
        rng = np.random.default_rng(len(samples))
        n_rows = max(len(values) for values in samples)
        # (n_fields, n_rows) the place of a value among those of its field, each at least once.
        turns = [
            np.stack([rng.permutation(n_rows) % len(values) for values in samples])
            for _ in range(N_COMPANIES)
        ]
        expected: dict[int, Matrix] = {}
        constants = np.flatnonzero(fields < 0)
        for turn in turns:
            found = self._in_company(
                {i: values[turn[i]] for i, values in enumerate(samples)}, n_rows
            )
            if found.shape[1] and np.isnan(found).all(axis=1).any():
                return False
            if not _equal(found[:, constants], self.first[constants]).all():
                return False
            for position, values in enumerate(samples):
                made = np.flatnonzero(fields == position)
                if not len(made):
                    continue
                own = found[:, made]
                if position not in expected:
                    expected[position] = np.empty((len(values), len(made)))
                    expected[position][turn[position]] = own
                if not _equal(own, expected[position][turn[position]]).all():
                    return False
        return True

    def _in_company(self, values: Mapping[int, NDArray[Any]], n_rows: int) -> Matrix:
        """(n_rows, n_columns) with these values (n,), over and over, in these fields at once."""
        asker = self.asker
        rows = np.zeros(n_rows, dtype=int)
        block = Block(asker.base.numbers[rows].copy(), asker.base.categories[rows].copy())
        for position, given in values.items():
            feature = asker.spec.contract[position]
            matrix = part_of(block, feature)
            matrix[:, asker.place(feature)] = given[np.arange(n_rows) % len(given)]
        return self._asked(block)

    def ask_ahead(self, values: Mapping[int, Any]) -> None:
        """Ask about values of many fields in the same rows, so that `on` knows them.

        The columns of a field do not mind what stands in the others.
        """
        arrays = {position: np.asarray(given) for position, given in values.items() if len(given)}
        if len(arrays) < 2:
            return
        n_rows = max(len(given) for given in arrays.values())
        found = self._in_company(arrays, n_rows)
        is_refused = np.asarray(np.isnan(found).all(axis=1))
        for position, given in arrays.items():
            # Whose value was refused is not known from here: then it is asked alone.
            if not is_refused[: len(given)].any():
                self._known[position, _key(given)] = found[: len(given)]

    def each(
        self, positions: NDArray[np.int64], numbers: Matrix, made: NDArray[np.int64]
    ) -> Matrix:
        """(n,) what the column `made[i]` is for the number `numbers[i]` of its field.

        `positions` (n,) are the fields, which are asked together.
        """
        turn = np.zeros(len(positions), dtype=int)
        values: dict[int, Matrix] = {}
        for position in np.unique(positions).tolist():
            lanes = np.flatnonzero(positions == position)
            turn[lanes] = np.arange(len(lanes))
            values[position] = numbers[lanes]
        found = self._in_company(values, int(turn.max(initial=-1)) + 1)
        answers: Matrix = found[turn, made]
        if np.isnan(found).all(axis=1).any():
            for position, given in values.items():
                lanes = np.flatnonzero(positions == position)
                answers[lanes] = self.on(position, given)[np.arange(len(lanes)), made[lanes]]
        return answers

    def _asked(self, block: Block) -> Matrix:
        """The matrix of many rows, a part at a time; NaN for rows that a step refuses."""
        n_rows = max(1, MAX_CELLS // max(1, len(self.first)))
        parts = [
            self._answered(block[start : start + n_rows]) for start in range(0, len(block), n_rows)
        ]
        if not parts:
            return np.zeros((0, len(self.first)))
        return np.concatenate(parts)

    def _answered(self, block: Block) -> Matrix:
        try:
            return self.asker.matrix(self.view, block)
        except NotCompiled:
            raise
        except Exception:
            # Whatever a foreign step raises, it is about some of the rows.
            if len(block) == 1:
                return np.full((1, len(self.first)), np.nan)
        middle = len(block) // 2
        return np.concatenate([self._answered(block[:middle]), self._answered(block[middle:])])

    def on(self, position: int, values: Any, row: int = 0) -> Matrix:
        """(n_values, n_columns): what the columns are for these values of one field.

        The other fields have the values of one row, or any: that does not matter to columns of this
        field, and the rest are not worth reading.
        """
        known = self._known.get((position, _key(values)))
        if known is not None and row == 0:
            return known
        feature = self.asker.spec.contract[position]
        base = self.asker.base[row : row + 1]
        return self._asked(self.asker.with_values(feature, values, base))

    def of(self, position: int) -> NDArray[np.int64]:
        """The columns that a field makes."""
        return np.flatnonzero(self.fields == position)

    @cached_property
    def constants(self) -> NDArray[np.int64]:
        """The columns that no field changes."""
        return np.flatnonzero(self.fields < 0)


def _spread(values: NDArray[Any], n: int) -> NDArray[Any]:
    """At most so many of the values, evenly taken, the last among them."""
    if len(values) <= n:
        return values
    chosen: NDArray[Any] = values[np.unique(np.linspace(0, len(values) - 1, n).astype(int))]
    return chosen


def _equal(found: Matrix, expected: Matrix) -> NDArray[np.bool_]:
    """Where two matrices are equal; NaN is equal to NaN."""
    return np.asarray((found == expected) | (np.isnan(found) & np.isnan(expected)))


def _changing(found: Matrix) -> NDArray[np.bool_]:
    """(n_columns,) whether rows differ in a column."""
    if not len(found):
        return np.zeros(found.shape[1], dtype=bool)
    return np.asarray(~_equal(found, found[0]).all(axis=0))


def _key(values: Any) -> Any:
    """What tells lists of values apart."""
    given = np.asarray(values)
    if given.dtype == object:
        return tuple(given.tolist())
    return given.astype(np.float64).tobytes()
