"""The coordinator sums what servers counted: by five minutes, for an hour and a day."""

import io
from typing import Any

import numpy as np
import pytest

from serve_app.cluster.report import Inbox, Report
from serve_app.monitoring.drift_counter import DriftCounts
from serve_app.monitoring.drift_series import BUCKET_S, MOST_BUCKETS, MOST_VERSIONS, Counted
from serve_app.monitoring.drift_windows import DriftWindows, decode, encode

BEGIN_S = 1_790_000_100.0
NAME = Counted("1.0.0", "d", 1)


class Clock:
    """A clock on the wall that the test moves."""

    def __init__(self) -> None:
        self.now_s = BEGIN_S

    def __call__(self) -> float:
        """Now."""
        return self.now_s


def counts(*numbers: int, n_rows: int = 0, version: str = "1.0.0") -> list[DriftCounts]:
    """What a server took."""
    taken = np.array(numbers, dtype=np.int64)
    return [DriftCounts(version, "d", n_rows or int(taken.sum()), taken)]


def shown(windows: DriftWindows) -> dict[str, tuple[int, list[int]]]:
    """Rows and counts of each window of 1.0.0."""
    found = windows.sums().windows.get(NAME, {})
    return {name: (window.n_rows, window.counts.tolist()) for name, window in found.items()}


def test_counts_of_all_servers_add_up() -> None:
    """In both windows, bin by bin, and so do the rows."""
    windows = DriftWindows(Clock())
    windows.hear("a", counts(1, 2), is_new=True)
    windows.hear("b", counts(10, 0), is_new=True)
    both = (13, [11, 2])
    assert shown(windows) == {"1h": both, "24h": both, "7d": both}


def test_a_report_that_is_sent_again_or_comes_late_counts_once() -> None:
    """Its answer was lost, and the server sends it as it was."""
    windows = DriftWindows(Clock())
    inbox = Inbox(parts=(windows,))
    for seq in (1, 1, 2, 1, 2):
        inbox.receive(Report("a", seq, {"drift": counts(seq)}))
    assert shown(windows)["1h"] == (3, [3])


def test_rows_leave_the_hour_and_then_the_day() -> None:
    """They leave five minutes at a time, by the clock."""
    clock = Clock()
    windows = DriftWindows(clock)
    windows.hear("a", counts(1), is_new=True)
    clock.now_s += 1_800
    windows.hear("a", counts(2), is_new=True)
    clock.now_s += 1_800
    assert shown(windows) == {"1h": (2, [2]), "24h": (3, [3]), "7d": (3, [3])}
    assert windows.sums().windows[NAME]["24h"].since_s == BEGIN_S // BUCKET_S * BUCKET_S
    clock.now_s += 86_400 - 1_800
    assert shown(windows) == {"24h_before": (3, [3]), "7d": (3, [3])}
    windows.hear("a", counts(4), is_new=True)
    four = (4, [4])
    assert shown(windows) == {"1h": four, "24h": four, "24h_before": (3, [3]), "7d": (7, [7])}
    clock.now_s += 7 * 86_400 - 3_600
    windows.hear("a", counts(5), is_new=True)
    assert shown(windows)["7d"] == (9, [9])


def test_what_is_older_than_a_day_is_kept_by_hours_and_loses_no_row() -> None:
    """A week by five minutes would be seven times the memory."""
    clock = Clock()
    windows = DriftWindows(clock)
    n_buckets = 2 * 86_400 // BUCKET_S
    for _ in range(n_buckets):
        windows.hear("a", counts(1), is_new=True)
        clock.now_s += BUCKET_S
    clock.now_s -= BUCKET_S
    found = shown(windows)
    assert found["24h"] == (n_buckets // 2, [n_buckets // 2])
    assert found["7d"] == (n_buckets, [n_buckets])
    assert n_buckets // 2 - 12 <= found["24h_before"][0] <= n_buckets // 2
    assert len(windows.dump().series[0][1]) <= n_buckets // 2 + 25
    again = DriftWindows(clock)
    again.go_on(decode(encode(windows.dump())))
    assert shown(again) == found


def test_no_more_is_kept_than_a_week_has() -> None:
    """What is furthest from now goes first, and what is older than a week is in no window."""
    clock = Clock()
    windows = DriftWindows(clock)
    n_hours = 10 * 24
    for _ in range(n_hours):
        windows.hear("a", counts(1), is_new=True)
        clock.now_s += 3_600
    for _ in range(86_400 // BUCKET_S):
        windows.hear("a", counts(1), is_new=True)
        clock.now_s += BUCKET_S
    [(_, starts_s, _)] = windows.dump().series
    assert len(starts_s) == MOST_BUCKETS
    assert shown(windows)["7d"] == (6 * 24 + 287, [6 * 24 + 287])


def test_a_clock_that_is_set_back_adds_no_rows_of_the_future() -> None:
    """They are in no window until their time has come."""
    clock = Clock()
    windows = DriftWindows(clock)
    windows.hear("a", counts(1), is_new=True)
    clock.now_s -= 7_200
    windows.hear("a", counts(2), is_new=True)
    assert shown(windows)["24h"] == (2, [2])


@pytest.mark.parametrize("wrong_s", [60.0, BEGIN_S + 8 * 86_400])
def test_a_clock_that_was_wrong_for_a_moment_loses_no_rows(wrong_s: float) -> None:
    """A machine that has not asked for the time yet, or one that is told a wrong one."""
    clock = Clock()
    windows = DriftWindows(clock)
    n_buckets = 7 * 86_400 // BUCKET_S
    for _ in range(n_buckets):
        windows.hear("a", counts(1), is_new=True)
        clock.now_s += BUCKET_S
    right_s = clock.now_s
    before = shown(windows)["7d"][0]
    clock.now_s = wrong_s
    for _ in range(2):
        again = DriftWindows(clock)
        again.go_on(decode(encode(windows.dump())))
        again.hear("a", counts(1), is_new=True)
        windows = again
    clock.now_s = right_s
    windows.hear("a", counts(5), is_new=True)
    # Hours in place of minutes at most, and a bucket that made room for the wrong one.
    assert before - 12 <= shown(windows)["7d"][0] <= before + 5
    assert windows.sums().begin_s == BEGIN_S


def test_since_when_rows_are_counted_is_right_once_the_clock_is() -> None:
    """Else a model would be silent since 1970, or counted from next week on."""
    for wrong_s in (60.0, BEGIN_S + 8 * 86_400):
        clock = Clock()
        clock.now_s = wrong_s
        windows = DriftWindows(clock)
        windows.hear("a", counts(1), is_new=True)
        kept = encode(windows.dump())
        clock.now_s = BEGIN_S
        again = DriftWindows(clock)
        again.go_on(decode(kept))
        for found in (windows, again):
            assert found.sums().begin_s == BEGIN_S


def test_versions_are_apart_and_the_one_that_is_silent_longest_is_forgotten() -> None:
    """A table that changes a hundred times a day does not fill the memory."""
    windows = DriftWindows(Clock())
    for i in range(MOST_VERSIONS + 1):
        windows.hear("a", counts(i + 1, version=f"1.0.{i}"), is_new=True)
    found = windows.sums().windows
    assert len(found) == MOST_VERSIONS
    assert Counted("1.0.0", "d", 1) not in found
    assert found[Counted("1.0.3", "d", 1)]["1h"].n_rows == 4


def test_counts_of_another_length_are_not_added() -> None:
    """Counting starts again, where a file is not what it says."""
    windows = DriftWindows(Clock())
    windows.hear("a", counts(1, 2), is_new=True)
    windows.hear("a", counts(1, 2, 3), is_new=True)
    assert shown(windows)["1h"] == (6, [1, 2, 3])


def test_what_was_kept_is_added_to_what_came_since() -> None:
    """It went to a file, and came back from it."""
    clock = Clock()
    before = DriftWindows(clock)
    before.hear("a", counts(1, 2), is_new=True)
    before.hear("a", counts(5, version="2.0.0"), is_new=True)
    clock.now_s += 600
    after = DriftWindows(clock)
    after.hear("a", counts(10, 10), is_new=True)
    after.go_on(decode(encode(before.dump())))
    assert shown(after)["1h"] == (23, [11, 12])
    assert after.sums().windows[Counted("2.0.0", "d", 1)]["1h"].n_rows == 5


def test_since_when_rows_are_counted_outlives_a_restart_also_without_rows() -> None:
    """Else a model that nobody asks would be new after each restart."""
    clock = Clock()
    before = DriftWindows(clock)
    clock.now_s += 9 * 86_400
    after = DriftWindows(clock)
    assert after.sums().begin_s == clock.now_s
    after.go_on(decode(encode(before.dump())))
    assert after.sums().begin_s == BEGIN_S


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 no archive",
        encode(DriftWindows().dump())[:-10],
        _npz(names=np.frombuffer(b'[["1.0.0", "d", 1]]', dtype=np.uint8)),
        _npz(names=np.array([object()], dtype=object)),
    ],
)
def test_what_is_no_file_of_counts_is_refused_in_words(data: bytes) -> None:
    """A pickle in it is not opened."""
    with pytest.raises(ValueError, match="found no file of counts"):
        decode(data)
