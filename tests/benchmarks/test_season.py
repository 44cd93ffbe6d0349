"""The short season: a monsoon is noticed and answered, and in a quiet one nothing is raised."""

import itertools
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

with warnings.catch_warnings():
    # Ray's own models warn when they are imported.
    warnings.simplefilter("ignore")
    from benchmarks.season.pictures import draw
    from benchmarks.season.run import NEW, OLD, SHORT, Season, first_version, play

from benchmarks.season.shop import MONSOON, QUIET, orders_of
from benchmarks.season.story import n_drifting, story
from serve_app.bundle.store import FolderStore
from serve_app.monitoring.retraining_verdict import Outcome

MOST_BYTES = 60_000


@pytest.fixture(scope="module")
def seasons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Season]:
    """Both, of one first version; the quiet one first, since the other adds a version."""
    folder = tmp_path_factory.mktemp("seasons")
    store = FolderStore(folder / "store")
    first_version(SHORT, store)
    return {
        name: play(weather, SHORT, folder / name, store)
        for name, weather in (("quiet", QUIET), ("monsoon", MONSOON))
    }


def test_in_a_quiet_season_nothing_is_raised(seasons: dict[str, Season]) -> None:
    """No field drifts at any look, and no verdict asks for anything, though labels come."""
    quiet = seasons["quiet"]
    assert n_drifting(quiet) == 0
    assert {look.verdict.outcome for look in quiet.looks} == {Outcome.FINE}
    assert not quiet.events
    assert quiet.trained_day is None
    assert any(look.nearness for look in quiet.looks)
    assert quiet.n_asked > 0.9 * SHORT.mean_orders * SHORT.n_days
    low, high = quiet.looks[-1].mae[OLD][1:]
    assert low < quiet.baseline_mae < high + 0.1


def test_drift_is_named_before_quality_falls_and_labels_confirm_that_it_fell(
    seasons: dict[str, Season],
) -> None:
    """In the order of the issue: each of these days comes after the one before."""
    monsoon = seasons["monsoon"]
    days = [
        MONSOON.orders_from,
        monsoon.named_day,
        MONSOON.minutes_from,
        monsoon.confirmed_day,
        monsoon.trained_day,
        monsoon.won_day,
    ]
    assert None not in days
    assert all(before < after for before, after in itertools.pairwise(days))  # type: ignore[operator]
    assert monsoon.asked_day is not None
    assert monsoon.asked_day <= monsoon.confirmed_day
    # What differs, and nothing else of the rows; a rollout takes a part of its week from stable.
    before = [look for look in monsoon.looks if look.day <= monsoon.trained_day]  # type: ignore[operator]
    named = {name for look in before for name in look.drifting}
    assert {"distance_km", "order_hour"} <= named <= {"distance_km", "order_hour", "score"}
    # It is the world that has changed: no look takes it for a fault of the data.
    assert not [look for look in monsoon.looks if look.verdict.faults]


def test_the_retrained_version_wins_its_rollout_and_all_is_well_again(
    seasons: dict[str, Season],
) -> None:
    """By the real judge, with labels; what it holds a person resumes, as the world has changed."""
    monsoon = seasons["monsoon"]
    kinds = [event.kind for _, event in monsoon.events]
    assert monsoon.against is not None
    assert monsoon.against.tolerated_percent is not None
    assert kinds[-1] == "finished"
    assert not {"aborted", "rolled_back"} & set(kinds)
    assert monsoon.labels_said.startswith("better on labels")
    assert kinds.count("held") == len(monsoon.resumed) <= 4
    last = monsoon.looks[-1]
    assert last.stable == NEW
    assert last.verdict.outcome is Outcome.FINE
    assert not last.drifting
    assert last.mae[NEW][2] < last.mae[OLD][1]


def test_a_season_is_told_and_drawn(seasons: dict[str, Season], tmp_path: Path) -> None:
    """A line each with its day, and three small pictures that any browser shows."""
    lines = list(story(seasons["monsoon"]))
    assert [line for line in lines if "drift is named: " in line and "distance_km" in line]
    assert [line for line in lines if "labels confirm: mae is" in line]
    paths = list(draw(seasons["monsoon"], seasons["quiet"], tmp_path, SHORT.n_days))
    assert [path.name for path in paths] == ["drift.svg", "quality.svg", "quiet.svg"]
    for path in paths:
        assert path.stat().st_size < MOST_BYTES
        ElementTree.fromstring(path.read_text())


def test_the_monsoon_changes_orders_first_and_what_they_take_later() -> None:
    """The same day of both seasons: the same orders until then, and the same again but for that."""
    assert MONSOON.orders_from is not None
    assert MONSOON.minutes_from is not None
    for day, is_changed in ((MONSOON.orders_from - 1, False), (MONSOON.orders_from, True)):
        pairs = zip(orders_of(day, 50, QUIET, 1), orders_of(day, 50, MONSOON, 1), strict=True)
        differ = [one.row["distance_km"] < other.row["distance_km"] for one, other in pairs]
        assert all(differ) if is_changed else not any(differ)
    early = orders_of(MONSOON.minutes_from - 1, 200, MONSOON, 1)
    late = orders_of(MONSOON.minutes_from, 200, MONSOON, 1)
    means = [sum(order.minutes for order in orders) / 200 for orders in (early, late)]
    assert means[1] > 1.2 * means[0]
