"""Autoscaling by Ray Serve, in both placements: replicas follow the load within their bounds.

Ray's controller scales alike in both modes, from what replicas report; the fast mode makes that
harder to see.
"""

from typing import Any

import pytest
from harness import wait_until
from load import ROW, Load
from stage import LIMITS, SLOW, isolated, server

pytestmark = pytest.mark.real_time


def bounds(target: float) -> dict[str, Any]:
    """From one to two replicas, each for this many requests under way; quick to decide."""
    return {
        "min_replicas": 1,
        "max_replicas": 2,
        "target_ongoing_requests": target,
        "upscale_delay_s": 0.5,
        "downscale_delay_s": 2,
        "look_back_period_s": 2,
        "metrics_interval_s": 0.5,
    }


def test_replicas_follow_the_load_up_and_down_within_their_bounds(empty_stage: Any) -> None:
    """Servers scale by requests under way; an isolated version by the blocks that its servers send.
    None fails.
    """
    stage = empty_stage
    table = {"stable": SLOW, "versions": {SLOW: {"placement": "isolated"}}, "limits": LIMITS}
    auto = {"num_replicas": "auto"}
    # The model takes 0.3 s: twelve clients are under way in it however slow they are themselves.
    stage.deploy(
        server("scaled", "/scaled", stage.store, table, **auto, autoscaling_config=bounds(4)),
        isolated(SLOW, stage.store, **auto, autoscaling_config=bounds(1)),
    )
    stage.until_ready("/scaled")
    most = [0, 0]

    def counts() -> list[int]:
        watched = (("scaled", "Server"), (f"churn-{SLOW}", "Version"))
        found = [len(stage.cluster.replicas(*deployment)) for deployment in watched]
        most[:] = map(max, most, found)
        return found

    with Load(f"{stage.url}/scaled/v1/predict", 12) as load:
        wait_until(lambda: counts() == [2, 2], "replicas of both up to the upper bound")
    assert set(load.statuses) == {200}, load.statuses
    wait_until(lambda: counts() == [1, 1], "replicas of both back at the lower bound")
    assert max(most) <= 2
    stage.deploy()


def test_a_cheap_model_scales_by_its_cpu(empty_stage: Any) -> None:
    """A compiled model is scored within one step of the event loop, so Ray sees no request under
    way: the policy counts the CPU of the replicas too.
    """
    stage = empty_stage
    policy = {"policy_function": "eager_scaling:by_load_eagerly"}
    # Many rows a request, so that the server is what is busy, and not the clients of this test.
    table = {"stable": "1.0.0", "limits": LIMITS | {"max_rows": 500}}
    scaling = bounds(1_000) | {"policy": policy}
    app = server(
        "cheap", "/cheap", stage.store, table, num_replicas="auto", autoscaling_config=scaling
    )
    stage.deploy(app)
    stage.until_ready("/cheap")

    def n_replicas() -> int:
        return len(stage.cluster.replicas("cheap", "Server"))

    with Load(f"{stage.url}/cheap/v1/predict/batch", 4, [ROW] * 500) as load:
        wait_until(lambda: n_replicas() > 1, "more replicas under load")
    assert set(load.statuses) == {200}, load.statuses
    wait_until(lambda: n_replicas() == 1, "one replica again")
    stage.deploy()
