"""Many small models in one file, and what a further one costs."""

from pathlib import Path

import pytest

from benchmarks.contenders.sluice import base_config
from benchmarks.models import COUNTS, Cost, markdown, one_more, prefix_of, with_models
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
