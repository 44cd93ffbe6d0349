"""The arithmetic of `sluice size`, by hand and against simulated queues."""

import warnings
from bisect import bisect_right
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.commands.size.replicas import FAST_MODE, Work, load, most_rate, size
from serve_app.errors import SettingsError
from serve_app.scaling import PLANNED_BUSY
from serve_app.settings import Table

with warnings.catch_warnings():
    # Ray's own models warn when they are imported.
    warnings.simplefilter("ignore")
    from serve_app.commands.size.measure import Measured
    from serve_app.commands.size.servers import work_of

CHEAP = Work(own_ms=0.3)
EXPENSIVE = Work(own_ms=0.5, call_ms=12, wait_ms=2, most_per_call=100)
TABLE = Table.model_validate({"stable": "1.0.0"})
N_REQUESTS = 60_000

works = st.builds(
    Work,
    own_ms=st.floats(0.05, 20),
    call_ms=st.just(0.0) | st.floats(1, 40),
    wait_ms=st.just(0.0) | st.floats(0, 10),
    most_per_call=st.integers(1, 256),
)
rates = st.floats(0.1, 20_000)
objectives = st.floats(300, 5_000)


def test_a_cheap_model_by_hand() -> None:
    """3,333 × 0.3 ms is one CPU: two half busy replicas carry it, and a third may be lost."""
    found = size(CHEAP, rate=3_333, p95_ms=200)
    assert (found.min_replicas, found.max_replicas) == (2, 3)
    assert found.at_peak.cpus == pytest.approx(3_333 / 3 * 0.3e-3)
    assert found.with_one_lost.cpus == pytest.approx(3_333 / 2 * 0.3e-3)
    assert found.with_one_lost.p95_ms == pytest.approx(2.9957 * 0.3 / (1 - 0.49995), rel=1e-4)
    # 0.49995 in use, at most 70 % busy: 0.714, rounded up.
    assert found.num_cpus == 0.8


def test_an_expensive_model_by_hand() -> None:
    """Calls take 14 ms for at most 100 requests, so a request's own are 0.5 ms and 0.14 ms."""
    found = size(EXPENSIVE, rate=800, p95_ms=42)
    assert found.max_replicas == 3
    busy = 0.4 * 0.64
    two_calls_ms = 2 * (14 - 0.14)
    assert found.with_one_lost.p95_ms == pytest.approx(
        (two_calls_ms + 2.9957 * 0.64) / (1 - busy), rel=1e-4
    )
    assert found.with_one_lost.mean_ms == pytest.approx((0.75 * two_calls_ms + 0.64) / (1 - busy))
    # A fifth is its requests' own, and in what is left calls follow one another: 12 of 14 ms.
    assert found.with_one_lost.cpus == pytest.approx(0.2 + 0.8 * 12 / 14)
    assert found.num_cpus == 1.0


def test_calls_that_would_be_full_cost_replicas() -> None:
    """Where two requests may share a call, a replica takes two at most in the time of a call."""
    few = Work(own_ms=0.5, call_ms=12, wait_ms=2, most_per_call=2)
    assert most_rate(few, 1_000) == pytest.approx(PLANNED_BUSY * 1_000 * 2 / (14 + 2 * 0.5))
    # 93 requests a second each, and one more.
    assert size(few, 400, 1_000).max_replicas == 6


def test_autoscaling_aims_at_the_replicas_that_were_computed() -> None:
    """Ray wants requests under way ÷ target: by Little's law these at the peak, fewer below it."""
    found = size(CHEAP, rate=30_000, p95_ms=200)
    n = found.max_replicas
    response_s = 0.3e-3 / (1 - 30_000 / n * 0.3e-3)
    assert found.target_ongoing_requests == pytest.approx(30_000 / n * response_s, rel=0.05)
    half = load(CHEAP, 15_000 / n).under_way * n / found.target_ongoing_requests
    assert 0.2 * n < half < 0.6 * n


@given(works, rates, rates, objectives)
def test_a_higher_rate_never_takes_fewer_replicas(
    work: Work, one: float, other: float, p95_ms: float
) -> None:
    """Nor does one replica at the higher rate answer sooner."""
    low, high = sorted((one, other))
    assert size(work, low, p95_ms).max_replicas <= size(work, high, p95_ms).max_replicas


@given(works, rates, objectives, objectives)
def test_a_tighter_objective_never_takes_fewer_replicas(
    work: Work, rate: float, one: float, other: float
) -> None:
    """Asking for answers in less time can only cost more."""
    tight, loose = sorted((one, other))
    assert size(work, rate, tight).max_replicas >= size(work, rate, loose).max_replicas


@given(works, rates, objectives)
def test_what_is_left_when_one_is_lost_keeps_to_everything(
    work: Work, rate: float, p95_ms: float
) -> None:
    """With one lost the rest is busy for 70 % at most and in time; with two lost it is not."""
    found = size(work, rate, p95_ms)
    n_left = found.max_replicas - 1
    assert found.with_one_lost.p95_ms <= p95_ms * (1 + 1e-6)
    assert rate / n_left * work.own_ms / 1000 <= PLANNED_BUSY * (1 + 1e-6)
    assert found.at_peak.cpus <= found.with_one_lost.cpus + 1e-6 <= 1 + 2e-6
    assert 0.1 <= found.num_cpus <= 1
    assert found.with_one_lost.cpus <= found.num_cpus + 1e-6
    if n_left > 1:
        assert rate / (n_left - 1) > most_rate(work, p95_ms)


def simulated_ms(work: Work, rate: float, own_ms: np.ndarray) -> np.ndarray:
    """Response times of a replica whose requests come at random.

    What waits when a call begins goes into it together. `own_ms`: (n_requests,) what each costs.
    """
    n_requests = len(own_ms)
    rng = np.random.default_rng(4711)
    come_ms = np.cumsum(rng.exponential(1000 / rate, n_requests))
    # The sum of what the requests before each one cost, so that a call is one difference.
    before_ms = np.concatenate(([0.0], np.cumsum(own_ms))).tolist()
    come = come_ms.tolist()
    shared_ms = work.call_ms + work.wait_ms
    ends_ms: list[float] = []
    shares: list[int] = []
    free_ms = 0.0
    first = 0
    while first < n_requests:
        begin_ms = max(free_ms, come[first])
        most = min(n_requests, first + work.most_per_call)
        end = max(first + 1, bisect_right(come, begin_ms, first, most))
        free_ms = begin_ms + shared_ms + before_ms[end] - before_ms[first]
        ends_ms.append(free_ms)
        shares.append(end - first)
        first = end
    return np.repeat(ends_ms, shares) - come_ms


@pytest.mark.parametrize("busy", [0.1, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("shape", ["alike", "varied", "exponential"])
def test_a_simulated_queue_keeps_the_promise(shape: str, busy: float) -> None:
    """p95 is never above the promise, however requests differ; exponential ones reach it."""
    rng = np.random.default_rng(1)
    own_ms = {
        "alike": np.full(N_REQUESTS, 0.3),
        "varied": rng.gamma(2, 0.15, N_REQUESTS),
        "exponential": rng.exponential(0.3, N_REQUESTS),
    }[shape]
    promise = load(CHEAP, busy / 0.3e-3)
    times = simulated_ms(CHEAP, busy / 0.3e-3, own_ms)
    share = float(np.percentile(times, 95)) / promise.p95_ms
    assert share <= 1.05
    assert times.mean() <= 1.05 * promise.mean_ms
    assert share >= {"alike": 0.4, "varied": 0.65, "exponential": 0.95}[shape]


@pytest.mark.parametrize("busy", [0.1, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("most_per_call", [1, 2, 20, 100])
@pytest.mark.parametrize(("call_ms", "own_ms"), [(32, 0.35), (32, 2), (3, 0.35), (3, 5)])
def test_simulated_calls_keep_the_promise(
    call_ms: float, own_ms: float, most_per_call: int, busy: float
) -> None:
    """Where requests share calls, p95 and mean are never above the promise, nor far below it."""
    work = Work(own_ms, call_ms, most_per_call=most_per_call)
    rate = busy / PLANNED_BUSY * most_rate(work, 1e9)
    promise = load(work, rate)
    times = simulated_ms(work, rate, np.full(N_REQUESTS, own_ms))
    assert 0.3 <= np.percentile(times, 95) / promise.p95_ms <= 1
    assert 0.3 <= times.mean() / promise.mean_ms <= 1


@pytest.mark.parametrize(
    ("work", "p95_ms", "said"),
    [
        (
            Work(own_ms=90),
            200,
            "expected more than 270, however many replicas there are: a request alone takes 90 ms",
        ),
        (
            EXPENSIVE,
            25,
            "expected more than 29.6, however many replicas there are: "
            "a model call takes 12 ms after 2 ms",
        ),
        (CHEAP, 0, "--p95-ms: found 0, expected a number above 0"),
        (CHEAP, float("nan"), "--p95-ms: found nan, expected a number above 0"),
    ],
)
def test_an_objective_out_of_reach_is_said_in_words(work: Work, p95_ms: float, said: str) -> None:
    """More replicas do not make a call shorter: what was asked, what is possible, and why."""
    with pytest.raises(SettingsError, match="--p95-ms: found") as raised:
        size(work, 100, p95_ms)
    assert said in str(raised.value)


def test_the_work_of_an_expensive_model_is_its_call_and_what_each_request_adds() -> None:
    """The call is shared; routes, rows and what Ray adds are each request's own.

    The batch and the queue limit how many share a call.
    """
    found = Measured(
        "1.0.0", 10, app_ms=1, model_ms=13, call_ms=12.1, row_ms=0.1, coalesces=True, memory_mb=1
    )
    work = work_of(found, FAST_MODE, TABLE, max_ongoing_requests=40)
    assert work.own_ms == pytest.approx(FAST_MODE.replica_ms + FAST_MODE.batch_ms + 1 + 10 * 0.1)
    assert (work.call_ms, work.wait_ms) == (pytest.approx(12), 2)
    # Of 40 under way half waits; and 256 rows go into a call, which are 25 requests.
    assert work.most_per_call == 20
    many = work_of(found, FAST_MODE, TABLE, max_ongoing_requests=1_000)
    assert many.most_per_call == 25
    long = work_of(replace(found, n_rows=600), FAST_MODE, TABLE, max_ongoing_requests=40)
    assert long.most_per_call == 1
    # It takes three calls, all its own.
    assert long.own_ms == pytest.approx(work.own_ms + 590 * 0.1 + 2 * 12)
