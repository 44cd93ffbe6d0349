"""Columns that give the target away: they know what happens only afterwards."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from training.new.field import Field, LeftOut, Target

# From here on one column alone is better than anything that is known before.
LEAK_AUC = 0.999
LEAK_R2 = 0.999
MOST_ROWS = 5_000
N_FOLDS = 3
SEED = 0


def leaks(
    fields: Sequence[Field], columns: Mapping[str, pd.Series], target: Target, truth: pd.Series
) -> dict[str, LeftOut]:
    """The fields, by column, with which alone a small tree predicts the target in rows unseen.

    `columns` holds the values of each field as `map_columns` gives them, `truth` those of the
    target; both have the same rows, and the first MOST_ROWS count.
    """
    known = truth.notna().to_numpy()
    labels = truth[known].to_numpy()[:MOST_ROWS]
    is_classifier = target.kind != "regressor"
    if is_classifier and pd.Series(labels).value_counts().min() < N_FOLDS:
        return {}
    measure = "R²"
    limit = LEAK_R2
    if is_classifier:
        measure = "AUC"
        limit = LEAK_AUC
        # Once for all fields: texts take longer to sort than a tree to grow.
        labels = np.unique(labels.astype(str), return_inverse=True)[1]
    found = {}
    for field in fields:
        numbers = _as_numbers(columns[field.column][known], field)[:MOST_ROWS]
        quality = _quality(numbers, labels, is_classifier)
        if quality >= limit:
            found[field.column] = LeftOut(
                field.column,
                f"it gives {target.column} away: alone it predicts it with {measure} "
                f"{quality:.4f}; if it is known beforehand, --keep {field.column!r}",
            )
    return found


def _as_numbers(column: pd.Series, field: Field) -> NDArray[np.float64]:
    """One number for each value: texts by their place in the alphabet, NaN where missing."""
    if field.dtype in ("category", "text"):
        codes = pd.Categorical(column).codes.astype(np.float64)
        return np.where(codes < 0, np.nan, codes)
    if field.dtype in ("date", "datetime"):
        moments = pd.to_datetime(column).to_numpy("datetime64[s]")
        return np.where(np.isnat(moments), np.nan, moments.astype(np.int64).astype(np.float64))
    return pd.to_numeric(column.astype(object), errors="coerce").to_numpy(np.float64)


def _quality(
    numbers: NDArray[np.float64], labels: NDArray[np.generic], is_classifier: bool
) -> float:
    """How well a tree predicts the target in rows that it has not seen: AUC, or R².

    Classes come as 0, 1 and so on.
    """
    rows = numbers.reshape(-1, 1)
    if is_classifier:
        tree = DecisionTreeClassifier(max_leaf_nodes=64, min_samples_leaf=3, random_state=SEED)
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=SEED)
        scores = cross_val_predict(tree, rows, labels, cv=folds, method="predict_proba")
        if scores.shape[1] == 2:
            return float(roc_auc_score(labels == 1, scores[:, 1]))
        return float(roc_auc_score(labels, scores, multi_class="ovr"))
    values = labels.astype(np.float64)
    trees = DecisionTreeRegressor(min_samples_leaf=2, random_state=SEED)
    folds = KFold(N_FOLDS, shuffle=True, random_state=SEED)
    return float(r2_score(values, cross_val_predict(trees, rows, values, cv=folds)))
