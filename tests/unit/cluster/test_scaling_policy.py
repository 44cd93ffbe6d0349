"""The autoscaling policy: by requests under way or by CPU, whichever asks for more."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from serve_app.scaling import BUSY, SCALE_OUT_BUSY, WISHED, BusyMeter, by_load, by_share


def context(n_requests: float, busy_cores: dict[str, float] | None, target: float = 16) -> Any:
    """What Ray tells a policy, as far as ours reads it."""
    metrics = None if busy_cores is None else {BUSY: busy_cores}
    config = SimpleNamespace(get_target_ongoing_requests=lambda: target)
    return SimpleNamespace(total_num_requests=n_requests, aggregated_metrics=metrics, config=config)


@pytest.mark.parametrize(
    ("n_requests", "busy_cores", "expected"),
    [
        (0, None, 0),
        (0, {}, 0),
        (32, {"a": 0.0}, 2),
        (0, {"a": 0.9}, 0.9 / SCALE_OUT_BUSY),
        (0, {"a": 0.6, "b": 0.6}, 1.2 / SCALE_OUT_BUSY),
        (160, {"a": 0.6, "b": 0.6}, 10),
    ],
)
def test_the_larger_of_both_loads_is_wanted(
    n_requests: float, busy_cores: Any, expected: float
) -> None:
    """Requests against the target, cores in use against SCALE_OUT_BUSY; before the first report only requests count."""
    wanted, state = by_load(context(n_requests, busy_cores))
    assert wanted == pytest.approx(expected)
    assert state == {}


@pytest.mark.parametrize(
    ("n_requests", "wished", "expected"),
    [
        (0, None, 0),
        (5, None, 4),
        (0, {"a": 3.0, "b": 0.0}, 3),
        (5, {"a": 3.0}, 4),
        (5, {"a": 8.0}, 8),
    ],
)
def test_an_isolated_version_gets_the_replicas_that_its_next_share_needs(
    n_requests: float, wished: Any, expected: float
) -> None:
    """One replica heard the wish; blocks under way may want more."""
    told = context(n_requests, None, target=1.25)
    told.aggregated_metrics = None if wished is None else {WISHED: wished}
    assert by_share(told) == (pytest.approx(expected), {})


def test_the_meter_tells_work_from_waiting() -> None:
    """A process that computes uses most of a core, one that sleeps next to nothing; each reading starts anew."""
    meter = BusyMeter()
    until_s = time.process_time() + 0.1
    while time.process_time() < until_s:
        pass
    worked = meter.read()
    time.sleep(0.1)
    assert worked > 0.1 > meter.read() >= 0
