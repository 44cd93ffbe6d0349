"""Two seasons of deliveries, judged each night as a server would: a quiet one, and a monsoon.

Within a day all orders have one weekday, and Mondays take half as long as Saturdays: a judge of
days would ask for retraining each Monday.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from serve_app.bundle.loading import load
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.store import FolderStore
from serve_app.contract.block import Layout
from serve_app.models import get_spec
from serve_app.monitoring.drift_bins import PLACES, Counts, DriftBins
from serve_app.monitoring.drift_series import Counted
from serve_app.monitoring.drift_view import version_drift
from serve_app.monitoring.drift_windows import WindowSum
from serve_app.monitoring.retraining_verdict import Outcome, RetrainingVerdict, Seen, judge
from serve_app.serving.member import Opened
from training.bundling import Written
from training.models.delivery_time import DAYS, make_rows

SPEC = get_spec("delivery_time")
BEGIN = datetime(2026, 11, 2, tzinfo=UTC)
N_DAYS = 28
N_ORDERS = 6_000
MONSOON_FROM = 14


@pytest.fixture(scope="module")
def version(store: FolderStore, delivery_bundle: Written) -> Predictor:
    """The version that answers."""
    return load(store, SPEC, delivery_bundle.manifest.version)


def orders_of(day: int, *, is_wet: bool) -> pd.DataFrame:
    """The orders of one day, about a seventh of the recipe's; in a monsoon later, and further."""
    rows = make_rows(N_ORDERS, 1_000 + day)
    rows = rows[rows["order_day"] == DAYS[day % 7]]
    if is_wet:
        hours = np.minimum(rows["order_hour"] + 2.0, 21.0)
        rows = rows.assign(order_hour=hours, distance_km=rows["distance_km"] * 1.4)
    return rows


def season(version: Predictor, monsoon_from: int) -> list[RetrainingVerdict]:
    """The verdict of each night."""
    opened = Opened(version.manifest, version.manifest_sha256, version, False)  # type: ignore[arg-type]
    bins = DriftBins(version.manifest, SPEC.contract)
    layout = Layout(SPEC.contract)
    days: list[tuple[int, Counts]] = []
    verdicts = []
    for day in range(N_DAYS):
        rows = orders_of(day, is_wet=day >= monsoon_from).to_dict("records")
        block = layout.block(rows)
        days.append((len(block), bins.count(block, np.asarray(version.score(block)))))
        now = BEGIN + timedelta(days=day + 1)
        windows = {
            "24h": summed(days[-1:], now),
            "24h_before": summed(days[-2:-1], now - timedelta(days=1)),
            "7d": summed(days[-7:], now),
        }
        found = {name: window for name, window in windows.items() if window.n_rows}
        counted = Counted(version.manifest.version, version.manifest_sha256, PLACES)
        drift = version_drift(SPEC, opened, {counted: found})
        verdicts.append(judge(Seen(version.manifest.version, drift=drift), now))
    return verdicts


def summed(days: Sequence[tuple[int, Counts]], end: datetime) -> WindowSum:
    """The days that end then."""
    begin = end - timedelta(days=len(days))
    n_rows = sum(n for n, _ in days)
    return WindowSum(begin.timestamp(), n_rows, sum((one for _, one in days), np.zeros(1, int)))


def test_a_quiet_season_raises_nothing(version: Predictor) -> None:
    """Four weeks, each with a Monday."""
    found = season(version, N_DAYS)
    assert [one.outcome for one in found] == [Outcome.FINE] * N_DAYS
    assert {one.faults for one in found} == {()}


def test_a_monsoon_asks_for_retraining_within_a_week_and_is_no_data_fault(
    version: Predictor,
) -> None:
    """Orders come later and from further, and take longer; none of it is a fault of the rows."""
    found = season(version, MONSOON_FROM)
    outcomes = [one.outcome for one in found]
    assert outcomes[:MONSOON_FROM] == [Outcome.FINE] * MONSOON_FROM
    assert Outcome.DATA_FAULT not in outcomes
    assert Outcome.RETRAIN in outcomes[MONSOON_FROM : MONSOON_FROM + 7]
    [last] = found[-1:]
    assert any("have drifted for days" in reason for reason in last.reasons)
