"""Sums of float64 numbers by an operator that adds up in float32, without rounding.

Each number is cut into parts. The numbers of one part are multiples of a unit so large that a
float32 holds every sum of them exactly, in whatever order they are added. The sums of the parts,
added up in float64, are then the sum of the numbers.
"""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
# A float32 holds whole numbers up to 2^24; two bits are left for rounding to the unit.
SUM_BITS = 22
# Together they hold more than the 53 bits of a float64.
N_PARTS = 3


def float32_parts(values: Numbers, starts: NDArray[np.int64]) -> list[Numbers]:
    """Arrays like `values` (n_nodes, n_targets) that add up to them; all are exact in float32.

    A sum takes one row of each tree; trees start at the rows `starts` (n_trees,).
    """
    parts = []
    rest = values
    for _ in range(N_PARTS):
        largest_of_trees = np.maximum.reduceat(np.abs(rest).max(axis=1), starts)
        largest_sum = float(largest_of_trees.sum())
        if largest_sum == 0.0:
            break
        unit = 2.0 ** (np.ceil(np.log2(largest_sum)) - SUM_BITS)
        part = np.round(rest / unit) * unit
        parts.append(part)
        rest = rest - part
    return parts or [values]
