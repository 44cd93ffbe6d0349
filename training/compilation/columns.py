"""What each column of a matrix inside a pipeline is made of, found by asking the fitted steps.

Encoders, imputers, scalers and people's own transformers have one thing in common: most columns
that they make depend on one field of the contract. Such a column is known completely from what it
is for each value of that field, however the steps compute it.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.call import PipelineCall
from serve_app.bundle.runtimes.sklearn_runtime import frame
from serve_app.contract import Feature, ModelSpec
from serve_app.contract.block import MISSING_CATEGORY, Block, Layout
from serve_app.contract.feature import UNSEEN_TEXTS
from training.errors import TrainingError
from training.estimators import walk

Matrix = NDArray[np.float64]
# What an estimator is shown for rows as its pipeline gets them.
View = Callable[[Any], Any]

# Integers of at most so many values are all looked up, one by one.
MAX_LISTED = 5_000
# Of a field's values in the rows, those that a column is asked about.
MAX_SAMPLES = 2_000
N_BASE = 3
MAX_CELLS = 4_000_000
AFFINE_TOLERANCE = 1e-9


class NotCompiled(TrainingError):
    """Why a part of a pipeline has no exact graph; the reason is a half sentence."""


@dataclass(frozen=True)
class Asker:
    """Asks fitted steps about values of fields. `rows` are rows that the pipeline answers."""

    spec: ModelSpec
    call: PipelineCall
    rows: Block
    pipeline: Any

    @cached_property
    def layout(self) -> Layout:
        """Where fields stand in a block."""
        return Layout(self.spec.contract)

    @cached_property
    def base(self) -> Block:
        """A few rows, evenly taken from all."""
        places = np.linspace(0, len(self.rows) - 1, N_BASE).astype(int)
        return self.rows[places]

    @cached_property
    def known_texts(self) -> set[str]:
        """Every text that a part of the pipeline has learned."""
        found: set[str] = set()
        for part in walk(self.pipeline):
            for name in ("categories_", "vocabulary_", "statistics_"):
                for values in _listed(getattr(part, name, ())):
                    found |= {value for value in _listed(values) if isinstance(value, str)}
        return found

    @cached_property
    def known_numbers(self) -> Matrix:
        """Every number that an encoder or a binning has learned: where steps may be."""
        found: set[float] = set()
        for part in walk(self.pipeline):
            for name in ("categories_", "bin_edges_", "threshold"):
                for values in _listed(getattr(part, name, ())):
                    found |= {
                        float(value)
                        for value in _listed(values)
                        if isinstance(value, int | float | np.number)
                    }
        numbers = np.array(sorted(found), dtype=np.float64)
        return numbers[np.isfinite(numbers)]

    def place(self, feature: Feature) -> int:
        """The column of a field in its matrix of the block."""
        names = self.layout.category_names if feature.is_text else self.layout.number_names
        return names.index(feature.name)

    def column(self, feature: Feature) -> NDArray[Any]:
        """(n_rows,) the values of a field in the rows."""
        matrix = self.rows.categories if feature.is_text else self.rows.numbers
        return matrix[:, self.place(feature)]

    def matrix(self, view: View, block: Block) -> Matrix:
        """(n_rows, n_columns) of a view of these rows."""
        with warnings.catch_warnings():
            # What training never saw is asked on purpose.
            warnings.simplefilter("ignore")
            seen = view(frame(block, self.spec.contract, self.call))
        if hasattr(seen, "toarray"):
            seen = seen.toarray()
        if hasattr(seen, "to_numpy"):
            seen = seen.to_numpy()
        found = np.asarray(seen, dtype=np.float64)
        return found.reshape(len(block), -1)

    def with_values(self, feature: Feature, values: Any, base: Block) -> Block:
        """Rows like `base`, over and over, with these values in one field."""
        rows = np.arange(len(values)) % len(base)
        block = Block(base.numbers[rows].copy(), base.categories[rows].copy())
        matrix = block.categories if feature.is_text else block.numbers
        matrix[:, self.place(feature)] = values
        return block

    def samples(self, feature: Feature) -> NDArray[Any]:
        """Different values of a field: all where it has few, else those of rows."""
        if feature.is_text:
            return np.array([*self.texts(feature), *UNSEEN_TEXTS], dtype=object)
        listed = listed_numbers(feature)
        known = self.column(feature)
        known = np.unique(known[~np.isnan(known)])
        if len(known) > MAX_SAMPLES:
            known = known[np.linspace(0, len(known) - 1, MAX_SAMPLES).astype(int)]
        return known if listed is None else listed

    def texts(self, feature: Feature) -> list[str]:
        """The texts of a field that a table has to hold, the missing one among them."""
        if feature.choices is not None:
            texts = [str(choice) for choice in feature.choices]
        else:
            seen = {str(text) for text in self.column(feature)} - {MISSING_CATEGORY}
            texts = sorted(seen | self.known_texts - {MISSING_CATEGORY})
        return [*texts, MISSING_CATEGORY] if feature.nullable else texts


def _listed(values: Any) -> list[Any]:
    """The items of a list, an array, or the keys of a dictionary; one value is a list of it."""
    if isinstance(values, str | int | float | np.number):
        return [values]
    try:
        return list(values)
    except TypeError:
        return []


def listed_numbers(feature: Feature) -> Matrix | None:
    """All values of a field of few numbers, ascending; None where there are too many."""
    if feature.dtype == "bool":
        return np.array([0.0, 1.0])
    if feature.choices is not None:
        return np.array(sorted(float(choice) for choice in feature.choices))
    if feature.dtype != "int" or feature.minimum is None or feature.maximum is None:
        return None
    low, high = np.ceil(feature.minimum), np.floor(feature.maximum)
    return np.arange(low, high + 1) if high - low < MAX_LISTED else None


class Columns:
    """The columns of a view, each made of one field of the contract, or constant.

    `fields` has the position of the field in the contract for each column, -1 for a constant.
    Raises NotCompiled where a column is made of two fields.
    """

    def __init__(self, asker: Asker, view: View) -> None:
        self.asker = asker
        self.view = view
        self.fields = self._find_fields()

    @property
    def n_columns(self) -> int:
        """The width of the matrix."""
        return len(self.fields)

    def _find_fields(self) -> NDArray[np.int64]:
        asker = self.asker
        base = asker.matrix(self.view, asker.base)
        self.first = base[0]
        fields = np.full(base.shape[1], -1)
        changes = np.zeros((len(asker.spec.contract), base.shape[1]), dtype=bool)
        for position, feature in enumerate(asker.spec.contract):
            values = asker.samples(feature)
            if feature.nullable and not feature.is_text:
                values = np.append(values, np.nan)
            # All values in one row, then all in another: what varies within a row depends on them.
            for row in range(N_BASE):
                found = self.on(position, values, row)
                # A value that a step refuses tells nothing.
                found = found[~np.isnan(found).all(axis=1)]
                if not len(found):
                    continue
                is_same = (found == found[0]) | (np.isnan(found) & np.isnan(found[0]))
                changes[position] |= ~is_same.all(axis=0)
        for position, feature in enumerate(asker.spec.contract):
            for column in np.flatnonzero(changes[position]):
                if fields[column] >= 0:
                    names = (asker.spec.contract[fields[column]].name, feature.name)
                    raise NotCompiled(f"a step mixes {names[0]} and {names[1]}")
                fields[column] = position
        return fields

    def _asked(self, block: Block) -> Matrix:
        """The matrix of many rows, a part at a time; NaN for rows that a step refuses."""
        n_rows = max(1, MAX_CELLS // max(1, len(self.first)))
        parts = [
            self._answered(block[start : start + n_rows]) for start in range(0, len(block), n_rows)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.first)))

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

        The other fields have the values of one row, which does not matter to columns of this field.
        """
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
