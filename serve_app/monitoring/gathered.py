"""Answers wait here until there are some, and are counted together, by the version that answered.

A row alone costs a hundred times what it does among others.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from serve_app.contract.block import Block, Scores
from serve_app.serving.answer import Answered
from serve_app.serving.member import Opened
from serve_app.serving.versions import Versions

# So much is counted in one go: half a millisecond.
STEP_CELLS = 5_000
LEAST_ROWS = 64

# A version, and rows that it answered.
Part = tuple[str, Block, Scores]


class BlockCounter(Protocol):
    """Counts rows that a version answered."""

    def count(self, opened: Opened, block: Block, scores: Scores) -> None:
        """Add rows with their scores, (n_rows,) or (n_rows, n_outputs)."""


class Gathered:
    """An observer of answers that hands them on to the `counters`, some at a time.

    Of a large block each turn of the event loop counts a piece. What a version answered that has
    left the table meanwhile is passed over.
    """

    def __init__(self, n_fields: int, versions: Versions, counters: Sequence[BlockCounter]) -> None:
        self._versions = versions
        self._counters = tuple(counters)
        self._step_rows = max(LEAST_ROWS, STEP_CELLS // n_fields)
        self._waiting: deque[Part] = deque()
        self._n_waiting = 0
        self._is_counting = False

    def heard(self, answered: Answered) -> None:
        """Keep the rows of an answer until they are counted."""
        block = answered.block
        scores = answered.scores
        if block is None or scores is None:
            return
        self._waiting.append((answered.version, block, scores))
        self._n_waiting += len(scores)
        if self._n_waiting >= self._step_rows and not self._is_counting:
            self._count_by_turns()

    def count(self) -> None:
        """Count what waits, however little it is; at most so many rows as one step has."""
        step: dict[str, list[Part]] = {}
        n_rows = 0
        while self._waiting and n_rows < self._step_rows:
            version, block, scores = self._waiting.popleft()
            n_room = self._step_rows - n_rows
            if len(scores) > n_room:
                self._waiting.appendleft((version, block[n_room:], scores[n_room:]))
                block = block[:n_room]
                scores = scores[:n_room]
            n_rows += len(scores)
            step.setdefault(version, []).append((version, block, scores))
        self._n_waiting -= n_rows
        for version, parts in step.items():
            self._hand_on(version, parts)

    def _count_by_turns(self) -> None:
        self._is_counting = False
        self.count()
        if self._n_waiting >= self._step_rows:
            self._is_counting = True
            asyncio.get_running_loop().call_soon(self._count_by_turns)

    def _hand_on(self, version: str, parts: Sequence[Part]) -> None:
        opened = self._versions.ready(version)
        if opened is None:
            return
        block = Block.concat([block for _, block, _ in parts])
        scores = np.concatenate([scores for *_, scores in parts])
        for counter in self._counters:
            counter.count(opened, block, scores)
