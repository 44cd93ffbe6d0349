"""What one server counts in one phase of a rollout, as it is handed over once a second.

Requests, scores and rows are whole numbers; keys are sets of digests, since a key counts once.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import zip_longest
from typing import Literal

Arm = Literal["stable", "candidate"]
ARMS: tuple[Arm, ...] = ("stable", "candidate")

# Keys of each set in one report. Which keys are left out does not depend on the arm, so that the
# judge's guarantee still holds.
MOST_KEYS = 2_000


def digest(key: str) -> bytes:
    """Return a routing key as the judge knows it: 8 bytes that do not tell who asked."""
    return blake2b(key.encode(), digest_size=8).digest()


def _sets() -> dict[Arm, set[bytes]]:
    return {arm: set() for arm in ARMS}


@dataclass
class Slice:
    """How many rows both versions scored, and about how many of these they disagree.

    A slice is one value, or one range, of one feature, in stable's traffic.
    """

    n_rows: int = 0
    n_disagree: int = 0

    def __add__(self, other: "Slice") -> "Slice":
        return Slice(self.n_rows + other.n_rows, self.n_disagree + other.n_disagree)


@dataclass
class Shadowed:
    """What the two versions said of the same rows.

    `pairs` says of each key whether the versions disagree about its first row; `whole` counts all
    rows, `slices` those of each (feature, label). `difference` is candidate minus stable, summed
    over the `n_compared` rows to which both gave a score (`Comparison.difference`), and `largest`
    the largest absolute difference of any of their scores. `n_dropped` rows were not scored,
    because the candidate was busy or not there.
    """

    pairs: dict[bytes, bool] = field(default_factory=dict)
    whole: Slice = field(default_factory=Slice)
    n_compared: int = 0
    difference: float = 0.0
    largest: float = 0.0
    slices: dict[tuple[str, str], Slice] = field(default_factory=dict)
    n_dropped: int = 0

    def add(self, other: "Shadowed") -> None:
        """Take in what was counted elsewhere, or later."""
        for key, disagrees in other.pairs.items():
            self.pairs.setdefault(key, disagrees)
        self.whole += other.whole
        self.n_compared += other.n_compared
        self.difference += other.difference
        self.largest = max(self.largest, other.largest)
        self.n_dropped += other.n_dropped
        for name, part in other.slices.items():
            self.slices[name] = self.slices.get(name, Slice()) + part


@dataclass
class Counts:
    """What was counted in one phase of one run.

    `run` is State.id; `errors` and `slow` hold keys, `scores` counts by bin. A key may be told
    several times; the coordinator counts it once.
    """

    run: str
    phase: int
    requests: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(ARMS, 0))
    errors: dict[Arm, set[bytes]] = field(default_factory=_sets)
    slow: dict[Arm, set[bytes]] = field(default_factory=_sets)
    scores: dict[Arm, list[int]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    shadowed: Shadowed = field(default_factory=Shadowed)

    def add(self, other: "Counts") -> None:
        """Take in what was counted elsewhere in the same phase, or later."""
        for arm in ARMS:
            self.requests[arm] += other.requests[arm]
            self.errors[arm] |= other.errors[arm]
            self.slow[arm] |= other.slow[arm]
            self.scores[arm] = _added(self.scores[arm], other.scores[arm])
        self.shadowed.add(other.shadowed)


def _added(ours: list[int], theirs: list[int]) -> list[int]:
    """Add two histograms of the same bins; an empty list has not counted anything yet."""
    return [one + other for one, other in zip_longest(ours, theirs, fillvalue=0)]
