"""Shadow is never in the way of an answer, is bounded, and tells what it dropped."""

import asyncio
from typing import Any

import numpy as np
import pytest
from every_kind import CLASSIFIER, EXAMPLE, order_manifest
from fakes import FakeScorer, until
from watching import SPEC, phase_counter, table

from serve_app.contract.block import Block, Layout, Scores
from serve_app.errors import DeadlineExceeded, NotReady
from serve_app.rollout.phase_counter import PhaseCounter
from serve_app.rollout.shadow import MOST_ROWS_A_CALL, MOST_WAITING_ROWS, Shadow


def rows(n: int = 1) -> Block:
    """Return n valid rows as one block."""
    return Layout(SPEC.contract).block([SPEC.examples[0].row.model_dump()] * n)


def scores(n: int = 1, value: float = 0.4) -> Scores:
    """Return what stable answered to n rows."""
    return np.full(n, value)


async def test_rows_that_wait_share_a_call_and_every_key_is_a_pair() -> None:
    """Thirty requests one after the other cost one call."""
    shadow = Shadow()
    counter = phase_counter()
    candidate = FakeScorer(lambda _: 0.6)
    for n in range(30):
        shadow.offer(counter, candidate, f"k{n}", rows(), scores(), 1.0)
    assert candidate.blocks == [], "nothing is scored before the answers have gone"
    await until(lambda: candidate.blocks)
    await asyncio.sleep(0.02)
    assert [len(block) for block in candidate.blocks] == [30]
    found = counter.take().shadowed
    assert len(found.pairs) == 30
    assert all(found.pairs.values())


async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    """A candidate that hangs holds one call; the rest waits up to the bound."""
    shadow = Shadow()
    counter = phase_counter()
    candidate = FakeScorer(lambda _: 0.4, delay_s=60)
    for n in range(MOST_WAITING_ROWS + 7):
        shadow.offer(counter, candidate, f"k{n}", rows(), scores(), 1.0)
    assert counter.take().shadowed.n_dropped == 7
    n_rows = MOST_WAITING_ROWS + 1
    shadow.offer(counter, candidate, "large", rows(n_rows), scores(n_rows), 1.0)
    assert counter.take().shadowed.n_dropped == n_rows
    await asyncio.sleep(0.1)
    assert len(candidate.blocks) == 1, "one call at a time"
    assert len(candidate.blocks[0]) <= MOST_ROWS_A_CALL


async def pairs_after(error: Exception) -> Any:
    """Return what is counted when the candidate fails on one request and answers the next."""
    shadow = Shadow()
    counter = phase_counter()
    candidate = FakeScorer(lambda _: 0.4, error)
    shadow.offer(counter, candidate, "a", rows(), scores(), 1.0)
    await until(lambda: candidate.blocks)
    await until(lambda: not shadow.is_busy)
    candidate.error = None
    shadow.offer(counter, candidate, "b", rows(), scores(), 1.0)
    await until(lambda: len(candidate.blocks) == 2)
    await until(lambda: not shadow.is_busy)
    return counter.take().shadowed


async def test_a_candidate_that_raises_disagrees() -> None:
    """In a canary it would have had no answer either; the next rows are scored again."""
    found = await pairs_after(RuntimeError("broken"))
    assert list(found.pairs.values()) == [True, False]


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), NotReady("gone")])
async def test_a_call_that_comes_too_late_is_no_disagreement(error: Exception) -> None:
    """A process that stops for a second, or is replaced, says nothing about the model."""
    found = await pairs_after(error)
    assert list(found.pairs.values()) == [False]
    assert (found.n_missed, found.n_requests) == (1, 1)


async def test_a_full_queue_neither_keeps_shadow_from_the_candidate_nor_counts_against_it() -> None:
    """Who is refused for a queue is a client that would wait; shadow waits for nothing."""
    shadow = Shadow()
    counter = phase_counter()
    candidate = FakeScorer(lambda _: 0.4)
    candidate.waits_s = 60.0
    shadow.offer(counter, candidate, "a", rows(), scores(), 1.0)
    await until(lambda: candidate.blocks and not shadow.is_busy)
    found = counter.take().shadowed
    assert list(found.pairs.values()) == [False]
    assert (found.n_missed, found.n_dropped) == (0, 0)


async def test_rows_of_two_phases_are_not_mixed() -> None:
    """Each row counts for the phase in which it was answered."""
    shadow = Shadow()
    first = phase_counter()
    second = phase_counter("other")
    candidate = FakeScorer(lambda _: 0.6)
    shadow.offer(first, candidate, "a", rows(), scores(), 1.0)
    shadow.offer(second, candidate, "b", rows(2), scores(2), 1.0)
    await until(lambda: len(candidate.blocks) == 2)
    await asyncio.sleep(0.01)
    assert first.take().shadowed.whole.n_rows == 1
    assert second.take().shadowed.whole.n_rows == 2


async def test_a_candidate_of_classes_that_fails_disagrees_too() -> None:
    """No answer has the shape of an answer: one missing probability for each class."""
    plan = table().rollout
    assert plan is not None
    counter = PhaseCounter(
        CLASSIFIER, plan, ("run", 1), order_manifest(CLASSIFIER, [[0.1, 0.2, 0.7]])
    )
    block = Layout(CLASSIFIER.contract).block([EXAMPLE.row.model_dump()] * 2)
    stable = np.array([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]])
    candidate = FakeScorer(lambda _: 0.4, RuntimeError("broken"))
    shadow = Shadow()
    shadow.offer(counter, candidate, "a", block, stable, 1.0)
    await until(lambda: candidate.blocks)
    await until(lambda: not shadow.is_busy)
    found = counter.take().shadowed
    assert (found.whole.n_rows, found.whole.n_disagree, found.agreement.n_rows) == (2, 2, 0)
