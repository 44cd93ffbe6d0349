"""Rows by the bins that training froze: an average may hide a few that are served badly."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.manifest import Reference
from serve_app.contract import Feature
from serve_app.contract.block import MISSING_CATEGORY, Block, Layout
from serve_app.statistics.labels import MISSING, OTHER, shown

# The feature, and the label of the bin.
Name = tuple[str, str]
# Texts of one field with a bin of their own: the most frequent ones in training.
MOST_TEXTS = 100
# Between false and true.
TRUTH_EDGES = (0.5,)


class Bins:
    """The bins of one bundle, from its references and its contract.

    A number has the bins of its reference, and a truth value has two. A text has a bin where it is
    one of the texts listed in the reference; all others share the bin `any other`.
    """

    def __init__(self, references: Mapping[str, Reference], contract: Sequence[Feature]) -> None:
        layout = Layout(contract)
        features = {feature.name: feature for feature in contract}
        self._numbers = []
        for i, name in enumerate(layout.number_names):
            edges = _edges(features[name], references)
            if edges is not None:
                self._numbers.append((i, np.array(edges), _labels(features[name], edges)))
        self._texts = [
            (i, name, _listed(features[name], references.get(name)))
            for i, name in enumerate(layout.category_names)
        ]

    def first(self, block: Block) -> Iterator[Name]:
        """Yield the bin of each field of the first row."""
        numbers = block.numbers[0].tolist()
        for i, edges, names in self._numbers:
            number = numbers[i]
            # NaN is the one number that is not equal to itself.
            yield names[bisect_right(edges, number) if number == number else -1]
        for i, name, listed in self._texts:
            yield name, listed.get(block.categories[0, i], OTHER)

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
        for i, name, listed in self._texts:
            yield from _count_texts(name, listed, block.categories[:, i], marked)

    def sums(self, block: Block, weights: NDArray[np.float64]) -> Iterator[tuple[Name, int, float]]:
        """Yield (bin, its rows, the sum of their weights) for each bin that has rows."""
        for i, edges, names in self._numbers:
            column = block.numbers[:, i]
            bins = np.where(np.isnan(column), len(edges) + 1, np.digitize(column, edges))
            n_rows = np.bincount(bins, minlength=len(names))
            total = np.bincount(bins, weights=weights, minlength=len(names))
            yield from ((names[b], int(n_rows[b]), float(total[b])) for b in np.flatnonzero(n_rows))
        for i, name, listed in self._texts:
            labels = np.array([listed.get(text, OTHER) for text in block.categories[:, i].tolist()])
            for label in np.unique(labels):
                own = labels == label
                yield (name, str(label)), int(own.sum()), float(weights[own].sum())


def without_bins(references: Mapping[str, Reference], contract: Sequence[Feature]) -> list[str]:
    """The fields that tell no rows apart: numbers without an edge, texts of which none is listed.

    Whether a value is missing is told apart of these too.
    """
    numbers = Layout(contract).number_names
    found = []
    for feature in contract:
        if feature.name in numbers:
            has_bins = bool(_edges(feature, references))
        else:
            has_bins = len(_listed(feature, references.get(feature.name))) > 1
        if not has_bins:
            found.append(feature.name)
    return found


def _count_texts(
    name: str, listed: Mapping[str, str], texts: NDArray[np.object_], marked: NDArray[np.bool_]
) -> Iterator[tuple[Name, int, int]]:
    n_rows: dict[str, int] = {}
    n_marked: dict[str, int] = {}
    for text, is_marked in zip(texts.tolist(), marked.tolist(), strict=True):
        label = listed.get(text, OTHER)
        n_rows[label] = n_rows.get(label, 0) + 1
        n_marked[label] = n_marked.get(label, 0) + is_marked
    for label, n in n_rows.items():
        yield (name, label), n, n_marked[label]


def _edges(feature: Feature, references: Mapping[str, Reference]) -> Sequence[float] | None:
    """The inner edges of a number's bins; None where training has kept none."""
    if feature.dtype == "bool":
        return TRUTH_EDGES
    reference = references.get(feature.name)
    return None if reference is None else reference.edges or ()


def _labels(feature: Feature, edges: Sequence[float]) -> list[Name]:
    """Name the bins `edge[i-1] <= x < edge[i]`; the last one is for missing values."""
    name = feature.name
    if feature.dtype == "bool":
        return [(name, shown(0, feature)), (name, shown(1, feature)), (name, MISSING)]
    if not len(edges):
        return [(name, "all"), (name, MISSING)]
    texts = [shown(edge, feature) for edge in edges]
    middle = [f"{low} to {high}" for low, high in pairwise(texts)]
    return [
        (name, label) for label in (f"under {texts[0]}", *middle, f"{texts[-1]} and more", MISSING)
    ]


def _listed(feature: Feature, reference: Reference | None) -> dict[str, str]:
    """The label of each text that has a bin of its own.

    Without a reference these are the first choices of a closed list.
    """
    if reference is not None and reference.values is not None:
        by_count = sorted(
            zip(reference.values, reference.counts, strict=False), key=lambda pair: -pair[1]
        )
        values = [value for value, _ in by_count]
    else:
        values = [str(choice) for choice in feature.choices or ()]
    return {value: value for value in values[:MOST_TEXTS]} | {MISSING_CATEGORY: MISSING}
