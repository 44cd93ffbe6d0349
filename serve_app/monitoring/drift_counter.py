"""A server's end of drift: each answer's rows and scores are counted, and reported each second."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from serve_app.contract import Feature
from serve_app.contract.block import Block, Scores
from serve_app.monitoring.drift_bins import PLACES, Counts, DriftBins
from serve_app.serving.answer import Answered
from serve_app.serving.versions import Versions

# So much is counted in one go: half a millisecond.
STEP_CELLS = 5_000
LEAST_ROWS = 64
# In place of a manifest: rows that broke the contract, so that no version was asked.
REFUSED = "refused"


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


class _Waiting(NamedTuple):
    version: str
    block: Block
    scores: Scores


class DriftCounter:
    """Counts the rows of all answers by the version that answered.

    It is an observer of answers and a part of the report. Blocks are only kept when they come, and
    counted together once there are some: a row alone costs a hundred times what it does among
    others. Of a large block each turn of the event loop counts a piece. `n_refused` is how many
    rows were refused since the start.
    """

    name = "drift"

    def __init__(
        self,
        contract: Sequence[Feature],
        versions: Versions,
        n_refused: Callable[[], int] = lambda: 0,
    ) -> None:
        self._contract = tuple(contract)
        self._n_refused = n_refused
        self._n_refused_before = 0
        self._versions = versions
        self._step_rows = max(LEAST_ROWS, STEP_CELLS // len(self._contract))
        self._waiting: deque[_Waiting] = deque()
        self._n_waiting = 0
        self._is_counting = False
        # By the digest of the manifest.
        self._bins: dict[str, DriftBins] = {}
        self._counted: dict[str, DriftCounts] = {}

    def heard(self, answered: Answered) -> None:
        """Keep the rows of an answer until they are counted."""
        block = answered.block
        scores = answered.scores
        if block is None or scores is None:
            return
        self._waiting.append(_Waiting(answered.version, block, scores))
        self._n_waiting += len(block)
        if self._n_waiting >= self._step_rows and not self._is_counting:
            self._count_more()

    def take(self) -> list[DriftCounts]:
        """What was counted of each version since the last report."""
        self._count_step()
        taken = list(self._counted.values())
        self._counted = {}
        n_refused = self._n_refused()
        if n_refused > self._n_refused_before:
            none = np.zeros(0, dtype=np.int64)
            taken.append(DriftCounts("", REFUSED, n_refused - self._n_refused_before, none))
            self._n_refused_before = n_refused
        return taken

    def follow(self, told: None) -> None:
        """Nothing is told."""

    async def alone(self, seconds: float) -> None:
        """Go on counting: the next report that arrives has it all."""

    def _count_more(self) -> None:
        self._is_counting = False
        self._count_step()
        if self._n_waiting >= self._step_rows:
            self._is_counting = True
            asyncio.get_running_loop().call_soon(self._count_more)

    def _count_step(self) -> None:
        """Count what waits, at most `_step_rows` of it."""
        step: dict[str, list[_Waiting]] = {}
        n_rows = 0
        while self._waiting and n_rows < self._step_rows:
            one = self._waiting.popleft()
            n_room = self._step_rows - n_rows
            if len(one.block) > n_room:
                rest = _Waiting(one.version, one.block[n_room:], one.scores[n_room:])
                self._waiting.appendleft(rest)
                one = _Waiting(one.version, one.block[:n_room], one.scores[:n_room])
            n_rows += len(one.block)
            step.setdefault(one.version, []).append(one)
        self._n_waiting -= n_rows
        for version, parts in step.items():
            self._count(version, parts)

    def _count(self, version: str, parts: Sequence[_Waiting]) -> None:
        opened = self._versions.ready(version)
        if opened is None:
            # It left the table meanwhile.
            return
        digest = opened.manifest_sha256
        bins = self._bins.get(digest)
        if bins is None:
            bins = self._bins[digest] = DriftBins(opened.manifest, self._contract)
        if not bins.size:
            return
        block = Block.concat([part.block for part in parts])
        scores = np.concatenate([part.scores for part in parts])
        counts = bins.count(block, scores)
        before = self._counted.get(digest)
        n_rows = len(block)
        if before is not None:
            counts += before.counts
            n_rows += before.n_rows
        self._counted[digest] = DriftCounts(version, digest, n_rows, counts)
