"""A server's end of drift: the rows and scores of answers are counted, and reported each second."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from serve_app.contract import Feature
from serve_app.contract.block import Block, Scores
from serve_app.monitoring.drift_bins import PLACES, Counts, DriftBins
from serve_app.serving.member import Opened

# In place of a manifest: rows that broke the contract, so that no version was asked; and all rows
# that were answered, whatever version did, also one that has no bins or is gone by now.
REFUSED = "refused"
ANSWERED = "answered"


@dataclass(frozen=True)
class DriftCounts:
    """What was counted of one version since the last report.

    `counts` belong to the bins of the manifest with this digest, as `drift_bins.PLACES` laid them
    out.
    """

    version: str
    manifest_sha256: str
    n_rows: int
    counts: Counts
    places: int = PLACES


class DriftCounter:
    """Counts rows by the version that answered; a part of the report.

    `n_refused` is how many rows were refused since the start.
    """

    name = "drift"

    def __init__(
        self, contract: Sequence[Feature], n_refused: Callable[[], int] = lambda: 0
    ) -> None:
        self._contract = tuple(contract)
        self._n_refused = n_refused
        self._n_refused_before = 0
        self._n_answered = 0
        # By the digest of the manifest.
        self._bins: dict[str, DriftBins] = {}
        self._counted: dict[str, DriftCounts] = {}

    def count(self, opened: Opened, block: Block, scores: Scores) -> None:
        """Add rows of a version, and their scores."""
        self._n_answered += len(block)
        digest = opened.manifest_sha256
        bins = self._bins.get(digest)
        if bins is None:
            bins = self._bins[digest] = DriftBins(opened.manifest, self._contract)
        if not bins.size:
            return
        counts = bins.count(block, scores)
        before = self._counted.get(digest)
        n_rows = len(block)
        if before is not None:
            counts += before.counts
            n_rows += before.n_rows
        self._counted[digest] = DriftCounts(opened.manifest.version, digest, n_rows, counts)

    def take(self) -> list[DriftCounts]:
        """What was counted since the last report: of each version, then of all together."""
        taken = list(self._counted.values())
        self._counted = {}
        if self._n_answered:
            taken.append(_of_no_version(ANSWERED, self._n_answered))
            self._n_answered = 0
        n_refused = self._n_refused()
        if n_refused > self._n_refused_before:
            taken.append(_of_no_version(REFUSED, n_refused - self._n_refused_before))
            self._n_refused_before = n_refused
        return taken

    def follow(self, told: None) -> None:
        """Nothing is told."""

    async def alone(self, seconds: float) -> None:
        """Go on counting: the next report that arrives has it all."""


def _of_no_version(what: str, n_rows: int) -> DriftCounts:
    return DriftCounts("", what, n_rows, np.zeros(0, dtype=np.int64))
