"""A key's bucket in one server: what passes, what is owed, what is left."""

import pytest

from serve_app.access.bucket import Bucket


def passed(bucket: Bucket, n_rows: int = 1) -> int:
    """How many requests of so many rows pass, one after the other in no time."""
    n_passed = 0
    while n_passed < 1_000 and bucket.take(n_rows):
        n_passed += 1
    return n_passed


def test_a_burst_passes_and_then_the_rate() -> None:
    """9 held and one owed are ten rows at once; after that five a second."""
    bucket = Bucket(100.0, rows_per_s=5.0, most_rows=9.0)
    assert bucket.n_left == passed(bucket) == 10
    bucket.refill(101.0)
    assert bucket.n_left == passed(bucket) == 5
    bucket.refill(1_000.0)
    assert passed(bucket) == 10, "it holds no more than a burst, however long nobody asks"


def test_a_batch_that_is_larger_than_a_burst_passes_and_is_paid_for_afterwards() -> None:
    """Else it would be refused for ever; 100 rows at five a second take twenty seconds."""
    bucket = Bucket(0.0, rows_per_s=5.0, most_rows=9.0)
    assert bucket.take(100)
    assert bucket.n_left == 0
    bucket.refill(18.0)
    assert not bucket.take(1)
    bucket.refill(18.3)
    assert bucket.take(1)


@pytest.mark.parametrize("n_rows", [1, 7, 100])
def test_in_the_long_run_the_rate_holds_whatever_the_size_of_the_requests(n_rows: int) -> None:
    """A debt is paid to the last row; what passes too early is missing later."""
    bucket = Bucket(0.0, rows_per_s=50.0, most_rows=10.0)
    n_passed = 0
    for step in range(1, 6_001):
        bucket.refill(step / 50)
        n_passed += n_rows * bucket.take(n_rows)
    assert n_passed == pytest.approx(50 * 120, abs=10 + 2 * n_rows)


def test_what_a_request_paid_before_is_not_taken_again() -> None:
    """One row at the door, the other four when the body was read."""
    bucket = Bucket(0.0, rows_per_s=1.0, most_rows=4.0)
    assert bucket.take(1)
    assert bucket.take(5, n_paid=1)
    assert bucket.rows == -1.0
    assert bucket.missing_rows == 5.0


def test_requests_that_were_let_in_together_do_not_all_pass_with_all_their_rows() -> None:
    """Their bodies are still to come: the first leaves a debt, and the others pay for it."""
    bucket = Bucket(0.0, rows_per_s=1.0, most_rows=9.0)
    assert [bucket.take(1) for _ in range(10)] == [True] * 10
    assert [bucket.take(100, n_paid=1) for _ in range(10)] == [True] + [False] * 9
    assert bucket.rows == -100.0


def test_another_rate_counts_from_now_on() -> None:
    """What came before came at the old rate, and a smaller burst is in force at once."""
    bucket = Bucket(0.0, rows_per_s=1.0, most_rows=9.0)
    assert bucket.take(30)
    bucket.change(10.0, rows_per_s=2.0, most_rows=4.0)
    assert bucket.rows == -11.0
    bucket.refill(15.0)
    assert bucket.rows == -1.0
    bucket.change(60.0, rows_per_s=1.0, most_rows=2.0)
    assert bucket.rows == 2.0
