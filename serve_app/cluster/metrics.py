"""Hands what was counted to Ray, once a second; Ray's own export comes some 10 s later.

A call of Ray's metrics takes microseconds. So the rooms below count integers, and nothing here is
on a request's path. Histograms are counters with the label `le`: Ray's own kind wants a call for
each time, and its agent replaces the time by the middle of the bin.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, Protocol

from ray.serve.metrics import Counter, Gauge

from serve_app.cluster.declared_metrics import Metric, S

logger = logging.getLogger(__name__)

PERIOD_S = 1.0
OTHER = "other"
# Labels whose values stand in the code. Of all others somebody else can make many.
OURS = frozenset({"code", "event", "le", "outcome", "rail", "status", "window"})


class Instrument(Protocol):
    """What takes one number, with the value of each label."""

    def __call__(self, value: float, tags: dict[str, str]) -> None:
        """Add it to a counter, or set a gauge to it."""


def of_ray(metric: Metric[Any]) -> Instrument:
    """Ray's counter or gauge of this name; it must be made in a replica."""
    kind: Any = Counter if metric.kind == "counter" else Gauge
    made = kind(metric.name, description=metric.help, tag_keys=("model", *metric.tags))
    call: Instrument = made.inc if metric.kind == "counter" else made.set
    return call


class Series:
    """The label values of one metric, which are bounded.

    Whoever comes first is let in. From then on the labels that are not ours say `other`.
    """

    def __init__(self, tags: tuple[str, ...], most: int) -> None:
        self._tags = tags
        self._most = most
        self._known: set[tuple[str, ...]] = set()

    def of(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """These values, or those that stand for them."""
        if values in self._known:
            return values
        if len(self._known) < self._most:
            self._known.add(values)
            return values
        return tuple(
            value if tag in OURS else OTHER for tag, value in zip(self._tags, values, strict=True)
        )


class _Exported(Generic[S]):
    """One metric, and how much of it Ray has been told."""

    def __init__(self, model: str, metric: Metric[S], tell: Instrument) -> None:
        self._model = model
        self._metric = metric
        self._tell = tell
        self._series = Series(metric.tags, metric.most_series)
        self._told: dict[tuple[str, ...], float] = {}
        self._has_failed = False

    def export(self, source: S) -> None:
        """Tell what is new. What cannot be read must not keep the others from being told."""
        try:
            found = self._metric.read(source)
            for values, number in self._merged(found).items():
                tags = dict(zip(self._metric.tags, values, strict=True))
                self._tell(number, {"model": self._model, **tags})
        except Exception:
            if not self._has_failed:
                logger.exception("the metric %s cannot be exported", self._metric.name)
            self._has_failed = True

    def _merged(self, found: Mapping[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
        """What to tell of each series; of gauges that share one, the largest."""
        merged: dict[tuple[str, ...], float] = {}
        for values, number in found.items():
            if self._metric.kind == "gauge":
                series = self._series.of(values)
                merged[series] = max(merged.get(series, number), number)
                continue
            added = number - self._told.get(values, 0.0)
            if added > 0:
                series = self._series.of(values)
                merged[series] = merged.get(series, 0.0) + added
                self._told[values] = number
        return merged


class Exporter(Generic[S]):
    """The metrics of one process, of which `source` has the numbers."""

    def __init__(
        self,
        model: str,
        metrics: Iterable[Metric[S]],
        source: S,
        make: Callable[[Metric[S]], Instrument] = of_ray,
    ) -> None:
        self._source = source
        self._exported = [_Exported(model, metric, make(metric)) for metric in metrics]

    def export(self) -> None:
        """Hand over what was counted since the last time, and how things are now."""
        for exported in self._exported:
            exported.export(self._source)


async def export_forever(model: str, metrics: Iterable[Metric[S]], source: S) -> None:
    """Export once a second until cancelled."""
    exporter = Exporter(model, metrics, source)
    while True:
        exporter.export()
        await asyncio.sleep(PERIOD_S)
