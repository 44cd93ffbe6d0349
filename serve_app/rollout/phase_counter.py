"""What one server counts of the answers of one phase of a rollout."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from serve_app.bundle.manifest import Manifest
from serve_app.contract import Features, ModelSpec
from serve_app.contract.block import Block, Scores, has_failed, principal_score
from serve_app.rollout.counts import ARMS, MOST_REPORTED_KEYS, Arm, Counts, Slice, digest
from serve_app.rollout.fault import OF_THE_MODEL, Fault, InPlace
from serve_app.rollout.slicer import Slicer
from serve_app.settings import Rollout
from serve_app.statistics.bins import Bins
from serve_app.statistics.disagreement import Comparison, largest_shift
from serve_app.statistics.score_bins import ScoreBins, with_half_widths
from serve_app.statistics.times import N_BINS, bin_of

# Keys of a phase whose first score and time go into the histograms: enough to tell where they lie.
MOST_SCORED_KEYS = 20_000


@dataclass
class _Stop:
    """The candidate's bad answers one after the other, as of one process, in seconds.

    A good answer ends it when it began after the last bad one was given up: while one replica
    stalls, others go on answering well. What began before that end belongs to it.
    """

    is_open: bool = False
    last_bad_s: float = 0.0
    ended_s: float = 0.0

    def good(self, began_s: float) -> None:
        if self.is_open and began_s > self.last_bad_s:
            self.is_open = False
            self.ended_s = began_s

    def begins(self, began_s: float, now_s: float) -> bool:
        """Take in a bad answer; whether a stop begins with it."""
        is_new = not self.is_open and began_s >= self.ended_s
        self.is_open = True
        self.last_bad_s = now_s
        return is_new


class PhaseCounter:
    """Counts of one phase since they were last taken.

    What it counts by is the plan and stable's manifest, neither of which changes within a phase.
    `is_shadow`: whether the candidate scores the same rows now; `is_mixed`: whether one version is
    in the server and the other is not. Not thread-safe: it lives on the event loop of its server.
    """

    def __init__(
        self,
        spec: ModelSpec,
        plan: Rollout,
        key: tuple[str, int],
        stable: Manifest,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        # Whether the last answer of a version was bad, and its last good one slow. Not when it
        # began: stable may take longer than a candidate, and would begin fewer incidents.
        self._is_bad = dict.fromkeys(ARMS, False)
        self._is_slow = dict.fromkeys(ARMS, False)
        self._stop = _Stop()
        self.key = key
        self.is_shadow = False
        self.is_mixed = False
        self.candidate = plan.candidate
        self._slow_s = plan.guardrails.slow_ms / 1000
        self._spec = spec
        self._parameters = with_half_widths(stable)
        self._candidate_parameters: Mapping[str, float] | None = None
        self._comparison = Comparison.of(spec, self._parameters)
        self._score_bins = ScoreBins(stable)
        self._bins = Bins(stable.references, stable.contract)
        self._slicer = Slicer(plan.slice_by, stable) if plan.slice_by else None
        self._scored: set[str] = set()
        self._counts = self._empty()

    def note(
        self,
        routing_key: str,
        version: str,
        seconds: float,
        fault: Fault | None,
        score: float | Sequence[float] | None = None,
        row: Features | None = None,
    ) -> None:
        """Count a request for the version that it was assigned to.

        `fault` is what that version did wrong; `score` is that of its first row, or are those of
        its classes or outputs, where it did nothing wrong. `row` is the first one, which says to
        which slices the request belongs.
        """
        counts = self._counts
        arm: Arm = "candidate" if version == self.candidate else "stable"
        counts.requests[arm] += 1
        now_s = self._clock()
        began_s = now_s - seconds
        if fault is not None:
            counts.bad[arm][fault] += 1
            # What the model itself does wrong is wrong each time. What a process does that stalls,
            # is replaced or is full is one event.
            of_process = fault not in OF_THE_MODEL
            begins = not of_process or not self._is_bad[arm]
            self._is_bad[arm] = True
            if arm == "candidate":
                stops = self._stop.begins(began_s, now_s)
                counts.n_stops += stops and of_process
            counts.errors.put(arm, routing_key, counts=begins, of_process=of_process)
            if self._slicer is not None and row is not None:
                self._slicer.count(counts, arm, routing_key, row, begins, of_process=of_process)
            return
        if self._slicer is not None and row is not None:
            self._slicer.count(counts, arm, routing_key, row, None)
        self._is_bad[arm] = False
        if arm == "candidate":
            self._stop.good(began_s)
        is_slow = seconds > self._slow_s
        if is_slow:
            counts.slow.put(arm, routing_key, counts=not self._is_slow[arm])
        self._is_slow[arm] = is_slow
        if score is not None:
            self._count_first(arm, routing_key, score, seconds)

    def keep_example(self, version: str, fault: Fault, request_id: str) -> bool:
        """Keep the id of a bad request as an example of its fault.

        Return whether it is the first since the counts were last taken: that one is logged.
        """
        examples = self._counts.examples["candidate" if version == self.candidate else "stable"]
        if fault in examples or not request_id:
            return False
        examples[fault] = request_id
        return True

    def note_in_place(self, how: InPlace | None) -> None:
        """Count a request that stable was asked in the candidate's place."""
        if how == "sound":
            self._counts.n_stood_in += 1
        if how == "broken":
            self._counts.n_broken_in_place += 1

    def _count_first(
        self, arm: Arm, routing_key: str, score: float | Sequence[float], seconds: float
    ) -> None:
        """Count score and time of a key's first good answer: a heavy client counts once."""
        if len(self._scored) >= MOST_SCORED_KEYS or routing_key in self._scored:
            return
        self._scored.add(routing_key)
        histogram = self._counts.scores[arm]
        if not histogram:
            histogram.extend([0] * self._score_bins.n_bins)
        histogram[self._score_bins.bin_of(score)] += 1
        if self._score_bins.has_mean:
            self._counts.moments[arm].add(principal_score(score))
        times = self._counts.times[arm]
        if not times:
            times.extend([0] * N_BINS)
        times[bin_of(seconds)] += 1

    @property
    def wants_pairs(self) -> bool:
        """Whether more pairs would be reported: beyond that, shadowing costs CPU for nothing."""
        return len(self._counts.shadowed.pairs) < MOST_REPORTED_KEYS

    def know_candidate(self, parameters: Mapping[str, float]) -> None:
        """Take the parameters of the candidate's bundle: it has a threshold of its own."""
        if parameters is not self._candidate_parameters:
            self._candidate_parameters = parameters
            self._comparison = Comparison.of(self._spec, self._parameters, parameters)

    def compare(
        self, keys: list[str], ends: list[int], block: Block, stable: Scores, candidate: Scores
    ) -> None:
        """Count both versions' scores of the same rows: each (n_rows,), or (n_rows, n_outputs).

        Request i of `keys` has the rows up to `ends[i]`.
        """
        disagrees = self._comparison.disagree(stable, candidate)
        shadowed = self._counts.shadowed
        begin = 0
        for key, end in zip(keys, ends, strict=True):
            if len(shadowed.pairs) < MOST_REPORTED_KEYS:
                shadowed.pairs.setdefault(digest(key), bool(disagrees[begin]))
            begin = end
        shadowed.n_requests += len(keys)
        both = ~(has_failed(stable) | has_failed(candidate))
        numbers = self._comparison.numbers(stable[both], candidate[both])
        agreement = shadowed.agreement
        agreement.count(*numbers, self._score_bins.edges)
        agreement.largest = max(agreement.largest, largest_shift(stable[both], candidate[both]))
        shadowed.whole += Slice(len(disagrees), int(disagrees.sum()))
        for name, n_rows, n_disagree in self._bins.count(block, disagrees):
            known = shadowed.slices.get(name, Slice())
            shadowed.slices[name] = known + Slice(n_rows, n_disagree)

    def miss(self, n_requests: int) -> None:
        """Count requests that the candidate did not answer in time in shadow.

        They are no disagreement: a process that stops for a second would be sixty of them.
        """
        self._counts.shadowed.n_missed += n_requests

    def drop(self, n_rows: int) -> None:
        """Count rows that the candidate did not score in shadow."""
        self._counts.shadowed.n_dropped += n_rows

    def take(self) -> Counts:
        """What was counted since it was last taken."""
        taken = self._counts
        taken.is_mixed = self.is_mixed
        self._counts = self._empty()
        return taken

    def _empty(self) -> Counts:
        run, phase = self.key
        return Counts(run, phase)
