"""Many small models in one file, and what a further one costs."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.contenders.sluice import base_config
from benchmarks.errors import BenchmarkError
from benchmarks.models import (
    COUNTS,
    SHORT,
    Cost,
    Plan,
    markdown,
    one_more,
    prefix_of,
    run,
    with_models,
)
from benchmarks.place import Place
from benchmarks.steady import Steady
from serve_app.commands.target import servers_of
from serve_app.settings import COORDINATOR_CPUS

QUICK = Steady(50, 500, 0, 1.0, 2.0, 3.0, 4.0, 0.0)
SLOW = Steady(50, 500, 0, 1.5, 3.0, 9.0, 20.0, 0.0)


def cost(n_models: int, memory_mb: float, idle_cores: float, ready_s: float) -> Cost:
    """What so many models cost."""
    return Cost(n_models, ready_s, memory_mb, idle_cores, QUICK, SLOW)


def test_thirty_models_have_names_and_places_of_their_own_and_fit_two_cpus(tmp_path: Path) -> None:
    """One server each: a second replica would be counted as a model's cost."""
    place = Place(tmp_path, 8_123)
    config = with_models(base_config(place, tmp_path / "store" / "churn" / "1.0.0"), max(COUNTS))
    served = servers_of(config)
    assert len({one.application for one in served}) == len({one.url for one in served}) == 30
    assert [one.url for one in served][:2] == [
        "http://127.0.0.1:8123",
        "http://127.0.0.1:8123" + prefix_of(1),
    ]
    deployments = [application["deployments"][0] for application in config["applications"]]
    assert all(one["num_replicas"] == 1 for one in deployments)
    assert not any("autoscaling_config" in one for one in deployments)
    n_cpus = sum(one["ray_actor_options"]["num_cpus"] + COORDINATOR_CPUS for one in deployments)
    assert n_cpus <= 2
    deployments[0]["user_config"]["stable"] = "other"
    assert deployments[1]["user_config"]["stable"] == "1.0.0", "each has a table of its own"


def test_one_more_model_costs_the_difference_by_model() -> None:
    """What Ray itself takes is in both, and drops out."""
    found = [cost(2, 1_400, 0.2, 12.0), cost(10, 3_000, 0.4, 20.0), cost(30, 7_000, 0.9, 68.0)]
    assert one_more(found) == pytest.approx(
        {"memory_mb": 200.0, "idle_cores": 0.025, "ready_s": 2.0}
    )
    with pytest.raises(ValueError, match="expected two numbers"):
        one_more(found[:1])


def test_the_table_has_a_row_for_each_number_and_one_for_a_further_model() -> None:
    """The page on performance takes the table over as it is printed."""
    text = markdown([cost(2, 1_400, 0.2, 12.0), cost(30, 7_000, 0.9, 68.0)])
    assert text.splitlines()[2:] == [
        "| 2 | 1,400 | 0.2 | 12 | 1 | 3 | 1.5 | 9 |",
        "| 30 | 7,000 | 0.9 | 68 | 1 | 3 | 1.5 | 9 |",
        "| one more | 200 | 0.025 | 2 | – | – | – | – |",
    ]
    assert "one more" not in markdown([cost(2, 1_400, 0.2, 12.0)])


def test_what_fails_at_thirty_keeps_what_was_measured_before(tmp_path: Path) -> None:
    """The last one takes longest and is the first to want room: the report is there before it."""

    def measured(n_models: int, plan: Plan) -> Cost:
        if n_models == 30:
            raise BenchmarkError("30 models: not all ready in 180 s")
        return cost(n_models, 700.0 * n_models, 0.1 * n_models, 6.0 * n_models)

    with pytest.raises(BenchmarkError, match="30 models"):
        run(tmp_path / "report", Console(quiet=True), COUNTS, SHORT, measured)
    kept = json.loads((tmp_path / "report" / "models.json").read_text())
    assert [one["n_models"] for one in kept] == [2, 10]
    text = (tmp_path / "report" / "models.md").read_text()
    assert "| 10 | 7,000 |" in text and "one more" in text
