"""What the tests of drift share: rows of orders, a version frozen from them, and its counts."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
from every_kind import order_manifest

from serve_app.bundle.manifest import Manifest
from serve_app.contract import ModelSpec
from serve_app.contract.block import Block, Layout, Scores
from serve_app.monitoring.drift_bins import PLACES, DriftBins
from serve_app.monitoring.drift_series import Counted
from serve_app.monitoring.drift_view import VersionDrift, version_drift
from serve_app.monitoring.drift_windows import WindowSum
from serve_app.serving.answer import Answered, Assignment
from serve_app.serving.member import Opened
from training.references import references, score_references
from training.table import Table

NOW_S = datetime(2026, 11, 28, 18, 30, tzinfo=UTC).timestamp()
DIGEST = "d" * 64
CITIES = ("Zürich", "Bern", "Basel", "Genf")


def rows_of_orders(n_rows: int, seed: int, **changes: Any) -> list[dict[str, Any]]:
    """Rows that differ in each field; `changes` are values that all of them have."""
    rng = np.random.default_rng(seed)
    begin = datetime(2025, 1, 1)
    rows = []
    for _ in range(n_rows):
        moment = begin + timedelta(minutes=int(rng.integers(0, 525_600)))
        row = {
            "amount": float(rng.normal(100, 20)),
            "n_items": int(rng.poisson(2)) + 1,
            "weight_kg": float(rng.exponential(3)) if rng.random() < 0.8 else None,
            "priority": int(rng.choice([1, 2, 3], p=[0.9, 0.08, 0.02])),
            "channel": str(rng.choice(["web", "shop"])) if rng.random() < 0.9 else None,
            "city": str(rng.choice(CITIES, p=[0.5, 0.3, 0.15, 0.05])),
            "is_gift": bool(rng.random() < 0.1),
            "is_member": bool(rng.random() < 0.5) if rng.random() < 0.9 else None,
            "birthday": date(1950, 1, 1) + timedelta(days=int(rng.integers(0, 20_000))),
            "ordered_at": moment,
        }
        rows.append(row | changes)
    return rows


def block_of(spec: ModelSpec, rows: list[dict[str, Any]]) -> Block:
    """The rows as a server has them."""
    return Layout(spec.contract).block(rows)


def scores_of(spec: ModelSpec, n_rows: int, seed: int, shift: float = 0.0) -> Scores:
    """Scores of this model's shape; probabilities of classes add up to 1."""
    rng = np.random.default_rng(seed)
    if spec.kind == "classifier":
        return rng.dirichlet([1 + shift, 1, 1], size=n_rows)
    if spec.kind == "binary_classifier":
        return rng.beta(2 + shift, 5, size=n_rows)
    shape = (n_rows, len(spec.outputs)) if spec.outputs else (n_rows,)
    return rng.normal(shift, 1, size=shape)


def frozen(spec: ModelSpec, n_rows: int = 2_000, seed: int = 1, **changes: Any) -> Manifest:
    """The manifest of a version that was trained on such rows."""
    block = block_of(spec, rows_of_orders(n_rows, seed))
    scores = scores_of(spec, n_rows, seed)
    given: dict[str, Any] = {
        "format": 3,
        "references": references(Table(spec, block, np.zeros(n_rows))),
        "score_references": score_references(spec, scores, 1e-6),
    }
    return order_manifest(spec, [0.5], **(given | changes))


def opened(manifest: Manifest) -> Opened:
    """The version as a server holds it; nobody asks it for scores."""
    return Opened(manifest, DIGEST, SimpleNamespace(), False)  # type: ignore[arg-type]


def answered(spec: ModelSpec, rows: list[dict[str, Any]], seed: int = 5) -> Answered:
    """The rows, answered by 1.0.0."""
    block = block_of(spec, rows)
    scores = scores_of(spec, len(rows), seed)
    told = Answered(rows, "key", Assignment("1.0.0"), version="1.0.0")  # type: ignore[arg-type]
    told.block = block
    told.scores = scores
    return told


def seen(
    spec: ModelSpec, rows: list[dict[str, Any]], scores: Scores | None = None, **changes: Any
) -> VersionDrift:
    """What is said of these rows, answered within the last hour."""
    manifest = frozen(spec, **changes)
    bins = DriftBins(manifest, spec.contract, clock=lambda: NOW_S)
    if scores is None:
        scores = scores_of(spec, len(rows), seed=99)
    if not bins.size:
        return version_drift(spec, opened(manifest), {})
    counts = bins.count(block_of(spec, rows), scores)
    window = WindowSum(NOW_S, len(rows), counts)
    found = {Counted("1.0.0", DIGEST, PLACES): {"1h": window}}
    return version_drift(spec, opened(manifest), found)
