"""A version in this process: what it holds is let go when it is closed, and not before its calls
have ended.
"""

import asyncio
import gc
import threading
import warnings
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes import until
from replica_context import be_a_replica

from serve_app.bundle.predictor import Cost
from serve_app.contract.block import Block, Scores
from serve_app.errors import DeadlineExceeded, NotReady
from serve_app.settings import Batch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported

    from serve_app.cluster.placements import InServerVersion

NAME = "9.8.7-placements"


@pytest.fixture(autouse=True)
def _in_a_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else of @serve.batch needs Ray to run."""
    be_a_replica(monkeypatch)


class Slow:
    """A predictor that is expensive, and answers when it may."""

    def __init__(self) -> None:
        self.manifest = SimpleNamespace(version=NAME)
        self.cost = Cost(call_ms=5.0, row_ms=0.0)
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.n_calls = 0

    def score(self, block: Block) -> Scores:
        """(n_rows,) ten times the first number of each row."""
        self.n_calls += 1
        assert self.may_answer.wait(30)
        return 10 * block.numbers[:, 0]


def block_of(*values: float) -> Block:
    """Rows of one number."""
    return Block(np.array([[value] for value in values]), np.empty((len(values), 0), dtype=object))


def threads() -> list[str]:
    """The threads of the version that still live."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(NAME)]


def batch_tasks() -> list[Any]:
    """The tasks of @serve.batch that still wait for items."""
    return [task for task in asyncio.all_tasks() if "_process_batches" in repr(task.get_coro())]


def placed(predictor: Slow, coalesce: Any = "always") -> InServerVersion:
    """The version in this process."""
    return InServerVersion(predictor, coalesce, Batch(wait_ms=0.0))  # type: ignore[arg-type]


@pytest.mark.parametrize("coalesce", ["always", "never"])
async def test_a_closed_version_leaves_no_thread_and_no_batch_queue(coalesce: str) -> None:
    """Each edit of a table would leave them otherwise, with the model behind them."""
    version = placed(Slow(), coalesce)
    assert (await version.score(block_of(1, 2), 30)).tolist() == [10, 20]
    assert len(threads()) == 1
    assert len(batch_tasks()) == (1 if coalesce == "always" else 0)
    version.close()
    await until(lambda: not threads() and not batch_tasks(), 30)
    version.close()
    with pytest.raises(NotReady, match="has left the table"):
        await version.score(block_of(1), 30)


async def test_a_version_that_was_never_asked_can_be_closed() -> None:
    """There is neither a thread nor a queue yet, and closing makes none."""
    placed(Slow()).close()
    await asyncio.sleep(0)
    assert not threads()
    assert not batch_tasks()


async def test_calls_under_way_are_answered_before_a_version_lets_go() -> None:
    """Closing ends nobody's request: the last one to leave switches off the light."""
    slow = Slow()
    slow.may_answer.clear()
    version = placed(slow)
    first = asyncio.ensure_future(version.score(block_of(1), 30))
    await until(lambda: slow.n_calls == 1, 30)
    second = asyncio.ensure_future(version.score(block_of(2), 30))
    await asyncio.sleep(0)
    version.close()
    with pytest.raises(NotReady):
        await version.score(block_of(3), 30)
    slow.may_answer.set()
    assert (await first).tolist() == [10]
    assert (await second).tolist() == [20]
    await until(lambda: not threads() and not batch_tasks(), 30)


async def test_a_call_that_gave_up_does_not_keep_a_version_open() -> None:
    """The model may never answer; the thread ends when it does, the queue at once."""
    slow = Slow()
    slow.may_answer.clear()
    version = placed(slow)
    with pytest.raises(DeadlineExceeded):
        await version.score(block_of(1), 0.05)
    version.close()
    await until(lambda: not batch_tasks(), 30)
    slow.may_answer.set()
    await until(lambda: not threads(), 30)


async def test_a_closed_version_lets_go_of_its_model() -> None:
    """Also where the version itself is still held, as by a cycle that Ray has frozen."""
    slow = Slow()
    version = placed(slow)
    await version.score(block_of(1), 30)
    model = weakref.ref(slow)
    del slow
    version.close()
    await until(lambda: not threads(), 30)
    gc.collect()
    assert model() is None


@pytest.mark.parametrize("coalesce", ["always", "never"])
async def test_further_requests_would_wait_for_those_that_wait_and_not_for_the_one_under_way(
    coalesce: str,
) -> None:
    """A request alone may take as long as it likes; from the second on there is a queue, which
    those who leave it leave for good.
    """
    slow = Slow()
    slow.cost = Cost(call_ms=50.0, row_ms=50.0)
    slow.may_answer.clear()
    version = placed(slow, coalesce)
    assert version.wait_s(1) == 0
    first = asyncio.ensure_future(version.score(block_of(1, 2, 3), 30))
    await until(lambda: slow.n_calls == 1, 30)
    assert version.wait_s(1) == 0
    second = asyncio.ensure_future(version.score(block_of(4, 5), 30))
    await asyncio.sleep(0)
    assert version.wait_s(1) == pytest.approx(0.1)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert version.wait_s(1) == 0
    slow.may_answer.set()
    assert (await first).tolist() == [10, 20, 30]
    assert version.wait_s(1) == 0
    version.close()
    await until(lambda: not threads() and not batch_tasks(), 30)


async def test_what_is_scored_on_the_spot_waits_for_no_block_in_the_thread() -> None:
    """Only blocks that stay long leave the event loop; small ones need not queue behind them."""
    slow = Slow()
    slow.cost = Cost(call_ms=1.0, row_ms=1.0)
    slow.may_answer.clear()
    version = placed(slow, "never")
    large = [asyncio.ensure_future(version.score(block_of(*range(300)), 30)) for _ in range(3)]
    await until(lambda: slow.n_calls == 1, 30)
    assert version.wait_s(3) == pytest.approx(0.6)
    assert version.wait_s(1) == 0
    slow.may_answer.set()
    assert (await version.score(block_of(7), 30)).tolist() == [70]
    await asyncio.gather(*large)
    version.close()


def test_a_batch_queue_that_is_collected_late_makes_no_event_loop() -> None:
    """Nobody would close it, and a test that has nothing to do with it would fail for that.

    `pytest_collection_finish` in tests/conftest.py sees to it.
    """

    async def asked() -> None:
        version = placed(Slow())
        assert (await version.score(block_of(1), 30)).tolist() == [10]

    asyncio.run(asked())
    gc.collect()
    with pytest.raises(RuntimeError, match="no current event loop"):
        asyncio.get_event_loop()
