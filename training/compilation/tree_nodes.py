"""All nodes of an ensemble, one after the other, and the operator that walks them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.compilation.asker import Matrix
from training.compilation.ensembles import LEAF, Categories, Ensemble
from training.compilation.graph import ML, Graph

Places = NDArray[np.intp]


@dataclass(frozen=True)
class Nodes:
    """Arrays over the nodes of all trees, (n_nodes,) each; those of a tree stand together.

    `tree` is the number of the node's tree, and trees begin at the nodes `starts` (n_trees,).
    `left` and `right` are places in the tree. `values` (n_nodes, n_targets) count for leaves.
    `categories` has the splits by codes, by node.
    """

    feature: NDArray[np.int64]
    threshold: Matrix
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    is_missing_left: NDArray[np.bool_]
    values: Matrix
    tree: NDArray[np.int64]
    starts: NDArray[np.int64]
    categories: dict[int, Categories]

    @cached_property
    def is_split(self) -> NDArray[np.bool_]:
        """Which nodes are no leaves."""
        return np.asarray(self.feature != LEAF)

    @cached_property
    def is_number(self) -> NDArray[np.bool_]:
        """Which nodes compare a number."""
        is_number = self.is_split.copy()
        is_number[list(self.categories)] = False
        return is_number

    @cached_property
    def used(self) -> NDArray[np.int64]:
        """The columns that the trees look at, ascending."""
        return np.unique(self.feature[self.is_split])

    @cached_property
    def coded(self) -> NDArray[np.int64]:
        """The columns that are split by codes, ascending."""
        return np.unique(self.feature[list(self.categories)])

    def comparing(self, column: int) -> Places:
        """The nodes that compare the numbers of a column."""
        return np.flatnonzero(self.is_number & (self.feature == column))

    def thresholds(self, column: int) -> Matrix:
        """What the numbers of a column are compared with, ascending."""
        return np.unique(self.threshold[self.comparing(column)])

    @cached_property
    def threshold_place(self) -> NDArray[np.int64]:
        """The place of each node's threshold among those of its column."""
        places = np.zeros(len(self.feature), dtype=np.int64)
        for column in self.used.tolist():
            nodes = self.comparing(column)
            places[nodes] = np.searchsorted(self.thresholds(column), self.threshold[nodes])
        return places


def nodes_of(ensemble: Ensemble) -> Nodes:
    """The nodes of all trees of an ensemble."""
    trees = ensemble.trees
    sizes = np.array([len(tree.feature) for tree in trees])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    categories = {}
    for start, tree in zip(starts.tolist(), trees, strict=True):
        for node, split in tree.categories.items():
            categories[start + node] = split
    return Nodes(
        feature=np.concatenate([tree.feature for tree in trees]),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        left=np.concatenate([tree.left for tree in trees]),
        right=np.concatenate([tree.right for tree in trees]),
        is_missing_left=np.concatenate([tree.is_missing_left for tree in trees]),
        values=np.concatenate([tree.values for tree in trees]),
        tree=np.repeat(np.arange(len(trees)), sizes),
        starts=starts,
        categories=categories,
    )


@dataclass(frozen=True)
class Comparisons:
    """How the operator goes on from each node, (n_nodes,) each; leaves do not count.

    A row goes left when `column` of the operator's matrix is at most `threshold`, or is missing
    where `sends_missing_left`.
    """

    column: NDArray[np.int64]
    threshold: Matrix
    sends_missing_left: NDArray[np.bool_]


def summed(
    graph: Graph, matrix: str, nodes: Nodes, how: Comparisons, weights: Matrix, base: Matrix
) -> str:
    """(n_rows, n) float32: `base` (n,) and the `weights` (n_nodes, n) of the leaves of each row."""
    place = np.arange(len(nodes.feature)) - nodes.starts[nodes.tree]
    leaves = np.flatnonzero(~nodes.is_split)
    leaf, target = np.nonzero(weights[leaves])
    # A leaf needs a weight, also when all of them are zero.
    empty = np.setdiff1d(np.arange(len(leaves)), leaf)
    leaf = np.concatenate([leaf, empty])
    target = np.concatenate([target, np.zeros(len(empty), dtype=int)])
    weighted = leaves[leaf]
    return graph.node(
        "TreeEnsembleRegressor",
        [matrix],
        domain=ML,
        n_targets=weights.shape[1],
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=base.astype(np.float32).tolist(),
        nodes_treeids=nodes.tree.tolist(),
        nodes_nodeids=place.tolist(),
        nodes_featureids=np.where(nodes.is_split, how.column, 0).tolist(),
        nodes_modes=np.where(nodes.is_split, "BRANCH_LEQ", "LEAF").tolist(),
        nodes_values=how.threshold.astype(np.float32).tolist(),
        nodes_missing_value_tracks_true=how.sends_missing_left.astype(int).tolist(),
        nodes_truenodeids=np.where(nodes.is_split, nodes.left, 0).tolist(),
        nodes_falsenodeids=np.where(nodes.is_split, nodes.right, 0).tolist(),
        target_treeids=nodes.tree[weighted].tolist(),
        target_nodeids=place[weighted].tolist(),
        target_ids=target.tolist(),
        target_weights=weights[weighted, target].astype(np.float32).tolist(),
    )
