"""What the contract allows and the pipeline refuses: such rows are known before a model is asked.

A pipeline raises for the whole block when one row holds a value that it refuses. The bundle lists
these values, so that such a row costs its own request only. The compiled model, which would make
up a number for it, gets to see no such row either.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.manifest import Refusal
from serve_app.contract import Feature
from serve_app.contract.block import MISSING_CATEGORY, Block, Layout


class RefusedRows:
    """Finds the rows of a block that hold a refused value."""

    def __init__(self, refusals: Iterable[Refusal], contract: tuple[Feature, ...]) -> None:
        layout = Layout(contract)
        self._numbers: list[tuple[int, float]] = []
        self._texts: list[tuple[int, str]] = []
        for refusal in refusals:
            name = refusal.field
            if name in layout.category_names:
                text = MISSING_CATEGORY if refusal.value is None else str(refusal.value)
                self._texts.append((layout.category_names.index(name), text))
            else:
                value = refusal.value
                number = float("nan") if value is None else _number(layout, name, value)
                self._numbers.append((layout.number_names.index(name), number))

    def find(self, block: Block) -> NDArray[np.bool_] | None:
        """(n_rows,) whether a row holds a refused value; None when no value is refused at all."""
        if not self._numbers and not self._texts:
            return None
        found = np.zeros(len(block), dtype=bool)
        for column, number in self._numbers:
            values = block.numbers[:, column]
            found |= np.isnan(values) if np.isnan(number) else values == number
        for column, text in self._texts:
            found |= block.categories[:, column] == text
        return found


def _number(layout: Layout, name: str, value: bool | int | float | str) -> float:
    """A value as it stands in a block; dates are ISO texts."""
    row = dict.fromkeys((*layout.number_names, *layout.category_names)) | {name: value}
    return float(layout.block([row]).numbers[0, layout.number_names.index(name)])
