"""Arrivals in virtual time at a version whose calls take time: who is refused, and how long the
others wait.
"""

import random
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from replica_context import be_a_replica

from benchmarks.simulator.loop import VirtualLoop, running_loop
from serve_app.bundle.predictor import Cost
from serve_app.contract.block import Block, Scores
from serve_app.errors import DeadlineExceeded
from serve_app.serving.member import Scorer
from serve_app.settings import Batch, Limits

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported

    from serve_app.cluster.placements import InServerVersion, IsolatedVersion

SEED = 7
MAX_WAIT_S = Limits().max_wait_ms / 1000
DEADLINE_S = Limits().deadline_ms / 1000
MAX_ROWS = 64
BY_ROW = Cost(call_ms=10.0, row_ms=10.0)
BY_CALL = Cost(call_ms=80.0, row_ms=0.0)
MOST_P99_S = 0.5


class Replicas:
    """A handle of replicas that score one block after the other; each call goes to the idlest."""

    def __init__(self, cost: Cost, n_replicas: int) -> None:
        self.score = self
        self._cost = cost
        self._free_at_s = [0.0] * n_replicas

    def remote(self, block: Block) -> Any:
        """The name of the replica and the scores, in virtual time."""
        loop = running_loop()
        i = self._free_at_s.index(min(self._free_at_s))
        begin_s = max(self._free_at_s[i], loop.time())
        self._free_at_s[i] = begin_s + self._cost.of_rows(len(block)) / 1000
        answer = loop.create_future()
        # A call that its caller cancelled is scored all the same.
        loop.call_at(self._free_at_s[i] + 0.001, _settle, answer, (str(i), scores_of(block)))
        return answer

    def stop(self, seconds: float) -> None:
        """All of them stand still for so long."""
        now_s = running_loop().time()
        self._free_at_s = [max(at_s, now_s) + seconds for at_s in self._free_at_s]


def _settle(answer: Any, found: Any) -> None:
    if not answer.done():
        answer.set_result(found)


def scores_of(block: Block) -> Scores:
    """A score for each row."""
    return np.zeros(len(block))


class Predictor:
    """A model in this process, whose calls take virtual time."""

    def __init__(self, cost: Cost) -> None:
        self.manifest = SimpleNamespace(version="1.0.0")
        self.cost = cost

    def score(self, block: Block) -> Scores:
        """(n_rows,) scores."""
        running_loop().spend(self.cost.of_rows(len(block)) / 1000)
        return scores_of(block)


def isolated(cost: Cost, n_replicas: int) -> IsolatedVersion:
    """An isolated version with so many replicas."""
    return IsolatedVersion(Replicas(cost, n_replicas), MAX_ROWS, lambda: DEADLINE_S, cost)


def in_server(cost: Cost, coalesce: Any) -> InServerVersion:
    """A version in this process, of which calls leave the loop."""
    return InServerVersion(Predictor(cost), coalesce, Batch(max_rows=MAX_ROWS))  # type: ignore[arg-type]


class OneThreadLoop(VirtualLoop):
    """A loop whose executor does one thing after the other, as that of a version does."""

    def __init__(self) -> None:
        super().__init__()
        self._given: deque[tuple[Any, ...]] = deque()
        self._is_busy = False

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """When the thread is free."""
        answer = self.create_future()
        self._given.append((answer, func, *args))
        self._next()
        return answer

    def _next(self) -> None:
        while self._given and not self._is_busy:
            answer, func, *args = self._given.popleft()
            # What was cancelled before the thread came to it is never done.
            if not answer.done():
                self._is_busy = True
                super().run_in_executor(None, func, *args).add_done_callback(
                    partial(self._ended, answer)
                )

    def _ended(self, answer: Any, done: Any) -> None:
        self._is_busy = False
        _settle(answer, done.result())
        self._next()


@dataclass
class Seen:
    """What clients saw: seconds from request to answer by the time of the request, and the times of
    those that were refused.
    """

    n_late: int = 0
    n_rows: int = 0
    answered: list[tuple[float, float]] = field(default_factory=list)
    refused_at_s: list[float] = field(default_factory=list)

    @property
    def p99_s(self) -> float:
        """Of what was accepted."""
        return float(np.percentile([seconds for _, seconds in self.answered], 99))

    @property
    def refused_share(self) -> float:
        """Of all requests."""
        n_refused = len(self.refused_at_s)
        return n_refused / (n_refused + len(self.answered) + self.n_late)


class Clients:
    """Requests at random times, each refused at once or waited for, as the router does it."""

    def __init__(self, version: Scorer, loop: VirtualLoop) -> None:
        self.seen = Seen()
        self._version = version
        self._loop = loop
        self._rng = random.Random(SEED)
        self._tasks: set[Any] = set()

    def ask(self, n_rows: int) -> None:
        """One request now."""
        task = self._loop.create_task(self._asked(n_rows))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def ask_until(self, end_s: float, requests_per_s: float, n_rows: int = 1) -> None:
        """Requests at random times (Poisson) from now on."""
        if self._loop.time() >= end_s:
            return
        self.ask(n_rows)
        pause_s = self._rng.expovariate(requests_per_s)
        self._loop.call_later(pause_s, self.ask_until, end_s, requests_per_s, n_rows)

    async def _asked(self, n_rows: int) -> None:
        seen = self.seen
        begin_s = self._loop.time()
        if self._version.wait_s(n_rows) > MAX_WAIT_S:
            seen.refused_at_s.append(begin_s)
            return
        block = Block(np.zeros((n_rows, 1)), np.empty((n_rows, 0), dtype=object))
        try:
            await self._version.score(block, DEADLINE_S)
        except DeadlineExceeded:
            seen.n_late += 1
            return
        seen.answered.append((begin_s, self._loop.time() - begin_s))
        seen.n_rows += n_rows


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> VirtualLoop:
    """A loop whose time is virtual, also for @serve.batch."""
    be_a_replica(monkeypatch)
    virtual = OneThreadLoop()
    # A little fast: what it waits for must be over when it looks again.
    clock = SimpleNamespace(time=lambda: 1.000001 * virtual.time())
    monkeypatch.setattr("ray.serve.batching.time", clock)
    return virtual


def rows_per_s(cost: Cost, max_rows: int = MAX_ROWS) -> float:
    """What one replica scores in full calls."""
    return 1000 * max_rows / cost.of_rows(max_rows)


@pytest.mark.parametrize("n_replicas", [1, 2, 4])
@pytest.mark.parametrize(
    ("cost", "n_rows"), [(BY_ROW, 1), (BY_CALL, 16), (Cost(call_ms=2.0, row_ms=1.0), 32)]
)
def test_at_three_times_its_capacity_an_isolated_version_answers_a_third_in_time(
    loop: VirtualLoop, cost: Cost, n_rows: int, n_replicas: int
) -> None:
    """For a minute of one replica's work, single rows and batches: what is accepted keeps its p99,
    the rest is refused at once, nothing runs into its deadline, and refusing costs no capacity.
    """
    capacity = n_replicas * rows_per_s(cost)
    clients = Clients(isolated(cost, n_replicas), loop)
    end_s = 60.0 / n_replicas
    clients.ask_until(end_s, 3 * capacity / n_rows, n_rows)
    loop.run_until(end_s + 5)
    seen = clients.seen
    assert seen.p99_s < MOST_P99_S
    assert seen.n_late == 0
    assert seen.n_rows >= 0.9 * end_s * capacity
    assert seen.refused_share < 0.71


@pytest.mark.parametrize(
    ("coalesce", "cost", "n_rows"),
    [("always", BY_ROW, 1), ("always", BY_CALL, 8), ("never", BY_ROW, 1), ("never", BY_CALL, 8)],
)
def test_so_does_one_in_the_server_whose_calls_leave_the_loop(
    loop: VirtualLoop, coalesce: str, cost: Cost, n_rows: int
) -> None:
    """There rows wait in a batch queue, or for the one thread of the version."""
    capacity = rows_per_s(cost, MAX_ROWS if coalesce == "always" else n_rows)
    clients = Clients(in_server(cost, coalesce), loop)
    clients.ask_until(20.0, 3 * capacity / n_rows, n_rows)
    loop.run_until(25.0)
    seen = clients.seen
    assert seen.p99_s < MOST_P99_S
    assert seen.n_late == 0
    assert seen.n_rows >= 0.9 * 20 * capacity


@pytest.mark.parametrize(
    ("cost", "n_rows", "n_replicas", "most_percent"),
    [(BY_ROW, 1, 1, 3.0), (BY_ROW, 1, 2, 1.5), (BY_ROW, 1, 4, 0.5), (BY_CALL, 8, 1, 2.0)],
)
def test_just_below_its_capacity_hardly_anybody_is_refused(
    loop: VirtualLoop, cost: Cost, n_rows: int, n_replicas: int, most_percent: float
) -> None:
    """At nine tenths of it, random arrivals alone make queues: those of one replica are longest."""
    capacity = n_replicas * rows_per_s(cost)
    clients = Clients(isolated(cost, n_replicas), loop)
    end_s = 60.0 / n_replicas
    clients.ask_until(end_s, 0.9 * capacity / n_rows, n_rows)
    loop.run_until(end_s + 5)
    assert 100 * clients.seen.refused_share <= most_percent
    assert clients.seen.p99_s < MOST_P99_S


@pytest.mark.parametrize("call_ms", [80.0, 300.0, 1_500.0])
@pytest.mark.parametrize("make", [lambda cost: isolated(cost, 1), lambda c: in_server(c, "always")])
def test_however_long_a_call_takes_nobody_is_refused_for_one_under_way(
    loop: VirtualLoop, make: Callable[[Cost], Scorer], call_ms: float
) -> None:
    """The wait before a call counts, and not the call: an idle version takes every request, and one
    with a call under way as many as the next call holds.
    """
    version = make(Cost(call_ms=call_ms, row_ms=0.0))
    clients = Clients(version, loop)
    clients.ask(1)
    loop.run_until(0.01)
    assert version.wait_s(1) == 0
    for _ in range(MAX_ROWS - 4):
        clients.ask(1)
    loop.run_until(10.0)
    assert clients.seen.refused_at_s == []
    assert version.wait_s(1) == 0


def test_everybody_at_once_at_a_version_that_was_idle_is_refused_but_for_what_it_can_do(
    loop: VirtualLoop,
) -> None:
    """Nothing has been measured yet then: what the proof found stands for it."""
    clients = Clients(isolated(BY_ROW, 1), loop)
    for _ in range(400):
        clients.ask(1)
    loop.run_until(5.0)
    seen = clients.seen
    assert 10 <= len(seen.answered) <= 30
    assert max(seconds for _, seconds in seen.answered) < MOST_P99_S


@pytest.mark.parametrize("n_replicas", [1, 4])
def test_a_stall_of_a_second_is_over_when_it_is_over(loop: VirtualLoop, n_replicas: int) -> None:
    """Who comes while all replicas stand still is refused, but for the first; 300 ms later nobody
    is.
    """
    replicas = Replicas(BY_ROW, n_replicas)
    version = IsolatedVersion(replicas, MAX_ROWS, lambda: DEADLINE_S, BY_ROW)
    clients = Clients(version, loop)
    clients.ask_until(8.0, 0.5 * n_replicas * rows_per_s(BY_ROW))
    loop.call_at(4.0, replicas.stop, 1.0)
    loop.run_until(12.0)
    seen = clients.seen
    assert seen.n_late == 0
    assert seen.refused_at_s
    assert min(seen.refused_at_s) >= 4.0
    assert max(seen.refused_at_s) < 5.3
    after = [seconds for begin_s, seconds in seen.answered if begin_s > 5.3]
    assert len(after) > 50
    assert max(after) < MOST_P99_S


def test_whose_replicas_do_not_answer_refuses_at_once_and_takes_the_first_when_they_do(
    loop: VirtualLoop,
) -> None:
    """A stopped process is seen by a full queue within 100 ms of work; calls end at the deadline,
    and when those that were given up have been worked off, so do the refusals.
    """
    replicas = Replicas(BY_ROW, 1)
    version = IsolatedVersion(replicas, MAX_ROWS, lambda: DEADLINE_S, BY_ROW)
    clients = Clients(version, loop)
    loop.call_at(0.5, replicas.stop, 10.0)
    clients.ask_until(15.0, 50.0)
    loop.run_until(20.0)
    seen = clients.seen
    assert len(seen.refused_at_s) > 5 * seen.n_late
    assert max(seen.refused_at_s) < 12.0
    assert sum(begin_s > 12.0 for begin_s, _ in seen.answered) > 100
