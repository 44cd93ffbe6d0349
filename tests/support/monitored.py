"""What a server tells of a version, for tests of the verdict on retraining."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from serve_app.bundle.manifest import Metric
from serve_app.monitoring.drift_view import FieldDrift, VersionDrift, WindowDrift
from serve_app.monitoring.quality.view import MeasureView, VersionQualityView, WindowView
from serve_app.monitoring.retraining_verdict import Seen

NOW = datetime(2026, 11, 28, 18, tzinfo=UTC)
FEATURES = ("spend", "seats", "plan", "tickets")
BASELINE = {
    "auc": Metric(value=0.85, low=0.83, high=0.87),
    "brier": Metric(value=0.12, low=0.11, high=0.13),
    "accuracy": Metric(value=0.84, low=0.82, high=0.86),
    "ece": Metric(value=0.02, low=0.01, high=0.03),
}


def field(**changes: Any) -> FieldDrift:
    """A field as it was in training."""
    found = {
        "psi": 0.01,
        "limit": 0.2,
        "is_drifting": False,
        "missing_percent": 0.0,
        "missing_percent_in_training": 0.0,
        "out_of_range_percent": 0.0,
        "unseen_percent": None,
        "fullest": "from 1 to 2",
        "fullest_percent": 12.0,
        "fullest_percent_in_training": 10.0,
        "sentence": "as in training",
    }
    return FieldDrift(**(found | changes))


def drifted(**changes: Any) -> FieldDrift:
    """A field that has drifted."""
    return field(**({"psi": 0.9, "is_drifting": True, "sentence": "all of it moved"} | changes))


def window(hours_ago: float = 23.5, n_rows: int = 5_000, **changed: FieldDrift) -> WindowDrift:
    """A window that began so long ago; `changed` are features, and `score`."""
    features = {name: changed.get(name, field()) for name in FEATURES}
    scores = {"score": changed.get("score", field())}
    return WindowDrift(
        since=NOW - timedelta(hours=hours_ago),
        n_rows=n_rows,
        n_drifting=sum(one.is_drifting for one in (*features.values(), *scores.values())),
        worst=[],
        features=features,
        scores=scores,
    )


def drift(**windows: WindowDrift) -> VersionDrift:
    """Windows by name: `hour`, `day`, `before`, `week`; quiet ones where nothing is said."""
    names = {"hour": "1h", "day": "24h", "before": "24h_before", "week": "7d"}
    found = {"day": window(), "before": window(47.0), "week": window(167.0)} | windows
    return VersionDrift(detail="", windows={names[name]: one for name, one in found.items()})


def measure(value: float, half_width: float, n: int = 1_000) -> MeasureView:
    """A number with its interval."""
    return MeasureView(value=value, low=value - half_width, high=value + half_width, n=n)


def quality(
    realised: dict[str, MeasureView] | None = None,
    estimated: dict[str, MeasureView] | None = None,
    n_labels: int = 1_000,
    days: int = 7,
) -> VersionQualityView:
    """A version with one window that has something, which is judged."""
    window = WindowView(
        days=days,
        n_predictions=5_000,
        n_labels=n_labels,
        realised=realised or {},
        estimated=estimated or {},
    )
    return VersionQualityView(
        version="1.0.0",
        baseline={name: one.value for name, one in BASELINE.items()},
        no_estimate="",
        windows=[window],
        judged=[window],
    )


def seen(**changes: Any) -> Seen:
    """A quiet version of ten days."""
    quiet = Seen(
        version="1.0.0",
        created_at=NOW - timedelta(days=10),
        metrics=BASELINE,
        drift=drift(),
        answered={"1h": 200, "24h": 5_000},
        counted_since=NOW - timedelta(days=10),
        quality=quality({"auc": measure(0.85, 0.02), "brier": measure(0.12, 0.01)}),
    )
    return replace(quiet, **changes)
