"""Rows that wait leave together: nothing waits while a call is free, and everybody gets their own
scores.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

import numpy as np
import pytest
from fakes import until
from hypothesis import given
from hypothesis import strategies as st

from serve_app.bundle.predictor import Cost
from serve_app.contract.block import Block, Scores
from serve_app.serving.coalescer import Coalescer


class Callee:
    """The version behind: notes its calls, waits while `busy`, fails for rows that are negative."""

    def __init__(self) -> None:
        self.calls: list[list[float]] = []
        self.under_way = self.most_under_way = 0
        self.idle = asyncio.Event()
        self.idle.set()

    def busy(self) -> None:
        """From now on calls wait for `free`."""
        self.idle.clear()

    def free(self) -> None:
        """All calls may go on."""
        self.idle.set()

    async def __call__(self, block: Block) -> Scores:
        """Ten times the first number of each row."""
        self.calls.append(block.numbers[:, 0].tolist())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.idle.wait()
            await asyncio.sleep(0)
            if (block.numbers < 0).any():
                raise ConnectionError("the call failed")
            return np.asarray(block.numbers[:, 0] * 10, dtype=np.float64)
        finally:
            self.under_way -= 1


def block_of(*values: float) -> Block:
    """Rows with one number each."""
    return Block(
        np.array([[value] for value in values], dtype=np.float64),
        np.empty((len(values), 0), dtype=object),
    )


def made(
    callee: Callee, max_rows: int = 64, max_in_flight: Callable[[], int] = lambda: 2
) -> Coalescer:
    """A coalescer in front of the callee."""
    return Coalescer(callee, max_rows, max_in_flight)


async def loaded(coalescer: Coalescer, *blocks: Block) -> "list[asyncio.Task[Scores]]":
    """The calls of several clients, started in this order and waiting for their scores."""
    tasks = [asyncio.create_task(coalescer.score(block)) for block in blocks]
    await asyncio.sleep(0)
    return tasks


async def test_nothing_waits_while_a_call_is_free() -> None:
    """Alone, a row leaves at once and by itself: coalescing costs no latency without load."""
    callee = Callee()
    coalescer = made(callee)
    for value in (1.0, 2.0, 3.0):
        assert (await coalescer.score(block_of(value))).tolist() == [value * 10]
        assert coalescer.waiting_rows == 0
    assert callee.calls == [[1], [2], [3]]


async def test_under_load_64_singles_leave_in_few_calls_and_get_their_own_scores() -> None:
    """The first two take the free calls, the other 62 wait and leave together; nobody gets
    another's score.
    """
    callee = Callee()
    callee.busy()
    coalescer = made(callee)
    tasks = await loaded(coalescer, *(block_of(value) for value in range(64)))
    assert coalescer.waiting_rows == 62
    callee.free()
    assert [scores.tolist() for scores in await asyncio.gather(*tasks)] == [
        [value * 10] for value in range(64)
    ]
    assert [len(call) for call in callee.calls] == [1, 1, 62]
    assert coalescer.waiting_rows == 0


async def test_rows_leave_in_the_order_in_which_they_came() -> None:
    """First come, first served, across and within calls."""
    callee = Callee()
    callee.busy()
    tasks = await loaded(made(callee, max_rows=3), *(block_of(value) for value in range(10)))
    callee.free()
    await asyncio.gather(*tasks)
    assert [value for call in callee.calls for value in call] == list(range(10))


async def test_a_call_has_at_most_max_rows_and_a_block_is_never_split() -> None:
    """Blocks are merged while they fit; one that is larger by itself goes alone."""
    callee = Callee()
    callee.busy()
    coalescer = made(callee, max_rows=4, max_in_flight=lambda: 1)
    sizes = [1, 2, 2, 3, 9, 1, 1]
    tasks = await loaded(coalescer, *(block_of(*[size] * size) for size in sizes))
    callee.free()
    assert [len(scores) for scores in await asyncio.gather(*tasks)] == sizes
    assert [len(call) for call in callee.calls] == [1, 4, 3, 9, 2]


async def test_no_more_calls_are_under_way_than_the_bound() -> None:
    """Two replicas' worth of calls means two, however many wait."""
    callee = Callee()
    tasks = await loaded(made(callee, max_rows=1), *(block_of(value) for value in range(20)))
    await asyncio.gather(*tasks)
    assert callee.most_under_way == 2
    assert len(callee.calls) == 20


async def test_more_calls_go_out_when_the_bound_grows() -> None:
    """The bound is asked again each time: when more replicas answer, more blocks are under way."""
    callee, bound = Callee(), [1]
    callee.busy()
    coalescer = made(callee, max_rows=1, max_in_flight=lambda: bound[0])
    tasks = await loaded(coalescer, *(block_of(value) for value in range(5)))
    await until(lambda: callee.under_way == 1)
    bound[0] = 3
    tasks += await loaded(coalescer, block_of(5))
    await until(lambda: callee.under_way == 3)
    callee.free()
    await asyncio.gather(*tasks)
    assert callee.most_under_way == 3


async def test_a_failing_call_fails_its_own_callers_only() -> None:
    """Those who travelled with the failing call get its error; those before and after get their
    scores.
    """
    callee = Callee()
    callee.busy()
    tasks = await loaded(
        made(callee, max_rows=2, max_in_flight=lambda: 1),
        *(block_of(value) for value in (1, 2, -3, 4, 5)),
    )
    callee.free()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert callee.calls == [[1], [2, -3], [4, 5]]
    assert [type(one) for one in found[1:3]] == [ConnectionError, ConnectionError]
    assert [found[index].tolist() for index in (0, 3, 4)] == [[10], [40], [50]]


async def test_a_caller_that_gives_up_while_waiting_is_left_out() -> None:
    """Its rows are not scored for nobody, and those around it get their own scores."""
    callee = Callee()
    callee.busy()
    coalescer = made(callee, max_in_flight=lambda: 1)
    tasks = await loaded(coalescer, *(block_of(value) for value in range(5)))
    tasks[2].cancel()
    await asyncio.sleep(0)
    callee.free()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[2], asyncio.CancelledError)
    assert [found[index].tolist() for index in (0, 1, 3, 4)] == [[0], [10], [30], [40]]
    assert callee.calls == [[0], [1, 3, 4]]
    assert coalescer.waiting_rows == 0


async def test_a_caller_that_gives_up_on_the_way_does_not_hurt_the_others() -> None:
    """The call that holds its rows goes on for those who travel with it."""
    callee = Callee()
    callee.busy()
    coalescer = made(callee, max_in_flight=lambda: 1)
    tasks = await loaded(coalescer, *(block_of(value) for value in range(4)))
    await until(lambda: callee.under_way == 1)
    callee.free()  # lets the first call go and stops the second
    callee.busy()
    await until(lambda: len(callee.calls) == 2)
    assert coalescer.waiting_rows == 0
    tasks[1].cancel()
    await asyncio.sleep(0)
    callee.free()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert callee.calls == [[0], [1, 2, 3]]
    assert isinstance(found[1], asyncio.CancelledError)
    assert [found[index].tolist() for index in (0, 2, 3)] == [[0], [20], [30]]


async def test_when_all_that_wait_have_gone_no_call_is_made() -> None:
    """An empty block would be a call for nothing, and nothing is left behind to be counted."""
    callee = Callee()
    callee.busy()
    coalescer = made(callee, max_in_flight=lambda: 1)
    first, *others = await loaded(coalescer, *(block_of(value) for value in range(4)))
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    callee.free()
    await first
    assert (await coalescer.score(block_of(9))).tolist() == [90]
    assert callee.calls == [[0], [9]]
    assert coalescer.waiting_rows == 0


async def test_waiting_rows_counts_rows_that_have_not_left() -> None:
    """What the metrics export: rows, not blocks, and not those under way."""
    callee = Callee()
    callee.busy()
    coalescer = made(callee, max_rows=10, max_in_flight=lambda: 1)
    tasks = await loaded(coalescer, block_of(1, 2), block_of(3, 4, 5), block_of(6))
    assert coalescer.waiting_rows == 4
    callee.free()
    await asyncio.gather(*tasks)
    assert coalescer.waiting_rows == 0


async def test_rows_would_wait_only_while_no_call_is_free() -> None:
    """Those under way are no queue: a version that is idle, or has one call under way, takes more
    at once. What waits is told in time, which is what overload is judged by.
    """
    callee = Callee()
    callee.busy()
    coalescer = Coalescer(callee, 64, lambda: 2, Cost(call_ms=20.0, row_ms=20.0))
    tasks = await loaded(coalescer, block_of(*range(50)))
    assert coalescer.wait_s() == 0
    tasks += await loaded(coalescer, block_of(1))
    assert coalescer.wait_s() == 0
    tasks += await loaded(coalescer, block_of(1, 2, 3))
    assert coalescer.wait_s() == pytest.approx(0.06)
    callee.free()
    await asyncio.gather(*tasks)
    assert coalescer.wait_s() == 0


async def test_a_call_that_is_cancelled_answers_its_callers() -> None:
    """Nobody waits for ever for a call that was ended from outside, and the next one goes out."""

    async def cancelled_once(block: Block) -> Scores:
        if not calls:
            calls.append(block)
            raise asyncio.CancelledError
        return block.numbers[:, 0]

    calls: list[Block] = []
    coalescer = Coalescer(cancelled_once, 8, lambda: 1)
    with pytest.raises(ConnectionError):
        await coalescer.score(block_of(1))
    assert (await coalescer.score(block_of(2))).tolist() == [2]


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=40),
    max_rows=st.integers(1, 16),
    bound=st.integers(1, 4),
    gone=st.sets(st.integers(0, 39)),
)
def test_whatever_the_sizes_everybody_gets_their_own_scores(
    sizes: list[int], max_rows: int, bound: int, gone: set[int]
) -> None:
    """Random blocks, bounds and callers that give up: the rest get their scores, within both
    bounds.
    """

    async def run() -> None:
        callee = Callee()
        callee.busy()
        coalescer = made(callee, max_rows, lambda: bound)
        starts = np.cumsum([0, *sizes]).tolist()
        blocks = [
            block_of(*range(start, start + size))
            for start, size in zip(starts, sizes, strict=False)
        ]
        tasks = await loaded(coalescer, *blocks)
        assert coalescer.waiting_rows == sum(sizes[bound:])
        for index in gone & set(range(len(sizes))):
            tasks[index].cancel()
        await asyncio.sleep(0)
        callee.free()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        for index, (start, size) in enumerate(zip(starts, sizes, strict=False)):
            if index in gone:
                assert isinstance(found[index], asyncio.CancelledError)
            else:
                assert found[index].tolist() == [10 * value for value in range(start, start + size)]
        assert callee.most_under_way <= bound
        assert all(len(call) <= max(max_rows, max(sizes)) for call in callee.calls)
        assert coalescer.waiting_rows == 0

    asyncio.run(run())


class SteppedCallee:
    """A version whose calls wait until the test ends each, well or not."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[float], asyncio.Future[None]]] = []

    @property
    def under_way(self) -> list[asyncio.Future[None]]:
        """The calls that have not ended."""
        return [ended for _, ended in self.calls if not ended.done()]

    async def __call__(self, block: Block) -> Scores:
        """Ten times the first number of each row."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.calls.append((block.numbers[:, 0].tolist(), ended))
        await ended
        return np.asarray(block.numbers[:, 0] * 10, dtype=np.float64)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["arrives", "arrives", "leaves", "works", "fails"]), st.integers(0, 9)
    ),
    max_size=40,
)


@given(events=EVENTS, max_rows=st.integers(1, 8), bound=st.integers(1, 3))
def test_in_any_order_of_events_every_caller_has_one_outcome(
    events: list[tuple[str, int]], max_rows: int, bound: int
) -> None:
    """Callers arrive and leave and calls end, well or not, in any order: each caller gets its own
    scores, the error of the call it travelled with, or nothing since it left; no row travels twice,
    and calls keep to their bounds.
    """

    async def run() -> None:
        callee = SteppedCallee()
        coalescer = Coalescer(callee, max_rows, lambda: bound)
        clients: list[tuple[list[float], asyncio.Task[Scores]]] = []
        left: set[int] = set()
        n_rows = 0
        for kind, n in [*events, *[("works", 0)] * 50]:
            if kind == "arrives":
                values = [float(n_rows + i) for i in range(n % 4 + 1)]
                n_rows += len(values)
                clients += [(values, asyncio.create_task(coalescer.score(block_of(*values))))]
            elif kind == "leaves" and clients:
                left.add(n % len(clients))
                clients[n % len(clients)][1].cancel()
            elif callee.under_way:
                ended = callee.under_way[n % len(callee.under_way)]
                if kind == "works":
                    ended.set_result(None)
                elif kind == "fails":
                    ended.set_exception(ConnectionError("the call failed"))
            for _ in range(4):
                await asyncio.sleep(0)
            assert len(callee.under_way) <= bound
        travelled = [value for call, _ in callee.calls for value in call]
        assert len(travelled) == len(set(travelled))
        assert all(len(call) <= max(max_rows, 4) for call, _ in callee.calls)
        assert coalescer.waiting_rows == 0
        failed = [call for call, ended in callee.calls if ended.exception() is not None]
        outcomes = await asyncio.gather(*(task for _, task in clients), return_exceptions=True)
        for i, ((values, _), outcome) in enumerate(zip(clients, outcomes, strict=True)):
            if isinstance(outcome, asyncio.CancelledError):
                assert i in left
            elif isinstance(outcome, ConnectionError):
                assert any(set(values) <= set(call) for call in failed)
            else:
                assert not isinstance(outcome, BaseException)
                assert outcome.tolist() == [10 * value for value in values]

    asyncio.run(run())


async def test_a_call_does_not_run_in_the_context_of_one_of_its_clients() -> None:
    """Ray cancels what a request started when the request is cancelled; a call carries rows of
    others too.
    """
    client: ContextVar[str] = ContextVar("client", default="nobody")
    seen: list[str] = []

    async def send(block: Block) -> Scores:
        seen.append(client.get())
        await asyncio.sleep(0.01)
        return block.numbers[:, 0]

    coalescer = Coalescer(send, 8, lambda: 1)

    async def ask(name: str) -> None:
        client.set(name)
        await coalescer.score(block_of(1.0))

    await asyncio.gather(*(ask(name) for name in "abc"))
    assert set(seen) == {"nobody"}
