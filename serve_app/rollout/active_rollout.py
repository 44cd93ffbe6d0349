"""A rollout as one server follows it: who is assigned to whom, and what is counted of their answers."""

from bisect import bisect_right

import numpy as np

from serve_app.bundle.manifest import Manifest
from serve_app.contract import ModelSpec
from serve_app.contract.block import Block, Layout, Scores
from serve_app.rollout.counts import MOST_KEYS, Arm, Counts, Slice, digest
from serve_app.rollout.orders import Orders
from serve_app.serving.assignment import assign
from serve_app.settings import Table
from serve_app.statistics.bins import Bins
from serve_app.statistics.disagreement import Comparison

N_BINS = 10
MOST_SCORED_KEYS = 20_000  # in a phase, whose first score goes into the histograms: enough to tell where scores lie


class ActiveRollout:
    """The orders in force for one table. Not thread-safe: it lives on the event loop of its server."""

    def __init__(self, spec: ModelSpec, table: Table, orders: Orders, stable: Manifest) -> None:
        assert table.rollout is not None  # a course is made for a table with a rollout
        self._spec = spec
        self.table = table
        self.orders = orders
        self.candidate = table.rollout.candidate
        self._stable = stable
        self._comparison = Comparison.of(spec, stable.parameters)
        self._slow_s = table.rollout.guardrails.slow_ms / 1000
        self._weights = ((self.candidate, orders.percent),)
        self._edges = score_edges(stable)
        self._sections = Bins(stable.references, Layout(stable.contract))
        self._scored: set[str] = set()
        self._tally = self._empty()

    def follow(self, table: Table, orders: Orders, stable: Manifest) -> "ActiveRollout":
        """The course under newer orders or another table: itself where nothing changed."""
        if table is self.table and orders == self.orders and stable is self._stable:
            return self
        return ActiveRollout(self._spec, table, orders, stable)

    def assign(self, routing_key: str) -> str:
        """The version for a routing key."""
        return assign(self.orders.run, routing_key, self.table.stable, self._weights)

    def note(self, routing_key: str, version: str, seconds: float, score: float | None) -> None:
        """A request of the version that it was assigned to; `score` of its first row, None when that version gave
        no valid answer to every row in time."""
        tally = self._tally
        arm: Arm = "candidate" if version == self.candidate else "stable"
        tally.requests[arm] += 1
        if score is None:
            _put(tally.errors[arm], routing_key)
        elif len(self._scored) < MOST_SCORED_KEYS and routing_key not in self._scored:
            self._scored.add(routing_key)
            counts = tally.scores[arm]
            if not counts:
                counts.extend([0] * (len(self._edges) + 1))
            counts[bisect_right(self._edges, score)] += 1
        if seconds > self._slow_s:
            _put(tally.slow[arm], routing_key)

    @property
    def wants_pairs(self) -> bool:
        """Whether more pairs would be told: beyond, shadowing would cost CPU for nothing."""
        return len(self._tally.shadowed.pairs) < MOST_KEYS

    def compare(
        self, keys: list[str], ends: list[int], block: Block, stable: Scores, candidate: Scores
    ) -> None:
        """Both versions' (n_rows,) scores of the same rows; request i has the rows up to `ends[i]`."""
        apart = self._comparison.disagree(stable, candidate)
        shadowed, begin = self._tally.shadowed, 0
        for key, end in zip(keys, ends, strict=True):
            if len(shadowed.pairs) < MOST_KEYS:
                shadowed.pairs.setdefault(digest(key), bool(apart[begin]))
            begin = end
        both = np.isfinite(stable) & np.isfinite(candidate)
        shadowed.n_compared += int(both.sum())
        shadowed.difference += float((candidate - stable)[both].sum())
        shadowed.whole += Slice(len(apart), int(apart.sum()))
        for name, n_rows, n_disagree in self._sections.count(block, apart):
            shadowed.slices[name] = shadowed.slices.get(name, Slice()) + Slice(n_rows, n_disagree)

    def drop(self, n_rows: int) -> None:
        """Rows that the candidate did not score beside stable."""
        self._tally.shadowed.n_dropped += n_rows

    def take(self) -> Counts:
        """What was counted since it was last taken."""
        taken, self._tally = self._tally, self._empty()
        return taken

    def _empty(self) -> Counts:
        return Counts(self.orders.run, self.orders.phase)


def _put(keys: set[bytes], routing_key: str) -> None:
    if len(keys) < MOST_KEYS:
        keys.add(digest(routing_key))


def score_edges(stable: Manifest) -> list[float]:
    """Inner edges of the bins of both versions' scores: tenths of stable's golden scores, which lie at even ranks."""
    scores = [row.score for row in stable.golden_rows]
    quantiles = np.quantile(scores, np.linspace(0, 1, N_BINS + 1)[1:-1], method="inverted_cdf")
    return [float(edge) for edge in np.unique(quantiles)]
