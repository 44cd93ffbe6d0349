"""Rows that have been checked against a model's contract: what every later step works on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serve_app.bundle.manifest import sha256_of
from serve_app.bundle.runtimes.sklearn_runtime import frame
from serve_app.contract import Feature, ModelSpec
from serve_app.contract.block import MISSING_CATEGORY, Block

Numbers = NDArray[np.float64]
Value = int | float | str | None


@dataclass(frozen=True)
class Table:
    """Checked rows with their `target` (n_rows,).

    Rows of a recipe also have `best` (n_rows,): the score that nobody can beat.
    """

    spec: ModelSpec
    block: Block
    target: Numbers
    best: Numbers | None = None

    def __len__(self) -> int:
        return len(self.block)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The features exactly as serving shows them to a pipeline."""
        return frame(self.block, self.spec.contract)

    def take(self, rows: NDArray[np.intp]) -> "Table":
        """Take the rows at these positions, in this order."""
        return Table(
            self.spec,
            Block(self.block.numbers[rows], self.block.categories[rows]),
            self.target[rows],
            None if self.best is None else self.best[rows],
        )

    def parts(self, shares: Sequence[float], seed: int) -> list["Table"]:
        """Split into disjoint random parts; `shares` sum to 1.

        A classifier's parts keep the share of positives.
        """
        order = np.random.default_rng(seed).permutation(len(self))
        strata = [order]
        if self.spec.kind == "binary_classifier":
            strata = [order[self.target[order] == label] for label in (0.0, 1.0)]
        cuts = np.cumsum(shares)[:-1]
        pieces = [
            np.split(stratum, np.round(cuts * len(stratum)).astype(int)) for stratum in strata
        ]
        return [self.take(np.sort(np.concatenate(piece))) for piece in zip(*pieces, strict=True)]

    def values(self, row: int) -> dict[str, Value]:
        """Write one row as plain JSON values, None where missing."""
        return {f.name: _plain(self.frame[f.name].iloc[row], f) for f in self.spec.contract}

    @cached_property
    def sha256(self) -> str:
        """The digest of the rows as canonical CSV.

        It has the contract's columns, the target last, and `\\n` at the ends of lines.
        """
        rows = self.frame.assign(**{self.spec.target: self.target})
        return sha256_of(rows.to_csv(index=False, lineterminator="\n").encode())


def _plain(value: object, feature: Feature) -> Value:
    """A cell of the frame as it would stand in JSON."""
    if feature.dtype == "category":
        return None if value == MISSING_CATEGORY else str(value)
    # A number column has int64 or float64.
    number = float(value)  # type: ignore[arg-type]
    if np.isnan(number):
        return None
    return int(number) if feature.dtype == "int" else number
