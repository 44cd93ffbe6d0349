"""What was counted of each version, by the time at which it came: buckets of minutes and hours."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple, Self

from serve_app.monitoring.drift_bins import Counts

BUCKET_S = 300
HOUR_S = 3_600
DAY_S = 86_400
WEEK_DAYS = 7
# A day by buckets, the days before by hours, and an hour that has begun.
MOST_BUCKETS = DAY_S // BUCKET_S + (WEEK_DAYS - 1) * 24 + 1
# Of one model. The one that was heard least lately goes first.
MOST_VERSIONS = 20


class Counted(NamedTuple):
    """What counts belong to: a version, its manifest, and how its bins are laid out."""

    version: str
    manifest_sha256: str
    places: int


class Buckets:
    """By the second at which a bucket begins, rows and counts: (1 + size,)."""

    def __init__(self, sums: Mapping[int, Counts] = MappingProxyType({})) -> None:
        self.sums = dict(sums)

    def add(self, start_s: int, vector: Counts) -> None:
        """Add rows and counts to a bucket."""
        if any(len(known) != len(vector) for known in self.sums.values()):
            # A file that was kept is not what it says: counting starts again.
            self.sums.clear()
        known = self.sums.get(start_s)
        self.sums[start_s] = vector.copy() if known is None else known + vector

    def forget(self, now_s: int) -> None:
        """Leave at most as many as a week has.

        Those furthest from now go first, and none goes for its time alone: the clock may be wrong,
        before it has been set or for a moment, and then all of the week would be gone.
        """
        while len(self.sums) > MOST_BUCKETS:
            del self.sums[max(self.sums, key=lambda start_s: abs(now_s - start_s))]

    def merge(self, until_s: int) -> None:
        """Keep what came until then by hours: nobody asks for less of it."""
        for start_s in [s for s in self.sums if s <= until_s and s % HOUR_S]:
            vector = self.sums.pop(start_s)
            self.add(start_s - start_s % HOUR_S, vector)


class Series:
    """Versions with their buckets; `now_s` gives when the bucket of now begins."""

    def __init__(self, now_s: Callable[[], int]) -> None:
        self._now_s = now_s
        self.versions: dict[Counted, Buckets] = {}

    def __bool__(self) -> bool:
        """Whether anything was counted."""
        return bool(self.versions)

    def __iter__(self) -> Iterator[tuple[Counted, int, Counts]]:
        """Each bucket of each version."""
        for counted, buckets in self.versions.items():
            for start_s, vector in buckets.sums.items():
                yield counted, start_s, vector

    def add(self, counted: Counted, start_s: int, vector: Counts) -> None:
        """Add to a bucket of a version, which was heard last now."""
        buckets = self.versions.pop(counted, None) or Buckets()
        self.versions[counted] = buckets
        buckets.add(start_s, vector)
        now_s = self._now_s()
        buckets.merge(now_s - DAY_S)
        buckets.forget(now_s)
        while len(self.versions) > MOST_VERSIONS:
            del self.versions[next(iter(self.versions))]

    def merge(self, later: Self) -> None:
        """Add another series."""
        for counted, start_s, vector in later:
            self.add(counted, start_s, vector)
