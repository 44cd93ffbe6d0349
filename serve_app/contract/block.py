"""Rows as two matrices: the one form in which they reach a model, and cross a process."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.contract import Feature

# ONNX strings cannot be null, so training and serving both see this instead.
MISSING_CATEGORY = ""

# (n_rows,) probabilities or values; NaN says that this row failed.
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows as two matrices.

    `numbers` is (n_rows, n_numbers) float64 with NaN for missing, `categories` is
    (n_rows, n_categories) of str.
    """

    numbers: NDArray[np.float64]
    categories: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: slice) -> "Block":
        return Block(self.numbers[rows], self.categories[rows])

    @staticmethod
    def concat(blocks: "Sequence[Block]") -> "Block":
        """One block with the rows of all, in order."""
        if len(blocks) == 1:
            return blocks[0]
        return Block(
            np.concatenate([block.numbers for block in blocks]),
            np.concatenate([block.categories for block in blocks]),
        )


class Layout:
    """Which field goes to which column; made once from a contract."""

    def __init__(self, contract: Iterable[Feature]) -> None:
        features = tuple(contract)
        self.number_names = tuple(f.name for f in features if f.dtype != "category")
        self.category_names = tuple(f.name for f in features if f.dtype == "category")
        self._has_gaps = any(f.nullable for f in features if f.dtype != "category")

    def block(self, rows: Sequence[Mapping[str, Any]]) -> Block:
        """Rows as mappings of plain values (None where missing) to a block."""
        shape = (len(rows), len(self.number_names))
        values = [[row[name] for name in self.number_names] for row in rows]
        if self._has_gaps:
            numbers = np.array(values, dtype=np.float64)
        else:
            # Half the time, but it cannot read None.
            numbers = np.fromiter(chain.from_iterable(values), np.float64, shape[0] * shape[1])
        texts = [[row[name] or MISSING_CATEGORY for name in self.category_names] for row in rows]
        categories = np.array(texts, dtype=object).reshape(len(rows), len(self.category_names))
        return Block(numbers.reshape(shape), categories)
