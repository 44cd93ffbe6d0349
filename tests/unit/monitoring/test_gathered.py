"""Answers are counted together, by version and a piece at a time; no row is lost."""

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drifting import answered, frozen, opened, rows_of_orders
from every_kind import VALUE

from serve_app.contract.block import Block, Scores
from serve_app.monitoring.gathered import Gathered
from serve_app.serving.answer import Answered, Assignment
from serve_app.serving.member import Opened

MANIFEST = frozen(VALUE)


class Told:
    """Keeps what it is given to count."""

    def __init__(self) -> None:
        self.versions: list[str] = []
        self.blocks: list[Block] = []
        self.scores: list[Scores] = []

    def count(self, opened: Opened, block: Block, scores: Scores) -> None:
        """Keep it."""
        self.versions.append(opened.manifest.version)
        self.blocks.append(block)
        self.scores.append(scores)

    @property
    def n_rows(self) -> int:
        """How many rows it has."""
        return sum(len(block) for block in self.blocks)


def gathered_for(*told: Told) -> Gathered:
    """What gathers for them, in a server that holds version 1.0.0."""
    held = opened(MANIFEST)
    versions: Any = SimpleNamespace(ready=lambda name: held if name == "1.0.0" else None)
    return Gathered(len(VALUE.contract), versions, told)


async def test_many_single_rows_are_counted_like_one_block() -> None:
    """In the order in which they came, by everybody who counts."""
    rows = rows_of_orders(1_300, 3)
    whole = answered(VALUE, rows)
    assert whole.block is not None
    assert whole.scores is not None
    told, other = Told(), Told()
    gathered = gathered_for(told, other)
    for i in range(len(rows)):
        one = answered(VALUE, [rows[i]])
        one.scores = whole.scores[i : i + 1]
        gathered.heard(one)
    gathered.count()
    assert len(told.blocks) < 10
    assert set(told.versions) == {"1.0.0"}
    assert (np.concatenate(told.scores) == whole.scores).all()
    found = Block.concat(told.blocks)
    assert np.array_equal(found.numbers, whole.block.numbers, equal_nan=True)
    assert (found.categories == whole.block.categories).all()
    assert other.n_rows == 1_300


@pytest.mark.parametrize("n_rows", [5_000, 12_340])
async def test_of_a_large_block_each_turn_counts_a_piece_and_no_row_is_lost(n_rows: int) -> None:
    """Others are answered between two pieces."""
    told = Told()
    gathered = gathered_for(told)
    gathered.heard(answered(VALUE, rows_of_orders(10, 1) * (n_rows // 10)))
    gathered.heard(answered(VALUE, rows_of_orders(7, 2)))
    assert 0 < told.n_rows < n_rows
    for _ in range(n_rows):
        await asyncio.sleep(0)
        if told.n_rows >= n_rows:
            break
    gathered.count()
    assert told.n_rows == n_rows + 7


def test_who_got_no_answer_is_not_counted() -> None:
    """Nobody knows what would have been answered."""
    told = Told()
    gathered = gathered_for(told)
    gathered.heard(Answered([], "key", Assignment("1.0.0")))
    gathered.count()
    assert told.n_rows == 0


def test_a_version_that_left_is_passed_over() -> None:
    """What it was is known no more; those of the others are counted."""
    told = Told()
    gathered = gathered_for(told)
    gone = answered(VALUE, rows_of_orders(3, 1))
    gone.version = "0.9.0"
    gathered.heard(gone)
    gathered.heard(answered(VALUE, rows_of_orders(2, 1)))
    gathered.count()
    assert told.n_rows == 2
