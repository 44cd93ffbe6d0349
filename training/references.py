"""How features and scores were distributed in training: the frozen bins that drift is measured by.

Rollouts cut their slices at the same bins.
"""

from collections import Counter

import numpy as np

from serve_app.bundle.manifest import Reference
from serve_app.contract import Feature, ModelSpec
from serve_app.contract.block import MISSING_CATEGORY, Scores, has_failed
from serve_app.statistics.bins import TRUTH_EDGES
from serve_app.statistics.calendar import MONTHS, WEEKDAYS, months_of, weekdays_of
from serve_app.statistics.disagreement import best_class
from training.table import Numbers, Table

N_BINS = 10
# Values of an open field that have a bin of their own.
MOST_LISTED = 100
# The names of the one score, and of a classifier's answer.
SCORE = "score"
CLASS = "class"


def references(table: Table) -> dict[str, Reference]:
    """Make one reference for each feature, over all rows of the table."""
    return {f.name: _reference(table, f) for f in table.spec.contract}


def score_references(spec: ModelSpec, scores: Scores, tolerance: float) -> dict[str, Reference]:
    """Make a reference for each output, of rows that the pipeline was not fitted on.

    `scores` are (n_rows,) or (n_rows, n_outputs); rows that failed are its missing ones. A
    classifier with several classes has one, of its answers. Serving may compute a score up to
    `tolerance` away from the pipeline's.
    """
    failed = has_failed(scores)
    n_failed = int(failed.sum())
    good = scores[~failed]
    if spec.kind == "classifier":
        counts = np.bincount(best_class(good), minlength=len(spec.classes))
        return {
            CLASS: Reference(
                share_missing=n_failed / max(1, len(scores)),
                values=[str(label) for label in spec.classes],
                counts=counts.tolist(),
                n_missing=n_failed,
            )
        }
    columns = good.reshape(len(good), -1).T
    names = spec.outputs or (SCORE,)
    return {
        name: _of_scores(column, n_failed, tolerance)
        for name, column in zip(names, columns, strict=True)
    }


def _reference(table: Table, feature: Feature) -> Reference:
    column = table.column(feature.name)
    if feature.is_text:
        return of_texts(column, feature)
    numbers = column.astype(np.float64)
    if feature.dtype == "bool":
        both = {"minimum": 0.0, "maximum": 1.0}
        return _binned(numbers, np.array(TRUTH_EDGES)).model_copy(update=both)
    reference = of_numbers(numbers)
    if feature.dtype not in ("date", "datetime"):
        return reference
    dates = numbers[~np.isnan(numbers)]
    return reference.model_copy(
        update={
            "months": np.bincount(months_of(dates), minlength=len(MONTHS)).tolist(),
            "weekdays": np.bincount(weekdays_of(dates), minlength=len(WEEKDAYS)).tolist(),
        }
    )


def of_texts(column: np.ndarray, feature: Feature) -> Reference:
    """All values of the contract are listed, also those that training never saw.

    Of an open field the most frequent ones are.
    """
    seen = Counter(str(value) for value in column)
    n_missing = seen.pop(MISSING_CATEGORY, 0)
    if feature.choices is not None:
        values = [str(value) for value in feature.choices]
    else:
        values = [value for value, _ in seen.most_common(MOST_LISTED)]
    counts = [seen[value] for value in values]
    return Reference(
        share_missing=n_missing / max(1, len(column)),
        values=values,
        counts=counts,
        n_missing=n_missing,
        n_unlisted=seen.total() - sum(counts),
    )


def of_numbers(column: Numbers) -> Reference:
    """Bins `edge[i-1] <= x < edge[i]`, at the tenths of the values.

    Equal tenths fall together, so that no bin is empty by construction. A value that is a tenth of
    the rows by itself has a bin of its own: among 95 % of zeros no tenth would tell others apart.
    """
    present = column[~np.isnan(column)]
    if not len(present):
        return _binned(column, np.array([]))
    quantiles = np.quantile(present, np.linspace(0, 1, N_BINS + 1)[1:-1], method="inverted_cdf")
    values, counts = np.unique(present, return_counts=True)
    heavy = np.flatnonzero(counts >= len(present) / N_BINS)
    after = heavy[heavy + 1 < len(values)] + 1
    edges = np.unique(np.concatenate([quantiles, values[heavy], values[after]]))
    return _binned(column, edges[edges > values[0]])


def _of_scores(scores: Numbers, n_failed: int, tolerance: float) -> Reference:
    """As numbers, with edges between two scores: what rounding moves stays in its bin."""
    reference = of_numbers(scores)
    values = np.unique(scores)
    places = np.searchsorted(values, np.array(reference.edges))
    between = (values[places - 1] + values[places]) / 2
    binned = _binned(np.append(scores, np.full(n_failed, np.nan)), np.unique(between))
    if not len(scores):
        return binned
    ends = {"minimum": values[0] - tolerance, "maximum": values[-1] + tolerance}
    return binned.model_copy(update={name: float(end) for name, end in ends.items()})


def _binned(column: Numbers, edges: Numbers) -> Reference:
    """The reference of a column, (n,) with NaN for missing, with these inner edges."""
    present = column[~np.isnan(column)]
    counts = np.bincount(np.digitize(present, edges), minlength=len(edges) + 1)
    n_missing = len(column) - len(present)
    return Reference(
        share_missing=n_missing / max(1, len(column)),
        edges=[float(edge) for edge in edges],
        counts=[int(count) for count in counts],
        n_missing=n_missing,
        minimum=float(present.min()) if len(present) else None,
        maximum=float(present.max()) if len(present) else None,
    )
