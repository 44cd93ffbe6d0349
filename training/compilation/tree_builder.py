"""A tree in the making, node by node."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.compilation.ensembles import LEAF, Categories, Tree


@dataclass
class TreeBuilder:
    """The nodes of one tree in the making."""

    n_targets: int
    feature: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    is_missing_left: list[bool] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    categories: dict[int, Categories] = field(default_factory=dict)

    def add(self, feature: int, threshold: float, *, is_missing_left: bool) -> int:
        """A split whose children come later; its position."""
        self.feature.append(feature)
        self.threshold.append(threshold)
        self.left.append(0)
        self.right.append(0)
        self.is_missing_left.append(is_missing_left)
        self.values.append(np.zeros(self.n_targets))
        return len(self.feature) - 1

    def add_leaf(self, values: Any) -> int:
        """A leaf with a value for each target; its position."""
        place = self.add(LEAF, 0.0, is_missing_left=False)
        self.values[place] = values
        return place

    def tree(self) -> Tree:
        """The tree, when all of its nodes are there."""
        return Tree(
            np.array(self.feature, dtype=np.int64),
            np.array(self.threshold, dtype=np.float64),
            np.array(self.left, dtype=np.int64),
            np.array(self.right, dtype=np.int64),
            np.array(self.is_missing_left, dtype=bool),
            np.array(self.values, dtype=np.float64).reshape(len(self.feature), self.n_targets),
            self.categories,
        )
