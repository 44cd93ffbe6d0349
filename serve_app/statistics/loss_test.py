"""Whether a candidate is worse on labels than stable, or better: a test that may look at any time.

The loss of a label is a number from 0 to 1. Labels of one phase come in blocks: a block ends as
soon as it has labels of both versions, and gives d = mean loss of the candidate − ratio · mean loss
of stable. Where blocks end depends on who answered, and not on any loss; so while the candidate's
mean loss is at most `ratio` times stable's, d is expected to be 0 or less in each block, whatever
was seen before, and also when both change over time. Then the capital of a bettor who stakes a
fixed part of it on d > 0 is a supermartingale, and so is the mean of several bettors: that it ever
reaches 1 / a has probability a at most (Ville 1939).

Shekhar and Ramdas, "Nonparametric two-sample testing by betting", IEEE Trans. Inf. Theory 70
(2024); Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B
86 (2024).
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from serve_app.statistics.sequential_test import LABELS_SHARE, attempt_share

Arm = Literal["stable", "candidate"]
# Parts of the capital that the bettors stake: small ones find small differences, late.
STAKES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
# Keys whose labels counted. With more of them in one phase nothing is added.
MOST_KEYS = 200_000
# Of how many phases keys and an unfinished block are kept.
MOST_PHASES = 40


@dataclass
class _Block:
    """Sum and number of the losses of either version in a block that has not ended."""

    sums: dict[str, float] = field(default_factory=lambda: {"stable": 0.0, "candidate": 0.0})
    n: dict[str, int] = field(default_factory=lambda: {"stable": 0, "candidate": 0})


@dataclass
class LossTest:
    """The evidence of labels in one run of a rollout.

    `worse` and `better` are the logarithms of each bettor's capital. `n` and `sums` are labels and
    their losses by version, and `blocks` the number, sum and sum of squares of the differences of
    the mean losses.

    A key counts once in a phase, and never again once it counted for the candidate. Which of those
    that stable answered the next phase gives to the candidate is chance, whatever their labels were
    before; which ones the candidate keeps is not, and the luck of the first ones would count again
    in each phase. `first_phase`: of earlier ones nothing is added any more.
    """

    max_ratio: float
    worse: list[float] = field(default_factory=lambda: [0.0] * len(STAKES))
    better: list[float] = field(default_factory=lambda: [0.0] * len(STAKES))
    n: dict[str, int] = field(default_factory=lambda: {"stable": 0, "candidate": 0})
    sums: dict[str, float] = field(default_factory=lambda: {"stable": 0.0, "candidate": 0.0})
    blocks: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    open_blocks: dict[int, _Block] = field(default_factory=dict)
    candidate_keys: set[int] = field(default_factory=set)
    stable_keys: dict[int, set[int]] = field(default_factory=dict)
    first_phase: int = 0

    def add(self, phase: int, arm: Arm, key: int, loss: float) -> None:
        """Count the first label of a routing key in a phase; `loss` is from 0 to 1.

        Rows of one key go together, and keys are what is given to the versions by chance.
        """
        of_phase = self.stable_keys.get(phase, set())
        if not 0 <= loss <= 1 or key in self.candidate_keys or key in of_phase:
            return
        if not self._has_room(phase):
            return
        if arm == "candidate":
            self.candidate_keys.add(key)
        else:
            self.stable_keys.setdefault(phase, of_phase).add(key)
        self.n[arm] += 1
        self.sums[arm] += loss
        block = self.open_blocks.setdefault(phase, _Block())
        block.sums[arm] += loss
        block.n[arm] += 1
        if block.n["stable"] and block.n["candidate"]:
            del self.open_blocks[phase]
            self._end(
                block.sums["stable"] / block.n["stable"],
                block.sums["candidate"] / block.n["candidate"],
            )
        while len(self.stable_keys) > MOST_PHASES:
            self._leave_oldest()

    def _has_room(self, phase: int) -> bool:
        """Whether a key of this phase can be kept; those of earlier phases make room for it."""
        while self._n_keys >= MOST_KEYS and self.stable_keys and min(self.stable_keys) < phase:
            self._leave_oldest()
        return phase >= self.first_phase and self._n_keys < MOST_KEYS

    @property
    def _n_keys(self) -> int:
        return len(self.candidate_keys) + sum(len(keys) for keys in self.stable_keys.values())

    def _leave_oldest(self) -> None:
        oldest = min(self.stable_keys)
        del self.stable_keys[oldest]
        self.open_blocks.pop(oldest, None)
        self.first_phase = oldest + 1

    def _end(self, stable: float, candidate: float) -> None:
        # Within -1 and 1 / ratio, so that no stake below 1 can lose everything.
        above = (candidate - self.max_ratio * stable) / self.max_ratio
        below = stable - candidate
        for i, stake in enumerate(STAKES):
            self.worse[i] += math.log1p(stake * above)
            self.better[i] += math.log1p(stake * below)
        self.blocks[0] += 1
        self.blocks[1] += candidate - stable
        self.blocks[2] += (candidate - stable) ** 2

    @property
    def evidence(self) -> "LabelEvidence":
        """What the labels say now."""
        means = {arm: self.sums[arm] / self.n[arm] if self.n[arm] else None for arm in self.n}
        n_blocks, total, squares = self.blocks
        low, high = mean_bounds(n_blocks, total, squares)
        return LabelEvidence(
            self.n["stable"],
            self.n["candidate"],
            means["stable"],
            means["candidate"],
            _log_mean(self.worse),
            _log_mean(self.better),
            total / n_blocks if n_blocks else None,
            low,
            high,
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "max_ratio": self.max_ratio,
            "worse": self.worse,
            "better": self.better,
            "n": self.n,
            "sums": self.sums,
            "blocks": self.blocks,
            "open": {str(phase): [b.sums, b.n] for phase, b in self.open_blocks.items()},
            "candidate_keys": sorted(self.candidate_keys),
            "stable_keys": {str(phase): sorted(keys) for phase, keys in self.stable_keys.items()},
            "first_phase": self.first_phase,
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "LossTest":
        """What `to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        test = cls(
            float(found["max_ratio"]),
            [float(log) for log in found["worse"]],
            [float(log) for log in found["better"]],
            {arm: int(found["n"][arm]) for arm in ("stable", "candidate")},
            {arm: float(found["sums"][arm]) for arm in ("stable", "candidate")},
            [float(number) for number in found["blocks"]],
            {int(phase): _Block(sums, n) for phase, (sums, n) in found["open"].items()},
            {int(key) for key in found["candidate_keys"]},
            {int(p): {int(key) for key in keys} for p, keys in found["stable_keys"].items()},
            int(found["first_phase"]),
        )
        if len(test.worse) != len(STAKES) or len(test.better) != len(STAKES):
            raise ValueError(f"found {len(test.worse)} bettors, expected {len(STAKES)}")
        return test


@dataclass(frozen=True)
class LabelEvidence:
    """What labels say of a candidate; the evidence is in natural logarithms.

    `difference` is the candidate's mean loss minus stable's over blocks, in bounds that hold at all
    looks together with 95 %, for many labels. `unjudged` says why labels judge nothing; it is empty
    where they do.
    """

    n_stable: int
    n_candidate: int
    stable_loss: float | None
    candidate_loss: float | None
    worse_log_e: float
    better_log_e: float
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    unjudged: str = ""

    def is_worse(self, alpha: float, restarts: int = 0) -> bool:
        """Whether the candidate's loss is surely more than tolerated."""
        return not self.unjudged and self.worse_log_e >= labels_limit(alpha, restarts)

    def is_better(self, alpha: float, restarts: int = 0) -> bool:
        """Whether the candidate's loss is surely less than stable's."""
        return not self.unjudged and self.better_log_e >= labels_limit(alpha, restarts)


def labels_limit(alpha: float, restarts: int = 0) -> float:
    """Where the evidence of labels fails a candidate: ln(1 / a), a its share of alpha."""
    return -math.log(alpha * LABELS_SHARE * attempt_share(restarts))


def _log_mean(logs: list[float]) -> float:
    top = max(logs)
    return top + math.log(math.fsum(math.exp(log - top) for log in logs) / len(logs))


def mean_bounds(
    n: float, total: float, squares: float, alpha: float = 0.05
) -> tuple[float | None, float | None]:
    """Bounds of a mean that hold at all times together, asymptotically; None for fewer than 2.

    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and
    asymptotic confidence sequences", Annals of Statistics 52 (2024), theorem 2.2; it is tightest
    near a thousand.
    """
    if n < 2:
        return None, None
    mean = total / n
    variance = max(squares / n - mean * mean, 0.0)
    # Their rho, by which the bounds are tightest near n = 1,000.
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / 1_000
    inner = n * rho2 + 1
    half = math.sqrt(2 * variance * inner / (n * n * rho2) * math.log(math.sqrt(inner) / alpha))
    return mean - half, mean + half
