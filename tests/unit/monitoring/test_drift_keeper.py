"""What was counted is there after a restart of the coordinator."""

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from serve_app.bundle.objects import ObjectFault, Objects, open_objects
from serve_app.monitoring.drift_counter import DriftCounts
from serve_app.monitoring.drift_keeper import FILE, DriftKeeper
from serve_app.monitoring.drift_windows import DAY_S, Counted, DriftWindows, Dump, decode, encode


class Away(Objects):
    """A store that gives nothing while it is away."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.is_away = False
        self.n_written = 0

    def get(self, key: str, most_bytes: int) -> bytes:
        """The bytes, or a fault."""
        if self.is_away:
            raise ObjectFault("TimeoutError")
        return super().get(key, most_bytes)

    def replace(self, key: str, data: bytes) -> None:
        """Noted."""
        if self.is_away:
            raise ObjectFault("TimeoutError")
        self.n_written += 1
        super().replace(key, data)


def heard(windows: DriftWindows, n_rows: int) -> None:
    """A server counted so many rows."""
    counts = np.array([n_rows], dtype=np.int64)
    windows.hear("a", [DriftCounts("1.0.0", "d", n_rows, counts)], is_new=True)


def n_rows_of(windows: DriftWindows) -> int:
    """All rows of the last hour."""
    return sum(found["1h"].n_rows for found in windows.sums().windows.values())


def coordinator(objects: Objects) -> tuple[DriftWindows, DriftKeeper]:
    """A coordinator that has just started."""
    windows = DriftWindows()
    return windows, DriftKeeper(windows, lambda: objects, "churn/app")


async def test_a_coordinator_that_starts_again_goes_on_with_the_counts() -> None:
    """Those that came before it read the file are added to them."""
    store = Away()
    windows, keeper = coordinator(store)
    heard(windows, 3)
    await keeper.keep()
    await keeper.keep()
    windows, keeper = coordinator(store)
    heard(windows, 4)
    await keeper.keep()
    assert n_rows_of(windows) == 7
    await keeper.keep()
    windows, keeper = coordinator(store)
    await keeper.keep()
    assert n_rows_of(windows) == 7


async def test_nothing_is_written_where_nothing_came() -> None:
    """An idle model fills no store with versions of a file."""
    store = Away()
    windows, keeper = coordinator(store)
    heard(windows, 3)
    for _ in range(4):
        await keeper.keep()
    assert store.n_written == 1


async def test_since_when_rows_are_counted_is_kept_before_there_are_any() -> None:
    """A model that nobody asks is silent since then, whatever starts again meanwhile."""
    store = Away()
    first, keeper = coordinator(store)
    await keeper.keep()
    await keeper.keep()
    again, keeper = coordinator(store)
    await keeper.keep()
    assert again.sums().begin_s == first.sums().begin_s


async def test_a_store_that_is_away_is_said_and_its_file_is_not_lost() -> None:
    """It is read as soon as it is back, and only then written."""
    store = Away()
    windows, keeper = coordinator(store)
    heard(windows, 3)
    await keeper.keep()
    await keeper.keep()
    store.is_away = True
    windows, keeper = coordinator(store)
    heard(windows, 4)
    await keeper.keep()
    assert "TimeoutError" in windows.sums().trouble
    assert n_rows_of(windows) == 4
    store.is_away = False
    await keeper.keep()
    assert windows.sums().trouble == ""
    assert n_rows_of(windows) == 7


NOW_S = int(time.time() // 300) * 300
ONE = np.array([[1, 1]], dtype=np.int64)


def a_file(
    begin_s: float = NOW_S, starts: Any = (NOW_S,), vectors: Any = ONE, **name: Any
) -> bytes:
    """What a coordinator keeps, changed."""
    counted = Counted(**{"version": "1.0.0", "manifest_sha256": "d", "places": 1, **name})
    return encode(Dump(begin_s, [(counted, starts, vectors)]))


BROKEN_FILES = {
    "half a file": b"half a file",
    "begun before all time": a_file(begin_s=-1e30),
    "begun at no time": a_file(begin_s=math.nan),
    "begun after all time": a_file(begin_s=1e30),
    "a bucket before all time": a_file(starts=(-(2**62),)),
    "a bucket after all time": a_file(starts=(2**62,)),
    "counts without rows": a_file(vectors=np.array([1], dtype=np.int64)),
    "more counts than buckets": a_file(vectors=np.array([[1, 1]] * 2, dtype=np.int64)),
    "counts below nothing": a_file(vectors=np.array([[1, -1]], dtype=np.int64)),
    "counts beyond a sum": a_file(vectors=np.array([[2**62, 1]], dtype=np.int64)),
    "a version that is a number": a_file(version=1),
    "places that are a list": a_file(places=[1]),
}


@pytest.mark.parametrize("data", BROKEN_FILES.values(), ids=BROKEN_FILES)
async def test_a_file_that_is_none_is_replaced(data: bytes) -> None:
    """What nobody can have counted tells nothing, so counting starts again."""
    store = Away()
    store.replace(f"churn/app/{FILE}", data)
    windows, keeper = coordinator(store)
    heard(windows, 3)
    await keeper.keep()
    await keeper.keep()
    assert windows.trouble == ""
    windows, keeper = coordinator(store)
    await keeper.keep()
    assert n_rows_of(windows) == 3
    assert abs(windows.sums().begin_s - time.time()) < 10 * DAY_S


async def test_a_whole_file_is_what_the_broken_ones_are_changes_of() -> None:
    """Its row is there: what is refused is refused for its change."""
    store = Away()
    store.replace(f"churn/app/{FILE}", a_file())
    windows, keeper = coordinator(store)
    await keeper.keep()
    assert n_rows_of(windows) == 1


@given(st.integers(0, 2_000), st.binary(max_size=8))
def test_a_file_with_other_bytes_in_it_is_a_dump_or_an_error(at: int, other: bytes) -> None:
    """Whatever a disk or a stranger has done to it; zip has sums of its own."""
    whole = a_file()
    place = at % len(whole)
    try:
        found = decode(whole[:place] + other + whole[place + len(other) :])
    except ValueError:
        return
    DriftWindows().go_on(found)


async def test_a_folder_that_cannot_be_opened_is_said() -> None:
    """The coordinator goes on all the same."""

    def fail() -> Any:
        raise OSError("read-only file system")

    windows = DriftWindows()
    keeper = DriftKeeper(windows, fail, "churn/app")
    heard(windows, 3)
    await keeper.keep()
    assert "read-only file system" in windows.sums().trouble
    assert n_rows_of(windows) == 3


async def test_the_file_lies_next_to_the_logs_of_rollouts(tmp_path: Any) -> None:
    """One small file of the application, whole or not there."""
    store = open_objects(str(tmp_path), retry_s=1, timeout_s=1)
    windows, keeper = coordinator(store)
    heard(windows, 3)
    await keeper.keep()
    await keeper.keep()
    assert [path.name for path in (tmp_path / "churn/app").iterdir()] == [FILE]


async def test_two_coordinators_lose_nothing_of_each_other() -> None:
    """One cluster takes the place of another: both count for a while, and have one file."""
    store = Away()
    before, keeping_before = coordinator(store)
    after, keeping_after = coordinator(store)
    for keeper in (keeping_before, keeping_after):
        await keeper.keep()
    heard(before, 5)
    await keeping_before.keep()
    heard(after, 1)
    await keeping_after.keep()
    heard(before, 10)
    await keeping_before.keep()
    await keeping_before.keep()
    assert n_rows_of(before) == 16
    last, keeping_last = coordinator(store)
    await keeping_last.keep()
    assert n_rows_of(last) == 16
    assert last.sums().begin_s == before.sums().begin_s


async def test_a_coordinator_that_counted_nothing_reads_along_and_writes_nothing() -> None:
    """It would write what was there when it started."""
    store = Away()
    waiting, keeping_waiting = coordinator(store)
    await keeping_waiting.keep()
    counting, keeper = coordinator(store)
    heard(counting, 5)
    await keeper.keep()
    n_written = store.n_written
    await keeping_waiting.keep()
    assert store.n_written == n_written
    assert n_rows_of(waiting) == 5


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_write_that_failed_counts_once_whether_it_arrived_or_not(arrives: bool) -> None:
    """A store may take the bytes and lose its answer."""

    class Answerless(Away):
        """Takes one file, or not, and says in both cases that it did not."""

        is_answering = True

        def replace(self, key: str, data: bytes) -> None:
            """One fault."""
            if self.is_answering or arrives:
                super().replace(key, data)
            if not self.is_answering:
                self.is_answering = True
                raise ObjectFault("TimeoutError")

    store = Answerless()
    windows, keeper = coordinator(store)
    heard(windows, 3)
    await keeper.keep()
    heard(windows, 4)
    store.is_answering = False
    await keeper.keep()
    assert "TimeoutError" in windows.sums().trouble
    heard(windows, 2)
    await keeper.keep()
    assert n_rows_of(windows) == 9
    again, keeper = coordinator(store)
    await keeper.keep()
    assert n_rows_of(again) == 9


async def test_a_file_that_is_gone_is_written_again() -> None:
    """What is known here stays known, and the next one reads it."""
    store = Away()
    windows, keeper = coordinator(store)
    heard(windows, 3)
    await keeper.keep()
    store.delete(f"churn/app/{FILE}")
    heard(windows, 4)
    await keeper.keep()
    again, keeper = coordinator(store)
    await keeper.keep()
    assert n_rows_of(again) == 7
