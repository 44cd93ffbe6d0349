"""Autoscaling by Ray Serve, in both placements: replicas follow the load within their bounds."""

from typing import Any

import pytest
from harness import wait_until
from load import ROW, Load
from stage import SCALED, isolated, server

BOUNDS = {
    "min_replicas": 1,
    "max_replicas": 3,
    "upscale_delay_s": 0.5,
    "downscale_delay_s": 2,
    "look_back_period_s": 2,
    "metrics_interval_s": 0.5,
}


def test_replicas_follow_the_load_up_and_down_within_their_bounds(stage: Any) -> None:
    """Servers scale by requests under way; an isolated version by the blocks that its servers send. None fails."""
    _only_in_the_fast_mode(stage)
    options: dict[str, Any] = {"num_replicas": "auto"}
    # The deadline is not what is tested: replicas that start take the cores from the one that answers.
    limits = {"deadline_ms": 10_000}
    apart = {"stable": SCALED, "versions": {SCALED: {"placement": "isolated"}}, "limits": limits}
    stage.deploy(
        server(
            "scaled",
            "/scaled",
            stage.store,
            {"stable": SCALED},
            **options,
            autoscaling_config=_bounds(4),
        ),
        isolated(SCALED, stage.store, **options, autoscaling_config=_bounds(1)),
        server("front", "/front", stage.store, apart),
    )
    stage.until_ready("/scaled")
    stage.until_ready("/front")
    watched = (("scaled", "Server"), (f"churn-{SCALED}", "Version"))
    most = dict.fromkeys(watched, 0)

    def counts() -> list[int]:
        found = [len(stage.cluster.replicas(*deployment)) for deployment in watched]
        most.update({key: max(most[key], n) for key, n in zip(watched, found, strict=True)})
        return found

    with (
        Load(f"{stage.url}/scaled/v1/predict", 12) as held,
        Load(f"{stage.url}/front/v1/predict", 12) as apart_load,
    ):
        wait_until(lambda: all(n > 1 for n in counts()), 60, "more replicas under load")
        wait_until(lambda: counts() == [3, 3], 60, "replicas of both up to the upper bound")
    assert set(held.statuses) == set(apart_load.statuses) == {200}, (
        held.statuses,
        apart_load.statuses,
    )
    wait_until(lambda: counts() == [1, 1], 60, "replicas back at the lower bound")
    assert max(most.values()) <= 3
    stage.deploy()


def test_a_cheap_model_scales_by_its_cpu(stage: Any) -> None:
    """A compiled model is scored within one step of the event loop, so Ray sees no request under way: the policy of
    serve_config.yaml counts the CPU of the replicas too."""
    _only_in_the_fast_mode(stage)
    policy = {"policy_function": "serve_app.scaling:by_load"}
    bounds = _bounds(1_000) | {"policy": policy}
    # Many rows a request, so that the server is what is busy on two cores, and not the clients of this test.
    table = {"stable": "1.0.0", "limits": {"max_rows": 500, "deadline_ms": 10_000}}
    stage.deploy(
        server(
            "cheap", "/cheap", stage.store, table, num_replicas="auto", autoscaling_config=bounds
        )
    )
    stage.until_ready("/cheap")
    with Load(f"{stage.url}/cheap/v1/predict/batch", 8, [ROW] * 500) as load:
        wait_until(
            lambda: len(stage.cluster.replicas("cheap", "Server")) > 1,
            60,
            "more replicas under load",
        )
    assert set(load.statuses) == {200}, load.statuses
    wait_until(lambda: len(stage.cluster.replicas("cheap", "Server")) == 1, 60, "one replica again")
    stage.deploy()


def _only_in_the_fast_mode(stage: Any) -> None:
    """Ray's controller scales alike in both, from what replicas report; the fast mode makes that harder to see."""
    if stage.cluster.mode == "plain":
        pytest.skip("the fast mode has it")


def _bounds(target: float) -> dict[str, Any]:
    return {**BOUNDS, "target_ongoing_requests": target}
