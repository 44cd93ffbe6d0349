"""The autoscaling policy follows requests under way or CPU, whichever asks for more."""

from types import SimpleNamespace
from typing import Any

import pytest

from serve_app.scaling import BUSY, SCALE_OUT_BUSY, WISHED, BusyMeter, by_load, by_share


def context(n_requests: float, busy_cores: dict[str, float] | None, target: float = 16) -> Any:
    """Return what Ray tells a policy, as far as ours reads it."""
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
    """Requests are compared with the target, and cores in use with SCALE_OUT_BUSY.

    Before the first report only requests count.
    """
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
    """One replica heard the wish, and blocks under way may ask for more."""
    wishes = context(n_requests, None, target=1.25)
    if wished is not None:
        wishes.aggregated_metrics = {WISHED: wished}
    assert by_share(wishes) == (pytest.approx(expected), {})


def test_the_meter_tells_work_from_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that computes for half of the time uses half of a core, and one that waits none.

    Each reading starts again from where the last one ended.
    """
    clock = SimpleNamespace(wall_s=100.0, cpu_s=7.0)
    times = SimpleNamespace(monotonic=lambda: clock.wall_s, process_time=lambda: clock.cpu_s)
    monkeypatch.setattr("serve_app.scaling.time", times)
    meter = BusyMeter()
    clock.wall_s += 4
    clock.cpu_s += 2
    assert meter.read() == pytest.approx(0.5)
    clock.wall_s += 4
    assert meter.read() == 0
    assert meter.read() == 0, "no time has passed"
