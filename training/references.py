"""How each feature was distributed in training: the frozen bins that drift is measured against."""

from collections import Counter

import numpy as np

from serve_app.bundle.manifest import Reference
from serve_app.contract import Feature
from serve_app.contract.block import MISSING_CATEGORY
from training.table import Numbers, Table

N_BINS = 10
# Values of an open field that have a bin of their own.
MOST_LISTED = 100


def references(table: Table) -> dict[str, Reference]:
    """Make one reference for each feature, over all rows of the table."""
    return {f.name: _reference(table, f) for f in table.spec.contract}


def _reference(table: Table, feature: Feature) -> Reference:
    column = table.column(feature.name)
    if feature.is_text:
        return _of_texts(column, feature)
    return _of_numbers(column.astype(np.float64))


def _of_texts(column: np.ndarray, feature: Feature) -> Reference:
    """All values of the contract are listed, also those that training never saw.

    Of an open field the most frequent ones are.
    """
    if feature.choices is not None:
        values = [str(value) for value in feature.choices]
    else:
        seen = Counter(str(value) for value in column if value != MISSING_CATEGORY)
        values = [value for value, _ in seen.most_common(MOST_LISTED)]
    return Reference(
        share_missing=float(np.mean(column == MISSING_CATEGORY)),
        values=values,
        counts=[int((column == value).sum()) for value in values],
    )


def _of_numbers(column: Numbers) -> Reference:
    """Bins `edge[i-1] <= x < edge[i]`.

    Equal quantiles fall together, so that no bin is empty by construction.
    """
    present = column[~np.isnan(column)]
    if not len(present):
        return Reference(share_missing=1.0, edges=[], counts=[0])
    quantiles = np.quantile(present, np.linspace(0, 1, N_BINS + 1)[1:-1], method="inverted_cdf")
    edges = np.unique(quantiles[quantiles > present.min()])
    counts = np.bincount(np.digitize(present, edges), minlength=len(edges) + 1)
    return Reference(
        share_missing=float(np.mean(np.isnan(column))),
        edges=[float(edge) for edge in edges],
        counts=[int(count) for count in counts],
    )
