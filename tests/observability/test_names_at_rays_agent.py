"""Names and series as Ray's own agent gives them to Prometheus, without a cluster."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from observed import OF_RAY

from serve_app.cluster.declared_metrics import DECLARED

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported
    import ray

# In a process of its own: an agent's metrics are registered for the whole process.
AGENT = """
import sys
from prometheus_client import REGISTRY, generate_latest
from ray._private.telemetry.open_telemetry_metric_recorder import OpenTelemetryMetricRecorder

recorder = OpenTelemetryMetricRecorder()
for word in sys.argv[1:]:
    kind, name, *tags = word.split(",")
    getattr(recorder, f"register_{kind}_metric")(name, "help")
    recorder.set_metric_value(name, dict.fromkeys(tags, "x"), 2.0)
recorder.register_counter_metric("flood", "help")
for n in range(2_100):
    recorder.set_metric_value("flood", {"version": f"1.0.{n}"}, 1.0)
print(generate_latest(REGISTRY).decode())
"""


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """What Prometheus reads at an agent that was told all declared metrics, and a flood."""
    words = [",".join((metric.kind, metric.name, "model", *metric.tags)) for metric in DECLARED]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AGENT, *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_each_declared_metric_has_its_name_and_labels_at_rays_agent(lines: list[str]) -> None:
    """Prefix, ending, and `le` on a counter: what rules and dashboard rely on."""
    for metric in DECLARED:
        [line] = [line for line in lines if line.startswith(f"{metric.exported_name}{{")]
        for tag in ("model", *metric.tags):
            assert f'{tag}="x"' in line, line
        assert line.endswith(" 2.0")


def test_beyond_two_thousand_series_of_a_node_rays_agent_drops_their_labels(
    lines: list[str],
) -> None:
    """Why a process has a tenth of them: what is merged is of no version any more."""
    flood = [line for line in lines if line.startswith("ray_flood_total{")]
    assert len(flood) <= 2_001
    [overflow] = [line for line in flood if 'otel_metric_overflow=""' not in line]
    assert ',version=""' in overflow.replace("{", ",")
    assert float(overflow.split()[-1]) >= 100


def test_what_the_dashboard_shows_of_ray_stands_in_ray() -> None:
    """A name that a newer Ray has given up would be an empty graph."""
    folder = Path(ray.__file__).parent
    text = "".join(
        path.read_text()
        for part in ("serve/_private", "dashboard/modules/reporter")
        for path in sorted((folder / part).glob("*.py"))
    )
    for name in OF_RAY:
        assert f'"{name.removeprefix("ray_")}"' in text, name
