"""What one server counts of the answers of one phase of a rollout."""

from collections.abc import Mapping, Sequence

from serve_app.bundle.manifest import Manifest
from serve_app.contract import ModelSpec
from serve_app.contract.block import Block, Scores, has_failed
from serve_app.rollout.counts import MOST_KEYS, Arm, Counts, Slice, digest
from serve_app.settings import Rollout
from serve_app.statistics.bins import Bins
from serve_app.statistics.disagreement import Comparison, largest_shift
from serve_app.statistics.score_bins import ScoreBins

# Keys of a phase whose first score goes into the histograms: enough to tell where scores lie.
MOST_SCORED_KEYS = 20_000


class PhaseCounter:
    """Counts of one phase since they were last taken.

    What it counts by is the plan and stable's manifest, neither of which changes within a phase.
    `is_shadow`: whether the candidate scores the same rows now. Not thread-safe: it lives on the
    event loop of its server.
    """

    def __init__(
        self, spec: ModelSpec, plan: Rollout, key: tuple[str, int], stable: Manifest
    ) -> None:
        self.key = key
        self.is_shadow = False
        self._candidate = plan.candidate
        self._slow_s = plan.guardrails.slow_ms / 1000
        self._spec = spec
        self._parameters = stable.parameters
        self._candidate_parameters: Mapping[str, float] | None = None
        self._comparison = Comparison.of(spec, stable.parameters)
        self._score_bins = ScoreBins(stable)
        self._bins = Bins(stable.references, stable.contract)
        self._scored: set[str] = set()
        self._counts = self._empty()

    def note(
        self,
        routing_key: str,
        version: str,
        seconds: float,
        score: float | Sequence[float] | None,
    ) -> None:
        """Count a request for the version that it was assigned to.

        `score` is that of its first row, or are those of its classes or outputs; None when that
        version gave no valid answer to every row in time.
        """
        counts = self._counts
        arm: Arm = "candidate" if version == self._candidate else "stable"
        counts.requests[arm] += 1
        if score is None:
            _put(counts.errors[arm], routing_key)
        elif len(self._scored) < MOST_SCORED_KEYS and routing_key not in self._scored:
            self._scored.add(routing_key)
            histogram = counts.scores[arm]
            if not histogram:
                histogram.extend([0] * self._score_bins.n_bins)
            histogram[self._score_bins.bin_of(score)] += 1
        if seconds > self._slow_s:
            _put(counts.slow[arm], routing_key)

    @property
    def wants_pairs(self) -> bool:
        """Whether more pairs would be reported: beyond that, shadowing costs CPU for nothing."""
        return len(self._counts.shadowed.pairs) < MOST_KEYS

    def know_candidate(self, parameters: Mapping[str, float]) -> None:
        """Take the parameters of the candidate's bundle: it has a threshold of its own."""
        if parameters is not self._candidate_parameters:
            self._candidate_parameters = parameters
            self._comparison = Comparison.of(self._spec, self._parameters, parameters)

    def compare(
        self, keys: list[str], ends: list[int], block: Block, stable: Scores, candidate: Scores
    ) -> None:
        """Count both versions' scores of the same rows.

        Request i of `keys` has the rows up to `ends[i]`.
        """
        disagrees = self._comparison.disagree(stable, candidate)
        shadowed = self._counts.shadowed
        begin = 0
        for key, end in zip(keys, ends, strict=True):
            if len(shadowed.pairs) < MOST_KEYS:
                shadowed.pairs.setdefault(digest(key), bool(disagrees[begin]))
            begin = end
        both = ~(has_failed(stable) | has_failed(candidate))
        shadowed.n_compared += int(both.sum())
        difference = self._comparison.difference(stable[both], candidate[both])
        shadowed.difference += float(difference.sum())
        shadowed.largest = max(shadowed.largest, largest_shift(stable[both], candidate[both]))
        shadowed.whole += Slice(len(disagrees), int(disagrees.sum()))
        for name, n_rows, n_disagree in self._bins.count(block, disagrees):
            known = shadowed.slices.get(name, Slice())
            shadowed.slices[name] = known + Slice(n_rows, n_disagree)

    def drop(self, n_rows: int) -> None:
        """Count rows that the candidate did not score in shadow."""
        self._counts.shadowed.n_dropped += n_rows

    def take(self) -> Counts:
        """What was counted since it was last taken."""
        taken = self._counts
        self._counts = self._empty()
        return taken

    def _empty(self) -> Counts:
        run, phase = self.key
        return Counts(run, phase)


def _put(keys: set[bytes], routing_key: str) -> None:
    if len(keys) < MOST_KEYS:
        keys.add(digest(routing_key))
