"""Rows that have been checked against a model's contract: what every later step works on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serve_app.bundle.call import PipelineCall
from serve_app.bundle.manifest import sha256_of
from serve_app.bundle.runtimes.sklearn_runtime import frame
from serve_app.contract import Feature, ModelSpec
from serve_app.contract.block import MISSING_CATEGORY, Block, Layout
from serve_app.contract.feature import Value

Numbers = NDArray[np.float64]
# Rows as pandas reads them from a file: the contract's own view of them.
AS_READ = PipelineCall(method="predict")


@dataclass(frozen=True)
class Table:
    """Checked rows with their `target`: (n_rows,), or (n_rows, n_outputs) with several.

    A classifier's target is the position of the class in the contract's `classes`; a binary one's
    is 1 for the positive class and 0 for the other. An anomaly score has no target: zeros. Rows of
    a recipe also have `best` (n_rows,): the score that nobody can beat.
    """

    spec: ModelSpec
    block: Block
    target: Numbers
    best: Numbers | None = None

    def __len__(self) -> int:
        return len(self.block)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The features as pandas reads them."""
        return frame(self.block, self.spec.contract, AS_READ)

    def frame_for(self, call: PipelineCall) -> pd.DataFrame:
        """The features exactly as serving shows them to a pipeline that is called so."""
        return frame(self.block, self.spec.contract, call)

    def column(self, name: str) -> NDArray[Any]:
        """(n_rows,) one feature as it stands in the block: numbers, or texts ("" for missing)."""
        return Layout(self.spec.contract).column(self.block, name)

    @property
    def labels(self) -> NDArray[Any]:
        """The target as an estimator is fitted on it, (n_rows,): a classifier's classes, or values.

        Of several outputs (n_rows, n_outputs).
        """
        spec = self.spec
        if not spec.is_classifier or (spec.classes == (0, 1) and spec.positive == 1):
            return self.target
        classes = spec.classes
        if spec.kind == "binary_classifier":
            classes = tuple(sorted(classes, key=lambda label: label == spec.positive))
        labels: NDArray[Any] = np.array(classes)[self.target.astype(int)]
        return labels

    def take(self, rows: NDArray[np.intp]) -> "Table":
        """Take the rows at these positions, (n_taken,), in this order."""
        best = None if self.best is None else self.best[rows]
        return Table(self.spec, self.block[rows], self.target[rows], best)

    def parts(self, shares: Sequence[float], seed: int) -> list["Table"]:
        """Split into disjoint random parts; `shares` sum to 1.

        A classifier's parts keep the shares of its classes.
        """
        order = np.random.default_rng(seed).permutation(len(self))
        strata = [order]
        if self.spec.is_classifier:
            n_classes = len(self.spec.classes)
            strata = [order[self.target[order] == label] for label in range(n_classes)]
        cuts = np.cumsum(shares)[:-1]
        pieces = [
            np.split(stratum, np.round(cuts * len(stratum)).astype(int)) for stratum in strata
        ]
        return [self.take(np.sort(np.concatenate(piece))) for piece in zip(*pieces, strict=True)]

    def values(self, row: int) -> dict[str, Value]:
        """Write one row as plain JSON values, None where missing."""
        return plain_row(self.block, row, self.spec.contract)

    @cached_property
    def sha256(self) -> str:
        """The digest of the rows as canonical CSV.

        It has the contract's columns, the targets last, and `\\n` at the ends of lines.
        """
        targets = self.target.reshape(len(self), -1).T
        columns = dict(zip(self.spec.targets, targets, strict=False))
        rows = self.frame.assign(**columns)
        return sha256_of(rows.to_csv(index=False, lineterminator="\n").encode())


def plain_row(block: Block, row: int, contract: tuple[Feature, ...]) -> dict[str, Value]:
    """One row of a block as it would stand in JSON."""
    layout = Layout(contract)
    return {
        feature.name: plain_value(layout.column(block, feature.name)[row], feature)
        for feature in contract
    }


def plain_value(value: Any, feature: Feature) -> Value:
    """A number or a text of a block as it would stand in JSON, None where missing."""
    if not feature.is_text:
        return plain_number(float(value), feature)
    return None if value == MISSING_CATEGORY else str(value)


def plain_number(number: float, feature: Feature) -> Value:
    """A number of a block as it would stand in JSON."""
    if np.isnan(number):
        return None
    if feature.dtype == "bool":
        return bool(number)
    if feature.dtype in ("date", "datetime"):
        time = np.datetime64(int(number), "us").astype(object)
        if feature.dtype == "date":
            time = time.date()
        return str(time.isoformat())
    return int(number) if feature.dtype == "int" else number
