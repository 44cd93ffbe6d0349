"""A server counts the rows of its answers, and tells each second what came since."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from drifting import DIGEST, answered, frozen, opened, rows_of_orders
from every_kind import VALUE

from serve_app.bundle.manifest import Manifest
from serve_app.monitoring.drift_bins import DriftBins
from serve_app.monitoring.drift_counter import REFUSED, DriftCounter
from serve_app.monitoring.drift_windows import DriftWindows, decode, encode
from serve_app.serving.answer import Answered, Assignment

MANIFEST = frozen(VALUE)


def counter_of(manifest: Manifest | None = MANIFEST) -> DriftCounter:
    """A counter of a server that holds one version, or none."""
    held = None if manifest is None else opened(manifest)
    versions: Any = SimpleNamespace(ready=lambda name: held if name == "1.0.0" else None)
    return DriftCounter(VALUE.contract, versions)


def test_refused_rows_are_told_once_and_belong_to_no_version() -> None:
    """They broke the contract, and none was asked; the coordinator sums and keeps them likewise."""
    refused = iter([0, 3, 3, 5])
    versions: Any = SimpleNamespace(ready=lambda name: None)
    counter = DriftCounter(VALUE.contract, versions, lambda: next(refused))
    assert counter.take() == []
    [told] = counter.take()
    assert (told.version, told.manifest_sha256, told.n_rows) == ("", REFUSED, 3)
    assert counter.take() == []
    windows = DriftWindows()
    windows.hear("a", [told], is_new=True)
    windows.hear("b", counter.take(), is_new=True)
    again = DriftWindows()
    again.restore(decode(encode(windows.dump())))
    [found] = again.sums().windows.values()
    assert found["1h"].n_rows == 5


def test_what_was_answered_is_told_once() -> None:
    """Rows of all requests since the last report together."""
    counter = counter_of()
    for n_rows in (1, 3, 20):
        counter.heard(answered(VALUE, rows_of_orders(n_rows, n_rows)))
    [told] = counter.take()
    assert (told.version, told.manifest_sha256, told.n_rows) == ("1.0.0", DIGEST, 24)
    assert counter.take() == []


async def test_many_single_rows_are_counted_like_one_block() -> None:
    """Whether they came alone or together."""
    rows = rows_of_orders(1_300, 3)
    whole = answered(VALUE, rows)
    assert whole.block is not None
    assert whole.scores is not None
    bins = DriftBins(MANIFEST, VALUE.contract)
    counter = counter_of()
    for i in range(len(rows)):
        one = answered(VALUE, [rows[i]])
        one.scores = whole.scores[i : i + 1]
        counter.heard(one)
    [told] = counter.take()
    assert told.n_rows == 1_300
    assert (told.counts == bins.count(whole.block, whole.scores)).all()


@pytest.mark.parametrize("n_rows", [5_000, 12_345])
async def test_of_a_large_block_each_turn_counts_a_piece_and_no_row_is_lost(n_rows: int) -> None:
    """Others are answered between two pieces."""
    counter = counter_of()
    counter.heard(answered(VALUE, rows_of_orders(10, 1) * (n_rows // 10)))
    counter.heard(answered(VALUE, rows_of_orders(n_rows % 10 or 10, 2)))
    wanted = n_rows // 10 * 10 + (n_rows % 10 or 10)
    first = sum(told.n_rows for told in counter.take())
    assert 0 < first < wanted
    n_found = first
    for _ in range(wanted):
        await asyncio.sleep(0)
        n_found += sum(told.n_rows for told in counter.take())
        if n_found >= wanted:
            break
    assert n_found == wanted


def test_who_got_no_answer_is_not_counted() -> None:
    """Nobody knows what would have been answered."""
    counter = counter_of()
    counter.heard(Answered([], "key", Assignment("1.0.0")))
    assert counter.take() == []


def test_a_version_that_left_or_has_no_reference_is_passed_over() -> None:
    """Its rows could be compared with nothing."""
    for counter in (
        counter_of(None),
        counter_of(frozen(VALUE, references={}, score_references={})),
    ):
        counter.heard(answered(VALUE, rows_of_orders(3, 1)))
        assert counter.take() == []
