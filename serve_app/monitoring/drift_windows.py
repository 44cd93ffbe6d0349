"""The coordinator's end of drift: what all servers counted, summed by five minutes."""

import io
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from serve_app.monitoring.drift_bins import Counts
from serve_app.monitoring.drift_counter import DriftCounts
from serve_app.monitoring.drift_series import (
    BUCKET_S,
    DAY_S,
    HOUR_S,
    WEEK_DAYS,
    Buckets,
    Counted,
    Series,
)
from serve_app.monitoring.file_turns import FileTurns

# The beginning of 2026, before any of this ran: a clock that shows less has not been set yet.
SET_S = 1_767_225_600


class Window(NamedTuple):
    """So many seconds ago it begins, and ends."""

    begin_s: int
    end_s: int = 0


HOUR = "1h"
DAY = "24h"
DAY_BEFORE = "24h_before"
WEEK = "7d"
# Each with the bucket that is being filled, so that an hour is 55 to 60 minutes. A day has one
# weekday: only a week is a sample of all that comes again and again.
WINDOWS: Mapping[str, Window] = {
    HOUR: Window(HOUR_S),
    DAY: Window(DAY_S),
    DAY_BEFORE: Window(2 * DAY_S, DAY_S),
    WEEK: Window(WEEK_DAYS * DAY_S),
}
# Times and counts of a file beyond these are none: of the year 5138, and of more rows than fit.
MOST_S = 1e11
MOST_ROWS = 1e15


@dataclass(frozen=True)
class WindowSum:
    """The sum over a window; `since_s` is when its first row came, to five minutes."""

    since_s: float
    n_rows: int
    counts: Counts


@dataclass(frozen=True)
class DriftSums:
    """For each version that answered in the last week, the sum of each window that has rows.

    `begin_s` is since when rows are counted, in seconds since 1970. `trouble` says why the counts
    would not outlive the coordinator; empty when they would.
    """

    windows: Mapping[Counted, Mapping[str, WindowSum]]
    begin_s: float
    trouble: str = ""


@dataclass(frozen=True)
class Dump:
    """Everything that is kept through a restart.

    `series` has for each version the starts of its buckets, and their sums.
    """

    begin_s: float
    series: Sequence[tuple[Counted, list[int], Counts]] = ()


class DriftWindows:
    """Sums what the servers of a model count; a part of the report.

    Buckets go by the clock on the wall, since they are kept through a restart, and so is since when
    rows are counted. Rows of the future, by a clock that was wrong, are in no window. `turns` knows
    what no file has yet; `trouble` is told with the sums.
    """

    name = "drift"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._begin_s = clock()
        self._all = Series(self._now_s)
        self.turns = FileTurns(lambda: Series(self._now_s))
        self.trouble = ""

    def hear(self, server: str, taken: Iterable[DriftCounts], *, is_new: bool) -> None:
        """Add what a server counted; a report that was heard before is not counted again."""
        if not is_new:
            return
        for one in taken:
            counted = Counted(one.version, one.manifest_sha256, one.places)
            vector = np.concatenate([[one.n_rows], one.counts])
            for series in (self._all, self.turns.since):
                series.add(counted, self._now_s(), vector)

    def tell(self, server: str) -> None:
        """Nothing is told."""

    def sums(self) -> DriftSums:
        """The sums of now."""
        now_s = self._now_s()
        found = {
            counted: {
                name: window
                for name, (begin_s, end_s) in WINDOWS.items()
                if (window := _sum(buckets, now_s - begin_s, now_s - end_s)) is not None
            }
            for counted, buckets in self._all.versions.items()
        }
        with_rows = {counted: windows for counted, windows in found.items() if windows}
        return DriftSums(with_rows, min(self._since_s(), self._clock()), self.trouble)

    def dump(self) -> Dump:
        """Everything, to be kept."""
        series = [
            (counted, list(buckets.sums), np.stack(list(buckets.sums.values())))
            for counted, buckets in self._all.versions.items()
            if buckets.sums
        ]
        return Dump(self._since_s(), series)

    def go_on(self, dumped: Dump) -> None:
        """Know what was kept, and what was heard since that no file has."""
        known = Series(self._now_s)
        for counted, starts_s, vectors in dumped.series:
            known.versions[counted] = Buckets(dict(zip(starts_s, vectors, strict=True)))
        known.merge(self.turns.since)
        self._all = known
        begins_s = [s for s in (self._begin_s, dumped.begin_s) if s >= SET_S]
        self._begin_s = min(begins_s, default=self._begin_s)

    def _since_s(self) -> float:
        """Since when rows are counted, as soon as the clock has been set."""
        if self._begin_s < SET_S:
            self._begin_s = self._clock()
        return self._begin_s

    def _now_s(self) -> int:
        """When the bucket of now begins."""
        return int(self._clock() // BUCKET_S) * BUCKET_S


def _sum(buckets: Buckets, after_s: int, until_s: int) -> WindowSum | None:
    inside = {s: v for s, v in buckets.sums.items() if after_s < s <= until_s}
    if not inside:
        return None
    total = np.sum(list(inside.values()), axis=0)
    return WindowSum(float(min(inside)), int(total[0]), total[1:])


def encode(dumped: Dump) -> bytes:
    """A file of NumPy (npz) without pickles: what `DriftWindows.dump` gave."""
    arrays: dict[str, Any] = {}
    names = []
    for i, (counted, starts_s, vectors) in enumerate(dumped.series):
        names.append(counted)
        arrays[f"starts{i}"] = np.array(starts_s, dtype=np.int64)
        arrays[f"vectors{i}"] = vectors
    arrays["begin_s"] = np.array(dumped.begin_s, dtype=np.float64)
    arrays["names"] = np.frombuffer(json.dumps(names).encode(), dtype=np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def decode(data: bytes) -> Dump:
    """What `encode` made a file of. Raises ValueError when it is none."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            names = json.loads(arrays["names"].tobytes())
            series = [
                (
                    Counted(*name),
                    arrays[f"starts{i}"].tolist(),
                    arrays[f"vectors{i}"].astype(np.int64, casting="safe"),
                )
                for i, name in enumerate(names)
            ]
            begin_s = float(arrays["begin_s"])
            _require(begin_s, series)
            return Dump(begin_s, series)
    except Exception as error:
        raise ValueError(f"found no file of counts ({type(error).__name__})") from error


def _require(begin_s: float, series: Sequence[tuple[Counted, list[int], Counts]]) -> None:
    """Look whether this can have been counted. Raises ValueError."""
    if not 0 <= begin_s <= MOST_S:
        raise ValueError(f"found {begin_s} as the time of a beginning")
    for counted, starts_s, vectors in series:
        kinds = [type(part) for part in counted]
        if kinds != [str, str, int] or vectors.ndim != 2 or len(starts_s) != len(vectors):
            raise ValueError(f"found a series of {kinds} with the shape {vectors.shape}")
        is_counted = vectors.size and 0 <= vectors.min() <= vectors.max() <= MOST_ROWS
        if not is_counted or not all(0 <= start_s <= MOST_S for start_s in starts_s):
            raise ValueError("found counts or times that are none")
