"""Asks the fitted steps of a pipeline about values of fields, as rows of the contract."""

import time
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
# Rows that the values of a field are put into.
N_BASE = 3


class NotCompiled(TrainingError):
    """Why a part of a pipeline has no exact graph; the reason is a half sentence."""


@dataclass(frozen=True)
class Asker:
    """Asks fitted steps about values of fields. `rows` are rows that the pipeline answers.

    Whoever asks when the process has used `until_cpu_s` seconds of CPU is refused by NotCompiled.
    """

    spec: ModelSpec
    call: PipelineCall
    rows: Block
    pipeline: Any
    until_cpu_s: float = np.inf

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
        if feature.is_text:
            return self.layout.category_names.index(feature.name)
        return self.layout.number_names.index(feature.name)

    def column(self, feature: Feature) -> NDArray[Any]:
        """(n_rows,) the values of a field in the rows."""
        values: NDArray[Any] = part_of(self.rows, feature)[:, self.place(feature)]
        return values

    def matrix(self, view: View, block: Block) -> Matrix:
        """(n_rows, n_columns) of a view of these rows. Raises NotCompiled when time is over."""
        # CPU, not the clock: on a busy machine the same pipeline compiles too.
        if time.process_time() > self.until_cpu_s:
            raise NotCompiled("asking its steps what they do takes too long")
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
        part_of(block, feature)[:, self.place(feature)] = values
        return block

    def samples(self, feature: Feature) -> NDArray[Any]:
        """Different values of a field, (n_values,): all where it has few, else those of rows."""
        if feature.is_text:
            return np.array([*self.texts(feature), *UNSEEN_TEXTS], dtype=object)
        listed = listed_numbers(feature)
        if listed is not None:
            return listed
        known = self.column(feature)
        known = np.unique(known[~np.isnan(known)])
        if len(known) > MAX_SAMPLES:
            known = known[np.linspace(0, len(known) - 1, MAX_SAMPLES).astype(int)]
        return known

    def texts(self, feature: Feature) -> list[str]:
        """The texts of a field that a table has to hold, the missing one among them."""
        if feature.choices is not None:
            texts = [str(choice) for choice in feature.choices]
        else:
            seen = {str(text) for text in self.column(feature)} - {MISSING_CATEGORY}
            texts = sorted(seen | self.known_texts - {MISSING_CATEGORY})
        if feature.nullable:
            texts.append(MISSING_CATEGORY)
        return texts


def part_of(block: Block, feature: Feature) -> NDArray[Any]:
    """The matrix of a block that a field stands in."""
    return block.categories if feature.is_text else block.numbers


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
    low = np.ceil(feature.minimum)
    high = np.floor(feature.maximum)
    if high - low >= MAX_LISTED:
        return None
    return np.arange(low, high + 1)
