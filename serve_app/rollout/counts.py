"""What one server counts in one phase of a rollout: whole numbers and digests of keys, handed over once a second."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

Arm = Literal["stable", "candidate"]
ARMS: tuple[Arm, ...] = ("stable", "candidate")

MOST_KEYS = 2_000  # of each set between two beats; which keys are left out depends on no arm, so the judge stays valid


def digest(key: str) -> bytes:
    """A routing key as the judge knows it: 8 bytes, from which nobody reads who asked."""
    return blake2b(key.encode(), digest_size=8).digest()


def _sets() -> dict[Arm, set[bytes]]:
    return {arm: set() for arm in ARMS}


@dataclass
class Slice:
    """Rows of stable's traffic with one value, or one range, of one feature, scored by both versions."""

    n_rows: int = 0
    n_disagree: int = 0

    def __add__(self, other: "Slice") -> "Slice":
        return Slice(self.n_rows + other.n_rows, self.n_disagree + other.n_disagree)


@dataclass
class Shadowed:
    """What the two versions said of the same rows. `pairs`: key → whether they disagree about its first row."""

    pairs: dict[bytes, bool] = field(default_factory=dict)
    whole: Slice = field(default_factory=Slice)
    n_compared: int = 0  # rows that both gave a score
    difference: float = 0.0  # candidate minus stable, summed over those
    slices: dict[tuple[str, str], Slice] = field(default_factory=dict)  # (feature, label)
    n_dropped: int = 0  # rows that were not scored, since the candidate was busy or not there

    def add(self, other: "Shadowed") -> None:
        """Take in what was counted elsewhere, or later."""
        for key, disagrees in other.pairs.items():
            self.pairs.setdefault(key, disagrees)
        self.whole += other.whole
        self.n_compared += other.n_compared
        self.difference += other.difference
        self.n_dropped += other.n_dropped
        for name, part in other.slices.items():
            self.slices[name] = self.slices.get(name, Slice()) + part


@dataclass
class Counts:
    """Counts of one phase (`run`: State.id). A key may be told again; the coordinator counts it once."""

    run: str
    phase: int
    requests: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(ARMS, 0))
    errors: dict[Arm, set[bytes]] = field(default_factory=_sets)
    slow: dict[Arm, set[bytes]] = field(default_factory=_sets)
    scores: dict[Arm, list[int]] = field(
        default_factory=lambda: {arm: [] for arm in ARMS}
    )  # by bin
    shadowed: Shadowed = field(default_factory=Shadowed)

    def add(self, other: "Counts") -> None:
        """Take in what was counted elsewhere in the same phase, or later."""
        for arm in ARMS:
            self.requests[arm] += other.requests[arm]
            self.errors[arm] |= other.errors[arm]
            self.slow[arm] |= other.slow[arm]
            self.scores[arm] = list(_added(self.scores[arm], other.scores[arm]))
        self.shadowed.add(other.shadowed)


def _added(ours: list[int], theirs: list[int]) -> Iterator[int]:
    """Two histograms of the same bins; an empty list has not counted yet."""
    for i in range(max(len(ours), len(theirs))):
        yield (ours[i] if i < len(ours) else 0) + (theirs[i] if i < len(theirs) else 0)
