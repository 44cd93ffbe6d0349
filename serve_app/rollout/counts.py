"""What one server counts in one phase of a rollout, as it is handed over once a second.

Requests, scores and rows are whole numbers; keys are sets of digests, since a key counts once.
"""

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import zip_longest
from typing import Literal

from serve_app.rollout.fault import Fault
from serve_app.statistics.agreement import Agreement
from serve_app.statistics.bins import Name
from serve_app.statistics.moments import Moments

Arm = Literal["stable", "candidate"]
ARMS: tuple[Arm, ...] = ("stable", "candidate")

# Keys of one rail in one report, of both arms together: which keys are left out does not depend on
# the arm, so what is kept tells the same ratio.
MOST_REPORTED_KEYS = 2_000


def digest(key: str) -> bytes:
    """Return a routing key as the judge knows it: 8 bytes that do not tell who asked."""
    return blake2b(key.encode(), digest_size=8).digest()


def _sets() -> dict[Arm, set[bytes]]:
    return {arm: set() for arm in ARMS}


@dataclass
class Incidents:
    """Keys of bad answers, by arm.

    What a model does wrong (it raised, or gave no valid number) counts each time. What a process
    does wrong (late, not ready, refused) is one incident for as long as no good answer of it
    interrupts: a process that stalls turns many keys bad, and is one event all the same (where
    other replicas answer well it begins several times, of which the coordinator makes one). `first`
    has the keys that count, and `of_process` those of them with which such an incident began.
    `others` are those that were bad in the course of an incident: they are used up, and count for
    nothing. `n_left_out` keys had no room.
    """

    first: dict[Arm, set[bytes]] = field(default_factory=_sets)
    of_process: dict[Arm, set[bytes]] = field(default_factory=_sets)
    others: dict[Arm, set[bytes]] = field(default_factory=_sets)
    n_left_out: int = 0

    @property
    def n_keys(self) -> int:
        """Return how many keys are kept."""
        return sum(len(self.first[arm]) + len(self.others[arm]) for arm in ARMS)

    def put(self, arm: Arm, routing_key: str, *, counts: bool, of_process: bool = False) -> None:
        """Keep the key of a bad answer, which counts by itself or is used up in an incident.

        `of_process`: what counts is that an incident of a process began.
        """
        if self.n_keys >= MOST_REPORTED_KEYS:
            self.n_left_out += 1
            return
        key = digest(routing_key)
        if not counts:
            self.others[arm].add(key)
            return
        if of_process and key not in self.first[arm]:
            self.of_process[arm].add(key)
        if not of_process:
            self.of_process[arm].discard(key)
        self.first[arm].add(key)


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
    rows, `slices` those of each (feature, label), and `agreement` compares the scores of those that
    both versions scored. `n_requests` were scored by the candidate; `n_missed` requests it did not
    answer in time, and `n_dropped` rows were not sent to it, because it was busy or not there.
    """

    pairs: dict[bytes, bool] = field(default_factory=dict)
    whole: Slice = field(default_factory=Slice)
    agreement: Agreement = field(default_factory=Agreement)
    slices: dict[Name, Slice] = field(default_factory=dict)
    n_requests: int = 0
    n_missed: int = 0
    n_dropped: int = 0

    def add(self, other: "Shadowed") -> None:
        """Take in what was counted elsewhere, or later."""
        for key, disagrees in other.pairs.items():
            self.pairs.setdefault(key, disagrees)
        self.whole += other.whole
        self.agreement.add(other.agreement)
        self.n_requests += other.n_requests
        self.n_missed += other.n_missed
        self.n_dropped += other.n_dropped
        for name, part in other.slices.items():
            self.slices[name] = self.slices.get(name, Slice()) + part


@dataclass
class Sliced:
    """Requests of one slice by arm, how many were bad, and the incidents that began in it.

    The slice of a request is that of its first row.
    """

    requests: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(ARMS, 0))
    bad: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(ARMS, 0))
    errors: Incidents = field(default_factory=Incidents)


@dataclass
class Counts:
    """What was counted in one phase of one run.

    `run` is State.id, `scores` are counts by bin, and so are `times`, of good answers; `moments`
    are those of the scores, where they are no classes. Of all three a key's first one counts.
    `slices` are those of the fields of `slice_by`, in which so many keys were noted. `bad` are
    requests by their fault, `examples` has the id of one of each, and `n_stood_in` those that
    stable answered because the candidate had failed; it gave no valid answer to
    `n_broken_in_place` of these. `n_stops` of the candidate's processes began, as this server saw
    them. `is_mixed`: one version is in the server and the other is not. A key may be told several
    times; the coordinator counts it once.
    """

    run: str
    phase: int
    requests: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(ARMS, 0))
    bad: dict[Arm, Counter[Fault]] = field(default_factory=lambda: {arm: Counter() for arm in ARMS})
    examples: dict[Arm, dict[Fault, str]] = field(default_factory=lambda: {arm: {} for arm in ARMS})
    n_stood_in: int = 0
    n_broken_in_place: int = 0
    n_stops: int = 0
    is_mixed: bool = False
    errors: Incidents = field(default_factory=Incidents)
    slow: Incidents = field(default_factory=Incidents)
    scores: dict[Arm, list[int]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    moments: dict[Arm, Moments] = field(default_factory=lambda: {arm: Moments() for arm in ARMS})
    times: dict[Arm, list[int]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    slices: dict[Name, Sliced] = field(default_factory=dict)
    n_sliced_keys: int = 0
    shadowed: Shadowed = field(default_factory=Shadowed)


def added(ours: list[int], theirs: list[int]) -> list[int]:
    """Add two histograms of the same bins; an empty list has not counted anything yet."""
    return [one + other for one, other in zip_longest(ours, theirs, fillvalue=0)]
