"""The candidate scores rows of stable's traffic too, after the answer has gone.

Rows are dropped while the candidate is busy.
"""

import asyncio
import logging
from collections import deque
from contextvars import Context
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from serve_app.contract.block import Block, Scores
from serve_app.errors import DeadlineExceeded, NotReady, Overloaded
from serve_app.rollout.phase_counter import PhaseCounter

logger = logging.getLogger(__name__)

MOST_WAITING_ROWS = 512
MOST_ROWS_A_CALL = 64
# Answers go first, and rows that come meanwhile share the call.
GATHER_S = 0.005


class Scorer(Protocol):
    """The candidate, wherever it runs."""

    async def score(self, block: Block, deadline_s: float) -> Scores:
        """(n_rows,) or (n_rows, n_outputs) scores, NaN where a row failed."""


@dataclass(frozen=True)
class _Waiting:
    phase: PhaseCounter
    candidate: Scorer
    key: str
    block: Block
    scores: Scores
    deadline_s: float


class Shadow:
    """One call at a time: shadowing takes from the candidate no more than one client would."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._n_rows = 0
        self._task: asyncio.Task[None] | None = None

    def offer(
        self,
        phase: PhaseCounter,
        candidate: Scorer,
        key: str,
        block: Block,
        scores: Scores,
        deadline_s: float,
    ) -> None:
        """Take a request that stable answered, and return at once.

        `scores` are its (n_rows,), or (n_rows, n_outputs); the candidate has `deadline_s` for
        its own.
        """
        if self._n_rows + len(block) > MOST_WAITING_ROWS:
            phase.drop(len(block))
            return
        self._n_rows += len(block)
        self._waiting.append(_Waiting(phase, candidate, key, block, scores, deadline_s))
        if self._task is None:
            # In no client's context: Ray would cancel it with that client's request.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    @property
    def is_busy(self) -> bool:
        """Whether rows wait, or are with the candidate."""
        return self._task is not None

    async def _run(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(GATHER_S)
                await self._score(self._take())
        finally:
            self._task = None

    def _take(self) -> list[_Waiting]:
        """The oldest requests that belong to one phase, up to MOST_ROWS_A_CALL (at least one)."""
        taken: list[_Waiting] = []
        n_rows = 0
        while self._waiting and (not taken or self._goes_with(taken[0], n_rows)):
            taken.append(self._waiting.popleft())
            n_rows += len(taken[-1].block)
        self._n_rows -= n_rows
        return taken

    def _goes_with(self, first: _Waiting, n_rows: int) -> bool:
        other = self._waiting[0]
        same = other.phase is first.phase and other.candidate is first.candidate
        return same and n_rows + len(other.block) <= MOST_ROWS_A_CALL

    async def _score(self, taken: list[_Waiting]) -> None:
        block = Block.concat([one.block for one in taken])
        stable = np.concatenate([one.scores for one in taken])
        first = taken[0]
        try:
            scores = await first.candidate.score(block, first.deadline_s)
        except (DeadlineExceeded, NotReady, Overloaded):
            first.phase.miss(len(taken))
            return
        except Exception:
            logger.exception("the candidate failed in shadow")
            scores = np.full_like(stable, np.nan)
        ends = np.cumsum([len(one.block) for one in taken]).tolist()
        first.phase.compare([one.key for one in taken], ends, block, stable, scores)
