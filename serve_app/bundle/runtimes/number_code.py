"""How float64 numbers enter a graph without losing what the pipeline can tell apart.

A float32 cannot hold cents beyond 2^24 or seconds since 1970, and a tree that cuts between two such
values answers differently for a row next to the cut. So a number may become the count of a tree's
cuts below it: `x <= cut[k]` exactly when the count is at most k, and the graph compares small whole
numbers. Numbers that are added and multiplied enter as float64.
"""

import base64
import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

METADATA_KEY = "sluice.number_code"
# Up to here a loop in Python is quicker than numpy's call.
FEW_ROWS = 4


@dataclass(frozen=True)
class CodedColumn:
    """One column of a graph's input: `source` is the column of `numbers` that it is made from.

    With ascending `cuts` (n_cuts,) it is the count of cuts below the number, without them the
    number itself. A missing number stays NaN.
    """

    source: int
    cuts: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class NumberCode:
    """The columns of a graph's input, made from those of a block's `numbers`; none: all as is."""

    columns: Sequence[CodedColumn] = ()
    _listed: list[tuple[int, list[float] | None]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A list is searched in a third of the time that numpy needs for one number.
        listed = [(c.source, None if c.cuts is None else c.cuts.tolist()) for c in self.columns]
        object.__setattr__(self, "_listed", listed)

    def encoded(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n_rows, n_numbers) as (n_rows, n_columns)."""
        if not self.columns:
            return numbers
        return self._few(numbers) if len(numbers) <= FEW_ROWS else self._many(numbers)

    def _few(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        coded = []
        for row in numbers.tolist():
            for source, cuts in self._listed:
                value = row[source]
                # NaN is the one number that is not equal to itself.
                if cuts is not None and value == value:
                    value = bisect_left(cuts, value)
                coded.append(value)
        return np.array(coded, dtype=np.float64).reshape(len(numbers), len(self.columns))

    def _many(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        coded = numbers[:, [column.source for column in self.columns]]
        for i, column in enumerate(self.columns):
            if column.cuts is not None:
                values = coded[:, i]
                counts = np.searchsorted(column.cuts, values, side="left")
                coded[:, i] = np.where(np.isnan(values), np.nan, counts)
        return coded

    def to_text(self) -> str:
        """As it is kept in the metadata of a graph."""
        return json.dumps(
            [{"source": column.source, "cuts": _packed(column.cuts)} for column in self.columns]
        )

    @classmethod
    def from_text(cls, text: str) -> "NumberCode":
        """From the metadata of a graph; the empty text is no code."""
        if not text:
            return cls()
        return cls(
            tuple(
                CodedColumn(found["source"], _unpacked(found["cuts"])) for found in json.loads(text)
            )
        )


def _packed(cuts: NDArray[np.float64] | None) -> str | None:
    """Little-endian float64 in base64: no digit is lost."""
    return None if cuts is None else base64.b64encode(cuts.astype("<f8").tobytes()).decode()


def _unpacked(text: str | None) -> NDArray[np.float64] | None:
    if text is None:
        return None
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(np.float64)
