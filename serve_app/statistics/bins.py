"""Rows by the bins that training froze: an average may hide a few that are served badly."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.manifest import Reference
from serve_app.contract.block import MISSING_CATEGORY, Block, Layout

# The feature, and the label of the bin.
Name = tuple[str, str]
MISSING = "missing"


class Bins:
    """The bins of one bundle."""

    def __init__(self, references: Mapping[str, Reference], layout: Layout) -> None:
        self._numbers = [
            (i, np.array(references[name].edges or []), _labels(name, references[name].edges or []))
            for i, name in enumerate(layout.number_names)
            if name in references
        ]
        self._categories = list(enumerate(layout.category_names))

    def count(self, block: Block, marked: NDArray[np.bool_]) -> Iterator[tuple[Name, int, int]]:
        """Yield (bin, its rows, how many of them are marked) for each bin that has rows."""
        for i, edges, names in self._numbers:
            column = block.numbers[:, i]
            bins = np.where(np.isnan(column), len(edges) + 1, np.digitize(column, edges))
            n_rows = np.bincount(bins, minlength=len(names))
            n_marked = np.bincount(bins[marked], minlength=len(names))
            yield from (
                (names[b], int(n_rows[b]), int(n_marked[b])) for b in np.flatnonzero(n_rows)
            )
        for i, name in self._categories:
            texts = block.categories[:, i]
            for value in set(texts):
                inside = texts == value
                label = MISSING if value == MISSING_CATEGORY else str(value)
                yield (name, label), int(inside.sum()), int((inside & marked).sum())


def _labels(name: str, edges: list[float]) -> list[Name]:
    """Name the bins `edge[i-1] <= x < edge[i]`; the last one is for missing values."""
    if not edges:
        return [(name, "all"), (name, MISSING)]
    middle = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    return [
        (name, label)
        for label in (f"under {edges[0]:.4g}", *middle, f"{edges[-1]:.4g} and more", MISSING)
    ]
