"""What a prediction log says by itself: traffic over time, drift against training, slices."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np

from serve_app.bundle.manifest import Manifest
from serve_app.contract import Feature, ModelSpec
from serve_app.contract.block import MISSING_CATEGORY, Block, Layout, Scores, has_failed
from serve_app.monitoring.drift_bins import DriftBins
from serve_app.monitoring.drift_view import NO_REFERENCE, VersionDrift, window_drift
from serve_app.monitoring.drift_windows import WindowSum
from serve_app.monitoring.log.line import Line
from serve_app.statistics.bins import Bins, Name
from serve_app.statistics.times import EDGES_MS, N_BINS, Times

# Traffic is counted by so many seconds, and shown by longer times where there are many.
STEP_S = 300
# Rows that are counted together, of a day at most: else nobody knows which dates are of the moment.
MOST_WAITING = 2_000
MOST_SPAN_S = 86_400
# The manifest of a version and its digest, or why there is none.
Bundle = tuple[Manifest, str] | str
# The window that drift has in a report of a log alone.
LOGGED = "log"
ABSENT = "the log lacks {}: `log.leave_out` or `log.hashed` keeps them out"
OTHER_BUNDLE = "some rows were answered by another bundle of this version, and are not compared"
NO_BUNDLE = "its bundle cannot be read, so nothing is compared: {}"


@dataclass
class SliceSum:
    """Rows of one bin; `score_sum` is of the `n_scored` that have a score."""

    n_rows: int = 0
    n_failed: int = 0
    score_sum: float = 0.0

    @property
    def n_scored(self) -> int:
        """Rows with a score."""
        return self.n_rows - self.n_failed

    @property
    def mean_score(self) -> float:
        """Of those with a score; NaN where there is none."""
        return self.score_sum / self.n_scored if self.n_scored else float("nan")


@dataclass
class VersionLog:
    """What one version answered, as the log has it."""

    n_rows: int = 0
    by_time: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    times: Times = field(default_factory=Times)
    slices: dict[Name, SliceSum] = field(default_factory=lambda: defaultdict(SliceSum))
    drift: VersionDrift = field(default_factory=lambda: VersionDrift(detail="", windows={}))
    manifest: Manifest | None = None


@dataclass
class LogFacts:
    """Everything that a report takes from a log; `place` is where it is."""

    place: str
    versions: dict[str, VersionLog] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Of all versions."""
        return sum(one.n_rows for one in self.versions.values())


class _Rows(NamedTuple):
    """Rows of one line; `is_own`: they were answered by the bundle that is known here."""

    at_s: np.ndarray
    ms: np.ndarray
    block: Block
    scores: Scores
    is_own: bool


def _joined(some: Sequence[_Rows]) -> tuple[Block, Scores]:
    block = Block.concat([rows.block for rows in some])
    return block, np.concatenate([rows.scores for rows in some])


class _Counting:
    """One version while its lines are read."""

    def __init__(self, spec: ModelSpec, bundle: Bundle) -> None:
        self.found = VersionLog()
        self._spec = spec
        self._now_s = 0.0
        self._digest = ""
        self._trouble = ""
        self._absent: set[str] = set()
        self._counts = np.zeros(0, dtype=np.int64)
        self._since_s = float("inf")
        self._n_compared = 0
        self._waiting: list[_Rows] = []
        self._n_waiting = 0
        self._bins: DriftBins | None = None
        references = {}
        if isinstance(bundle, str):
            self._trouble = NO_BUNDLE.format(bundle)
        else:
            self.found.manifest, self._digest = bundle
            references = self.found.manifest.references
            self._bins = DriftBins(self.found.manifest, spec.contract, lambda: self._now_s)
            self._counts = np.zeros(self._bins.size, dtype=np.int64)
        self._slices = Bins(references, spec.contract)

    def add(self, line: Line, rows: np.ndarray) -> None:
        """Keep the rows of a line that are asked for, (n,) by their places, until there are some.

        A row that is counted alone costs a hundred times what it does among others.
        """
        self.found.n_rows += len(rows)
        self.found.outcomes.update(line.outcomes[i] for i in rows)
        block, absent = block_of(line, self._spec.contract)
        self._absent |= absent
        # Of a version that had left its table nobody knows the manifest.
        is_own = line.manifest_sha256 in ("", self._digest)
        if self._bins is not None and not is_own:
            self._trouble = OTHER_BUNDLE
        at_s = np.array(line.at_us)[rows] // 1_000_000
        some = _Rows(at_s, np.array(line.ms)[rows], block[rows], line.scores[rows], is_own)
        if self._waiting and at_s[-1] - self._waiting[0].at_s[0] > MOST_SPAN_S:
            self._count()
        self._waiting.append(some)
        self._n_waiting += len(rows)
        if self._n_waiting >= MOST_WAITING:
            self._count()

    def _count(self) -> None:
        """Count what waits."""
        waiting = self._waiting
        self._waiting = []
        self._n_waiting = 0
        if not waiting:
            return
        found = self.found
        at_s = np.concatenate([some.at_s for some in waiting])
        for begin, n in zip(*np.unique(at_s // STEP_S, return_counts=True), strict=True):
            found.by_time[int(begin) * STEP_S] += int(n)
        places = np.searchsorted(EDGES_MS, np.concatenate([some.ms for some in waiting]))
        found.times.add(np.bincount(places, minlength=N_BINS).tolist())
        self._add_slices(*_joined(waiting))
        own = [some for some in waiting if some.is_own]
        if self._bins is None or not self._bins.size or not own:
            return
        self._now_s = float(at_s[-1])
        self._since_s = min(self._since_s, float(own[0].at_s[0]))
        block, scores = _joined(own)
        self._n_compared += len(block)
        self._counts += self._bins.count(block, scores)

    def _add_slices(self, block: Block, scores: Scores) -> None:
        failed = has_failed(scores)
        principal = np.where(failed, 0.0, principal_of(self._spec, scores))
        slices = self.found.slices
        for name, n_rows, n_failed in self._slices.count(block, failed):
            slices[name].n_rows += n_rows
            slices[name].n_failed += n_failed
        for name, _, total in self._slices.sums(block, principal):
            slices[name].score_sum += total

    def done(self) -> VersionLog:
        """What was found, without the fields that the log lacks."""
        self._count()
        found = self.found
        for name in [name for name in found.slices if name[0] in self._absent]:
            del found.slices[name]
        said = [self._trouble] if self._trouble else []
        if self._absent:
            said.append(ABSENT.format(", ".join(sorted(self._absent))))
        windows = {}
        if self._bins is not None and found.manifest is not None:
            for absent in self._absent:
                self._bins.features.pop(absent, None)
            if not self._bins.size:
                said.append(NO_REFERENCE.format(found.manifest.format))
            elif self._n_compared:
                total = WindowSum(self._since_s, self._n_compared, self._counts)
                windows[LOGGED] = window_drift(self._spec, found.manifest, self._bins, total)
        found.drift = VersionDrift(detail="; ".join(said), windows=windows)
        return found


def block_of(line: Line, contract: Iterable[Feature]) -> tuple[Block, set[str]]:
    """The rows of a line as a block, and the fields that it has no values of."""
    layout = Layout(contract)
    features = line.features
    names = (*layout.number_names, *layout.category_names)
    absent = {name for name in names if name not in features or name in line.hashed}
    numbers = [
        [np.nan] * len(line) if name in absent else features[name] for name in layout.number_names
    ]
    texts = [
        [MISSING_CATEGORY] * len(line) if name in absent else features[name]
        for name in layout.category_names
    ]
    return Block(
        np.array(numbers, dtype=np.float64).reshape(len(numbers), len(line)).T,
        np.array(texts, dtype=object).reshape(len(texts), len(line)).T,
    ), absent


def principal_of(spec: ModelSpec, scores: Scores) -> np.ndarray:
    """(n_rows,) the score, the first of several outputs, or how sure a class is."""
    if scores.ndim == 1:
        return scores
    if spec.kind == "classifier":
        return np.asarray(scores.max(axis=1))
    return np.asarray(scores[:, 0])


def log_facts(
    place: str,
    lines: Iterable[Line],
    spec: ModelSpec,
    bundle_of: Callable[[str], Bundle],
    since: datetime | None = None,
) -> LogFacts:
    """Count the lines of a log, in memory that does not grow with it.

    `bundle_of(version)` gives a manifest with its digest, or says why there is none. Raises
    PredictionLogError.
    """
    since_us = 0 if since is None else int(since.timestamp() * 1e6)
    counting: dict[str, _Counting] = {}
    for line in lines:
        rows = np.flatnonzero(np.array(line.at_us) >= since_us)
        if not len(rows):
            continue
        if line.version not in counting:
            counting[line.version] = _Counting(spec, bundle_of(line.version))
        counting[line.version].add(line, rows)
    return LogFacts(place, {version: one.done() for version, one in sorted(counting.items())})
