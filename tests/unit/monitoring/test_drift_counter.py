"""A server counts the rows of its answers, and tells each second what came since."""

from drifting import DIGEST, block_of, frozen, opened, rows_of_orders, scores_of
from every_kind import VALUE

from serve_app.bundle.manifest import Manifest
from serve_app.monitoring.drift_counter import ANSWERED, REFUSED, DriftCounter
from serve_app.monitoring.drift_windows import DriftWindows, decode, encode

MANIFEST = frozen(VALUE)


def count(counter: DriftCounter, n_rows: int, manifest: Manifest = MANIFEST) -> None:
    """Give it so many rows of a version."""
    block = block_of(VALUE, rows_of_orders(n_rows, n_rows))
    counter.count(opened(manifest), block, scores_of(VALUE, n_rows, n_rows))


def test_refused_rows_are_told_once_and_belong_to_no_version() -> None:
    """They broke the contract, and none was asked; the coordinator sums and keeps them likewise."""
    refused = iter([0, 3, 3, 5])
    counter = DriftCounter(VALUE.contract, lambda: next(refused))
    assert counter.take() == []
    [told] = counter.take()
    assert (told.version, told.manifest_sha256, told.n_rows) == ("", REFUSED, 3)
    assert counter.take() == []
    windows = DriftWindows()
    windows.hear("a", [told], is_new=True)
    windows.hear("b", counter.take(), is_new=True)
    again = DriftWindows()
    again.go_on(decode(encode(windows.dump())))
    [found] = again.sums().windows.values()
    assert found["1h"].n_rows == 5


def test_what_was_answered_is_told_once() -> None:
    """Rows of all requests since the last report together."""
    counter = DriftCounter(VALUE.contract)
    for n_rows in (1, 3, 20):
        count(counter, n_rows)
    told = counter.take()
    assert [(one.version, one.manifest_sha256, one.n_rows) for one in told] == [
        ("1.0.0", DIGEST, 24),
        ("", ANSWERED, 24),
    ]
    assert counter.take() == []


def test_rows_of_a_version_without_references_are_answered_rows_and_no_more() -> None:
    """They could be compared with nothing, and refused rows are a share of all."""
    counter = DriftCounter(VALUE.contract)
    for n_rows in (3, 2):
        count(counter, n_rows, frozen(VALUE, references={}, score_references={}))
    assert [(one.manifest_sha256, one.n_rows) for one in counter.take()] == [(ANSWERED, 5)]
    assert counter.take() == []
