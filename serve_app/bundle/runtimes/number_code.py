"""How float64 numbers enter a float32 graph without losing what the pipeline can tell apart.

A float32 cannot hold cents beyond 2^24 or seconds since 1970, and a tree that cuts between two such
values answers differently for a row beside the cut. Two codes lose nothing that matters:

* a number becomes the count of a tree's cuts below it: `x <= cut[k]` exactly when the count is at
  most k, so that the graph compares small whole numbers;
* a number becomes `(x - shift) / scale`, computed in float64, for models that add and multiply.
"""

import base64
import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

METADATA_KEY = "sluice.number_code"
# Up to here a loop in Python is quicker than numpy's call.
FEW_ROWS = 4


@dataclass(frozen=True)
class NumberCode:
    """What happens to the columns of `numbers`, by their position.

    `cuts` are ascending; a missing value stays NaN. Columns in neither are cast as they are.
    """

    cuts: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    shift_scale: Mapping[int, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lists = [(column, cuts.tolist()) for column, cuts in self.cuts.items()]
        object.__setattr__(self, "_lists", lists)

    def encoded(self, numbers: NDArray[np.float64]) -> NDArray[np.float32]:
        """(n_rows, n_numbers) as the graph takes them."""
        if not self.cuts and not self.shift_scale:
            return numbers.astype(np.float32)
        coded = numbers.copy()
        for column, (shift, scale) in self.shift_scale.items():
            coded[:, column] = (numbers[:, column] - shift) / scale
        if len(numbers) <= FEW_ROWS:
            self._count_few(coded)
        else:
            self._count_many(coded)
        return coded.astype(np.float32)

    def _count_few(self, coded: NDArray[np.float64]) -> None:
        rows = coded.tolist()
        for column, cuts in self._lists:  # type: ignore[attr-defined]
            for i, row in enumerate(rows):
                value = row[column]
                # NaN is the one number that is not equal to itself.
                if value == value:
                    coded[i, column] = bisect_left(cuts, value)

    def _count_many(self, coded: NDArray[np.float64]) -> None:
        for column, cuts in self.cuts.items():
            values = coded[:, column]
            counts = np.searchsorted(cuts, values, side="left")
            coded[:, column] = np.where(np.isnan(values), np.nan, counts)

    def to_text(self) -> str:
        """As it is kept in the metadata of a graph."""
        return json.dumps(
            {
                "cuts": {str(column): _packed(cuts) for column, cuts in self.cuts.items()},
                "shift_scale": {str(column): list(p) for column, p in self.shift_scale.items()},
            }
        )

    @classmethod
    def from_text(cls, text: str) -> "NumberCode":
        """From the metadata of a graph; the empty text is no code."""
        if not text:
            return cls()
        found = json.loads(text)
        return cls(
            {int(column): _unpacked(cuts) for column, cuts in found["cuts"].items()},
            {int(column): (p[0], p[1]) for column, p in found["shift_scale"].items()},
        )


def _packed(cuts: NDArray[np.float64]) -> str:
    """Little-endian float64 in base64: no digit is lost."""
    return base64.b64encode(cuts.astype("<f8").tobytes()).decode()


def _unpacked(text: str) -> NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(np.float64)
