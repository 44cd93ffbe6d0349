"""What was counted reaches Ray once, under names and labels that are declared and bounded."""

import itertools
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from serve_app.cluster.declared_metrics import DECLARED, MOST_SERIES, Metric
from serve_app.statistics.histogram import EDGES_S

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported
    from serve_app.cluster.metrics import OTHER, OURS, Exporter, Instrument, Series

# Of which a process ends and another begins on the same node, and all count.
N_PROCESSES = 8
# By which the agent of a node loses labels: the limit of the OpenTelemetry SDK in it.
RAYS_MOST_SERIES = 2_000


class Told(NamedTuple):
    """One call of an instrument."""

    name: str
    value: float
    tags: dict[str, str]


class Ray:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def make(self, metric: Metric[Any]) -> Instrument:
        """Stands in for a counter or gauge of Ray's."""

        def tell(value: float, tags: dict[str, str]) -> None:
            self.told.append(Told(metric.name, value, tags))

        return tell

    def take(self) -> list[Told]:
        """What it was told since."""
        found = self.told
        self.told = []
        return found


def counter(read: Callable[[Any], Any], *tags: str, most: int = MOST_SERIES) -> Metric[Any]:
    """A counter with these labels."""
    return Metric("sluice_things", "counter", tags, "things", read, most)


def test_of_a_counter_only_what_is_new_is_told_and_of_a_gauge_how_it_is() -> None:
    """A second look at the same numbers adds nothing."""
    counts = {("1.0.0",): 3}
    gauge: Metric[Any] = Metric("sluice_now", "gauge", (), "now", lambda source: {(): 7.0})
    ray = Ray()
    exporter = Exporter(
        "churn", [counter(lambda source: source, "version"), gauge], counts, ray.make
    )
    exporter.export()
    of_first = {"model": "churn", "version": "1.0.0"}
    now = Told("sluice_now", 7.0, {"model": "churn"})
    assert ray.take() == [Told("sluice_things", 3, of_first), now]
    exporter.export()
    assert ray.take() == [now]
    counts[("1.0.0",)] = 5
    counts[("1.1.0",)] = 1
    exporter.export()
    assert [(one.value, one.tags.get("version")) for one in ray.take()[:2]] == [
        (2, "1.0.0"),
        (1, "1.1.0"),
    ]


def test_a_flood_of_versions_fields_and_reasons_falls_into_other_and_nothing_is_lost() -> None:
    """However many there are, the series of a metric stay as many as declared."""
    counts = {(f"field {n}", f"reason {n % 97}"): 1 for n in range(10_000)}
    ray = Ray()
    exporter = Exporter(
        "churn", [counter(lambda source: source, "field", "reason")], counts, ray.make
    )
    for n in range(10):
        counts |= {(f"field {10_000 * n + k}", "again"): 1 for k in range(1_000)}
        exporter.export()
    told = ray.take()
    series = {tuple(one.tags.values()) for one in told}
    assert len(series) == MOST_SERIES + 1
    assert ("churn", OTHER, OTHER) in series
    assert sum(one.value for one in told) == len(counts)


def test_labels_that_are_ours_stay_in_other() -> None:
    """Else a histogram of the versions beyond the bound would have no bins."""
    series = Series(("version", "le"), 2)
    assert series.of(("1.0.0", "0.05")) == ("1.0.0", "0.05")
    assert series.of(("1.0.0", "+Inf")) == ("1.0.0", "+Inf")
    assert series.of(("1.1.0", "0.05")) == (OTHER, "0.05")
    assert series.of(("1.0.0", "0.05")) == ("1.0.0", "0.05"), "who is in stays in"


def test_gauges_that_share_a_series_show_the_largest() -> None:
    """The worst one is what an alert is for."""
    found = {(f"field {n}",): float(n) for n in range(5)}
    gauge: Metric[Any] = Metric("sluice_psi", "gauge", ("field",), "", lambda source: source, 2)
    ray = Ray()
    Exporter("churn", [gauge], found, ray.make).export()
    assert {one.tags["field"]: one.value for one in ray.take()} == {
        "field 0": 0.0,
        "field 1": 1.0,
        OTHER: 4.0,
    }


def test_a_metric_that_cannot_be_read_leaves_the_others_alone_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once a second a traceback would fill the disk."""

    def broken(source: Any) -> Any:
        raise ValueError("broken")

    ray = Ray()
    good = counter(lambda source: {(): next(source)})
    exporter = Exporter("churn", [counter(broken), good], itertools.count(1), ray.make)
    for _ in range(3):
        exporter.export()
    assert [one.value for one in ray.take()] == [1, 1, 1]
    assert len(caplog.records) == 1


def test_names_and_labels_are_those_that_prometheus_takes_and_ray_leaves_to_us() -> None:
    """Each name is declared once; Ray refuses labels of its own, and adds `_total` itself."""
    names = [metric.name for metric in DECLARED]
    assert len(set(names)) == len(names)
    for metric in DECLARED:
        assert re.fullmatch(r"sluice_[a-z_]+[a-z]", metric.name)
        assert not metric.name.endswith(("_total", "_count", "_sum"))
        assert not {"application", "deployment", "replica", "route", "model"} & set(metric.tags)
        assert metric.help


def test_a_node_has_room_for_the_series_of_several_processes() -> None:
    """What Ray's agent has no room for loses its labels, and it forgets no process that ended."""
    for metric in DECLARED:
        n_ours = (len(EDGES_S) + 1) if "le" in metric.tags else 10
        n_series = metric.most_series + (n_ours if set(metric.tags) & OURS else 1)
        assert N_PROCESSES * n_series <= RAYS_MOST_SERIES, metric.name
