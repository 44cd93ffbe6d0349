"""What people are told: what differs from training, in sentences; a limit that knows chance."""

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drifting import NOW_S, frozen, opened, rows_of_orders, scores_of, seen
from every_kind import CLASSIFIER, KINDS, VALUE

from serve_app.contract import ModelSpec
from serve_app.monitoring.drift_bins import PLACES
from serve_app.monitoring.drift_counter import ANSWERED, REFUSED
from serve_app.monitoring.drift_series import Counted
from serve_app.monitoring.drift_view import DriftReader, WindowDrift, version_drift
from serve_app.monitoring.drift_windows import DriftSums, WindowSum

ROWS = rows_of_orders(1_000, 7)


def hour(spec: ModelSpec, rows: list[dict[str, object]], **more: object) -> WindowDrift:
    """The window of the last hour."""
    return seen(spec, rows, **more).windows["1h"]  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", KINDS.values(), ids=list(KINDS))
def test_rows_like_those_of_training_have_not_drifted(spec: ModelSpec) -> None:
    """Features and scores of every kind of model, in the order of the contract."""
    found = hour(spec, ROWS)
    assert found.n_rows == 1_000
    assert found.n_drifting == 0
    assert list(found.features) == [feature.name for feature in spec.contract]
    assert found.features["amount"].psi is not None
    assert found.features["amount"].psi < 0.1
    assert found.features["amount"].sentence == "as in training, as far as 1,000 rows tell"
    assert found.features["weight_kg"].missing_percent_in_training == pytest.approx(20, abs=5)
    assert 0 < len(found.worst) <= 10


@pytest.mark.parametrize("spec", KINDS.values(), ids=list(KINDS))
def test_scores_that_moved_have_drifted(spec: ModelSpec) -> None:
    """Each output, or the shares of the classes, though no feature did."""
    found = hour(spec, ROWS, scores=scores_of(spec, 1_000, 8, shift=3.0))
    assert found.n_drifting == len(found.scores) > 0
    assert all(score.is_drifting for score in found.scores.values())


def test_what_is_beyond_training_is_named_with_its_end() -> None:
    """The worst one comes first, with its share of rows."""
    changed = [row | {"n_items": 90} for row in ROWS[:310]] + ROWS[310:]
    found = hour(VALUE, changed)
    assert found.features["n_items"].is_drifting
    assert found.features["n_items"].out_of_range_percent == pytest.approx(31, abs=0.5)
    assert found.worst[0].startswith("n_items: 31 % above everything seen in training (")
    below = hour(VALUE, [row | {"amount": -1e6} for row in ROWS])
    assert below.worst[0].startswith("amount: 100 % below everything seen in training (")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"city": "Genève"}, "city: 100 % never seen in training"),
        ({"city": "Genf"}, 'city: 100 % "Genf", '),
        ({"weight_kg": None}, "weight_kg: 100 % missing, "),
        ({"is_gift": True}, "is_gift: 100 % true, "),
        ({"channel": "phone"}, "channel: 100 % never seen in training"),
        ({"birthday": date(1990, 2, 3)}, "birthday: 100 % in February, "),
        ({"priority": 3}, "priority: 100 % from 2 to 3, "),
    ],
)
def test_what_drifted_is_said_in_a_plain_sentence(
    changes: dict[str, object], sentence: str
) -> None:
    """Of the bin that changed most, with its share in training where it had one."""
    found = hour(VALUE, [row | changes for row in ROWS])
    assert found.worst[0].startswith(sentence)
    assert found.n_drifting == 1


def test_an_unseen_text_is_counted_only_where_training_lists_all_of_them() -> None:
    """Of an open text with many values, nobody knows."""
    changed = [row | {"city": "Genève"} for row in ROWS]
    assert hour(VALUE, changed).features["city"].unseen_percent == 100
    assert hour(VALUE, changed).features["amount"].unseen_percent is None
    manifest = frozen(VALUE)
    city = manifest.references["city"].model_copy(update={"n_unlisted": 5})
    found = hour(VALUE, changed, references=manifest.references | {"city": city})
    assert found.features["city"].unseen_percent is None
    assert found.features["city"].is_drifting


def test_dates_of_the_moment_are_not_compared() -> None:
    """Else a model of orders would drift every hour, since it is always some weekday."""
    today = [row | {"ordered_at": datetime(2026, 11, 28, 9)} for row in ROWS]
    found = hour(VALUE, today)
    assert found.n_drifting == 0
    assert found.features["ordered_at"].psi is None
    assert "moves with the clock" in found.features["ordered_at"].sentence
    assert found.features["ordered_at"].out_of_range_percent == 100


def test_the_fullest_bin_is_told_with_its_share_in_training() -> None:
    """So that one who reads it sees what is stuck."""
    found = hour(VALUE, [row | {"city": "Genf"} for row in ROWS]).features["city"]
    assert (found.fullest, found.fullest_percent) == ('"Genf"', 100.0)
    assert found.fullest_percent_in_training == pytest.approx(5, abs=2)


def test_few_rows_are_not_compared() -> None:
    """Neither live ones nor those of training; what is missing is told all the same."""
    found = hour(VALUE, ROWS[:49])
    assert found.n_drifting == 0
    assert found.features["amount"].sentence == (
        "not compared: 49 rows, and 2000 in training; at least 50 and 200 are needed"
    )
    assert found.worst == []
    small = hour(VALUE, [row | {"amount": -1e6} for row in ROWS], n_rows=150)
    assert small.n_drifting == 0
    assert small.features["amount"].out_of_range_percent == 100


def test_rows_that_fail_are_drift_of_the_scores() -> None:
    """They have no score, as hardly any had on the hold-out."""
    scores = scores_of(CLASSIFIER, 1_000, 9)
    scores[:200] = np.nan
    found = hour(CLASSIFIER, ROWS, scores=scores).scores["class"]
    assert found.is_drifting
    assert found.missing_percent == 20
    assert found.sentence == "20 % failed, 0 % in training"


def test_a_bundle_of_an_older_format_says_that_it_has_no_reference() -> None:
    """It goes on serving as it was made."""
    found = seen(VALUE, ROWS, references={}, score_references={}, format=2)
    assert found.windows == {}
    assert "its bundle is of format 2" in found.detail


def test_a_version_without_rows_says_so() -> None:
    """And so does one whose counts belong to another manifest of its name."""
    found = version_drift(VALUE, opened(frozen(VALUE)), {})
    assert found.windows == {}
    assert "no rows" in found.detail


def test_a_text_that_a_terminal_would_obey_is_shown_without_that() -> None:
    """Texts of training are data, and may hold anything."""
    manifest = frozen(VALUE)
    city = manifest.references["city"]
    values = ["\x1b[2J" + "x" * 60 if text == "Genf" else text for text in city.values or ()]
    spiked = manifest.references | {"city": city.model_copy(update={"values": values})}
    changed = [row | {"city": "\x1b[2J" + "x" * 60} for row in ROWS]
    sentence = hour(VALUE, changed, references=spiked).features["city"].sentence
    assert "\x1b" not in sentence
    assert len(sentence) < 100


async def test_the_versions_that_are_loaded_are_compared() -> None:
    """With what the coordinator says of its counts."""

    refused = Counted("", REFUSED, PLACES)
    answered = Counted("", ANSWERED, PLACES)
    none = np.zeros(0, dtype=np.int64)

    async def sums() -> DriftSums:
        windows = {
            refused: {"1h": WindowSum(0.0, 7, none)},
            answered: {"24h": WindowSum(0.0, 70, none)},
        }
        return DriftSums(windows, NOW_S, "the counts are not kept")

    members = {
        "1.0.0": SimpleNamespace(opened=opened(frozen(VALUE))),
        "1.1.0": SimpleNamespace(opened=None),
    }
    versions: Any = SimpleNamespace(members=lambda: members)
    source: Any = SimpleNamespace(sums=sums)
    view = await DriftReader(VALUE, versions, source).drift()
    assert view.detail == "the counts are not kept"
    assert list(view.versions) == ["1.0.0"]
    assert view.since == datetime.fromtimestamp(NOW_S, UTC)
    assert view.answered == {"24h": 70}
    assert view.refused == {"1h": 7}
