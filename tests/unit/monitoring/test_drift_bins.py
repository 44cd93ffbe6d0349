"""Rows counted in frozen bins: each row once in each field, and sums of parts are the whole."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest
from drifting import NOW_S, block_of, frozen, rows_of_orders, scores_of
from every_kind import CLASSIFIER, KINDS, OUTPUTS, VALUE

from serve_app.bundle.manifest import Reference
from serve_app.contract import ModelSpec
from serve_app.contract.block import Block
from serve_app.monitoring.drift_bins import (
    DATE_TAIL,
    LEAST_TEXT_ROWS,
    MOST_TEXTS,
    DriftBins,
    NumberGrid,
    listed_texts,
    text_places,
)


@pytest.mark.parametrize("spec", KINDS.values(), ids=list(KINDS))
def test_every_row_is_counted_once_in_every_field_and_score(spec: ModelSpec) -> None:
    """Whatever kind of model it is; a date counts in its months and in its weekdays."""
    bins = DriftBins(frozen(spec), spec.contract, clock=lambda: NOW_S)
    counts = bins.count(block_of(spec, rows_of_orders(300, 2)), scores_of(spec, 300, 2))
    assert counts.shape == (bins.size,)
    assert list(bins.features) != []
    assert set(bins.features) == {feature.name for feature in spec.contract}
    dates = {"birthday", "ordered_at"}
    for name, part in (bins.features | bins.scores).items():
        if name in dates:
            n_missing = counts[part][-1]
            assert counts[part][:12].sum() + n_missing == 300, name
            assert counts[part][12:19].sum() + n_missing == 300, name
        else:
            assert counts[part].sum() == 300, name


@pytest.mark.parametrize("spec", KINDS.values(), ids=list(KINDS))
def test_counts_of_two_blocks_add_up_to_those_of_both(spec: ModelSpec) -> None:
    """So they can be summed over servers and time."""
    bins = DriftBins(frozen(spec), spec.contract, clock=lambda: NOW_S)
    blocks = [block_of(spec, rows_of_orders(n, n)) for n in (40, 70)]
    scores = [scores_of(spec, len(block), 3) for block in blocks]
    apart = sum(bins.count(b, s) for b, s in zip(blocks, scores, strict=True))
    together = bins.count(Block.concat(blocks), np.concatenate(scores))
    assert (apart == together).all()


def test_training_itself_is_counted_as_it_was_frozen() -> None:
    """The bins of serving are those of training, to the row."""
    manifest = frozen(VALUE)
    bins = DriftBins(manifest, VALUE.contract, clock=lambda: NOW_S)
    counts = bins.count(block_of(VALUE, rows_of_orders(2_000, 1)), scores_of(VALUE, 2_000, 1))
    for name, reference in manifest.references.items():
        live = counts[bins.features[name]].tolist()
        if reference.values is not None:
            assert live[-1] == reference.n_missing
            assert sum(live[:-1]) == sum(reference.counts)
        elif reference.months is not None:
            assert live[:12] == reference.months
            assert live[12:19] == reference.weekdays
        else:
            assert live[1 : 1 + len(reference.counts)] == reference.counts
            assert live[0] == 0
            assert live[-1] == reference.n_missing
    score = counts[bins.scores["score"]].tolist()
    assert score[1:-2] == manifest.score_references["score"].counts


def test_a_number_is_below_inside_above_or_missing() -> None:
    """Both ends of training's range belong to it; columns with fewer edges change nothing."""
    fine = Reference(
        share_missing=0, counts=[1, 1, 1], edges=[2, 5], n_missing=0, minimum=1, maximum=9
    )
    coarse = Reference(share_missing=0, counts=[3], edges=[], n_missing=0, minimum=0, maximum=1)
    grid = NumberGrid([fine, coarse])
    column = [0.5, 1, 2, 4.9, 5, 9, np.nextafter(9, 10), np.nan, -1e308, 1e308]
    found = grid.count(np.array([column, [0.5] * 10])).reshape(2, -1).tolist()
    assert found[0] == [2, 1, 2, 2, 2, 1]
    assert found[1] == [0, 10, 0, 0, 0, 0]


def test_a_text_is_listed_seldom_unseen_or_missing() -> None:
    """The most frequent ones have a bin; those with few rows share one."""
    counts = [LEAST_TEXT_ROWS + i for i in range(MOST_TEXTS + 5)] + [1, 0]
    values = [f"t{i}" for i in range(len(counts))]
    closed = Reference(share_missing=0, counts=counts, values=values, n_missing=0)
    listed = listed_texts(closed)
    assert listed[0] == f"t{MOST_TEXTS + 4}"
    assert len(listed) == MOST_TEXTS
    places, other, size = text_places(closed)
    assert places[listed[0]] == 0
    assert places["t0"] == places[values[-2]] == size - 3, "seldom"
    assert places[values[-1]] == other == size - 2, "never in training"
    assert places[""] == size - 1, "missing"
    open_text = closed.model_copy(update={"n_unlisted": 4})
    assert text_places(open_text)[1] == size - 3, "it may be one of the four"


def test_months_and_weekdays_are_those_of_the_calendar() -> None:
    """Also those of days before 1970, which are negative."""
    bins = DriftBins(frozen(VALUE), VALUE.contract, clock=lambda: NOW_S)
    rng = np.random.default_rng(4)
    for days in rng.integers(-80_000, 60_000, size=50).tolist():
        birthday = date(1970, 1, 1) + timedelta(days=days)
        block = block_of(VALUE, rows_of_orders(1, 1, birthday=birthday))
        found = bins.count(block, np.array([0.0]))[bins.features["birthday"]]
        assert found[birthday.month - 1] == 1
        assert found[12 + birthday.weekday()] == 1
        assert found[:19].sum() == 2


def test_dates_of_the_moment_are_known() -> None:
    """An order of today was never in training, and says nothing by that."""
    bins = DriftBins(frozen(VALUE), VALUE.contract, clock=lambda: NOW_S)
    rows = rows_of_orders(3, 1, ordered_at=datetime(2026, 11, 28, 12))
    counts = bins.count(block_of(VALUE, rows), np.zeros(3))
    assert counts[bins.features["ordered_at"]][-DATE_TAIL:].tolist() == [0, 3, 3, 0]
    assert counts[bins.features["birthday"]][-2] == 0


def test_a_class_that_is_answered_is_counted_and_a_row_that_failed_too() -> None:
    """The most probable class is the answer."""
    bins = DriftBins(frozen(CLASSIFIER), CLASSIFIER.contract, clock=lambda: NOW_S)
    scores = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [np.nan] * 3, [0.1, 0.1, 0.8]])
    counts = bins.count(block_of(CLASSIFIER, rows_of_orders(4, 1)), scores)
    assert counts[bins.scores["class"]].tolist() == [0, 1, 2, 1]


def test_each_output_has_bins_of_its_own() -> None:
    """A row with one missing output failed in all of them."""
    bins = DriftBins(frozen(OUTPUTS), OUTPUTS.contract, clock=lambda: NOW_S)
    assert list(bins.scores) == ["days", "cost_usd"]
    scores = np.array([[0.0, 1e9], [0.0, np.nan]])
    counts = bins.count(block_of(OUTPUTS, rows_of_orders(2, 1)), scores)
    assert [counts[part][-1] for part in bins.scores.values()] == [1, 1]
    assert counts[bins.scores["cost_usd"]][-3:-1].sum() == 1, "above training's range"


def test_a_bundle_of_an_older_format_has_nothing_to_count() -> None:
    """Its references lack what is needed, and its scores have none."""
    manifest = frozen(VALUE)
    old = {
        name: Reference(
            share_missing=reference.share_missing,
            counts=reference.counts,
            edges=reference.edges,
            values=reference.values,
        )
        for name, reference in manifest.references.items()
    }
    bins = DriftBins(frozen(VALUE, references=old, score_references={}), VALUE.contract)
    assert bins.size == 0


def test_references_that_do_not_fit_their_fields_are_none() -> None:
    """Whoever writes a manifest may write anything; answers are not held up by it."""
    manifest = frozen(VALUE)
    odd = manifest.references | {"city": manifest.references["amount"]}
    odd |= {"amount": manifest.references["channel"]}
    scores = {"score": manifest.references["city"]}
    bins = DriftBins(frozen(VALUE, references=odd, score_references=scores), VALUE.contract)
    assert bins.scores == {}
    assert "city" not in bins.features
    assert "amount" not in bins.features
    counts = bins.count(block_of(VALUE, rows_of_orders(3, 1)), np.zeros(3))
    assert counts.shape == (bins.size,)
