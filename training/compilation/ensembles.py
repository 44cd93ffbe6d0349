"""Trees of different libraries in one form: splits of columns, and numbers in the leaves."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAF = -1


@dataclass(frozen=True)
class Categories:
    """A split by codes: those of `left` go left, others right.

    A code that is not `known`, below zero or missing goes where missing ones go.
    """

    left: frozenset[int]
    known: frozenset[int] | None
    is_missing_left: bool

    def goes_left(self, code: float) -> bool:
        """Where a code goes."""
        if np.isnan(code) or code < 0:
            return self.is_missing_left
        if int(code) in self.left:
            return True
        is_unknown = self.known is not None and int(code) not in self.known
        return is_unknown and self.is_missing_left


@dataclass(frozen=True)
class Tree:
    """Arrays over the nodes, (n_nodes,) each; node 0 is the root.

    `feature` is the column of the matrix, LEAF for a leaf. A number goes left when it is at most
    `threshold`, or below it where the ensemble says so; a missing one when `is_missing_left`.
    `values` (n_nodes, n_targets) count for leaves. `categories` has the splits by codes, by node.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    is_missing_left: NDArray[np.bool_]
    values: NDArray[np.float64]
    categories: dict[int, Categories] = field(default_factory=dict)


@dataclass(frozen=True)
class Ensemble:
    """Trees whose leaves are added up, on `base` (n_targets,).

    Numbers are cast to `cast` before they are compared; `is_strict`: left is below the threshold.
    """

    trees: list[Tree]
    base: NDArray[np.float64]
    cast: Any = np.float64
    is_strict: bool = False

    def goes_left(self, values: Any, thresholds: Any) -> NDArray[np.bool_]:
        """Whether values go left of thresholds, as the trees compare them; of the shape of both."""
        seen = self._seen(values)
        if self.is_strict:
            return np.asarray(seen < thresholds)
        return np.asarray(seen <= thresholds)

    def n_below(self, values: Any, thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many of the (n_thresholds,) ascending ones lie below values; of the values' shape."""
        if self.is_strict:
            return np.asarray(np.searchsorted(thresholds, self._seen(values), side="right"))
        return np.asarray(np.searchsorted(thresholds, self._seen(values), side="left"))

    def _seen(self, values: Any) -> NDArray[np.float64]:
        """Values as the trees see them."""
        with np.errstate(over="ignore"):
            cast = np.asarray(values, dtype=np.float64).astype(self.cast)
        return np.asarray(cast, dtype=np.float64)


def of_sklearn(
    trees: list[Any], values: list[NDArray[np.float64]], base: Any, columns: list[Any] | None = None
) -> Ensemble:
    """An ensemble of scikit-learn's `tree_` objects, with these values in their nodes.

    `columns` has the columns that each tree was fitted on, where these are not all.
    """
    made = []
    for i, (tree, value) in enumerate(zip(trees, values, strict=True)):
        is_leaf = tree.children_left == tree.children_right
        feature = np.where(is_leaf, 0, tree.feature)
        if columns is not None:
            feature = np.asarray(columns[i])[feature]
        made.append(
            Tree(
                np.where(is_leaf, LEAF, feature).astype(np.int64),
                tree.threshold.astype(np.float64),
                tree.children_left.astype(np.int64),
                tree.children_right.astype(np.int64),
                tree.missing_go_to_left.astype(bool),
                value,
            )
        )
    return Ensemble(made, np.asarray(base, dtype=np.float64), cast=np.float32)


def one_target(values: NDArray[np.float64], target: int, n_targets: int) -> NDArray[np.float64]:
    """(n_nodes, n_targets) with the values (n_nodes,) in the column of one target."""
    matrix = np.zeros((len(values), n_targets))
    matrix[:, target] = values
    return matrix


def of_forest(forest: Any) -> Ensemble:
    """A random forest, extra trees, or a single tree: the mean of the leaves.

    The targets are the probabilities of the classes (of the second one, where there are two), or
    the outputs.
    """
    members = getattr(forest, "estimators_", None) or [forest]
    trees = [member.tree_ for member in members]
    values = []
    for tree in trees:
        # (n_nodes, n_outputs, n_classes), with one class for a regressor.
        value = tree.value
        if hasattr(forest, "classes_"):
            value = value[:, 0, :]
            value = value / value.sum(axis=1, keepdims=True)
            if value.shape[1] == 2:
                value = value[:, 1:]
        else:
            value = value[:, :, 0]
        values.append(value / len(trees))
    return of_sklearn(trees, values, np.zeros(values[0].shape[1]))


def of_gradient_boosting(model: Any) -> Ensemble:
    """GradientBoostingClassifier and -Regressor: raw predictions."""
    n_targets = model.estimators_.shape[1]
    trees = []
    values = []
    for stage in model.estimators_:
        for target, member in enumerate(stage):
            trees.append(member.tree_)
            leaf = member.tree_.value[:, 0, 0] * model.learning_rate
            values.append(one_target(leaf, target, n_targets))
    # Of a model that starts from no other model, it is the same for every row.
    base = model._raw_predict_init(np.zeros((1, model.n_features_in_), dtype=np.float32))
    return of_sklearn(trees, values, base.reshape(-1))


def of_hist_gradient_boosting(model: Any) -> Ensemble:
    """HistGradientBoostingClassifier and -Regressor: raw predictions."""
    known_bits, places = model._bin_mapper.make_known_categories_bitsets()
    base = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(-1)
    made = []
    for stage in model._predictors:
        for target, predictor in enumerate(stage):
            nodes = predictor.nodes
            is_leaf = nodes["is_leaf"].astype(bool)
            categories = {}
            for node in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~is_leaf):
                bits = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]]
                known = known_bits[places[nodes["feature_idx"][node]]]
                categories[int(node)] = Categories(
                    _codes(bits), _codes(known), bool(nodes["missing_go_to_left"][node])
                )
            made.append(
                Tree(
                    np.where(is_leaf, LEAF, nodes["feature_idx"]).astype(np.int64),
                    nodes["num_threshold"].astype(np.float64),
                    nodes["left"].astype(np.int64),
                    nodes["right"].astype(np.int64),
                    nodes["missing_go_to_left"].astype(bool),
                    one_target(nodes["value"].astype(np.float64), target, len(stage)),
                    categories,
                )
            )
    return Ensemble(made, base)


def _codes(bits: NDArray[np.uint32]) -> frozenset[int]:
    """The numbers whose bit is set."""
    return frozenset(
        32 * word + bit
        for word, value in enumerate(bits.tolist())
        for bit in range(32)
        if value >> bit & 1
    )


def of_isolation_forest(model: Any) -> Ensemble:
    """IsolationForest: the sum of the depths at which a row is alone."""
    trees = []
    values = []
    for i, member in enumerate(model.estimators_):
        trees.append(member.tree_)
        depth = model._decision_path_lengths[i] + model._average_path_length_per_tree[i] - 1.0
        values.append(depth[:, None])
    return of_sklearn(trees, values, [0.0], list(model.estimators_features_))
