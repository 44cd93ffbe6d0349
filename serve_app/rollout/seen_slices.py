"""Slices of the traffic: what each version failed there, by keys and incidents."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from serve_app.rollout.counts import ARMS, Arm, Sliced
from serve_app.rollout.incidents import MOST_KEYS, LastIncidents
from serve_app.statistics.bins import Name


def _none() -> dict[Arm, int]:
    return dict.fromkeys(ARMS, 0)


@dataclass
class SeenSlice:
    """Requests of a slice by arm, how many were bad, and the keys with which incidents began.

    Below 100 % a key counts in a slice once in the run, and at 100 % once in the phase. With
    `of_process` of the keys an incident of a process began.
    """

    requests: dict[Arm, int] = field(default_factory=_none)
    bad: dict[Arm, int] = field(default_factory=_none)
    n_keys: dict[Arm, int] = field(default_factory=_none)
    of_process: dict[Arm, int] = field(default_factory=_none)

    def add(self, other: "SeenSlice") -> None:
        """Take in what was seen in another phase."""
        for arm in ARMS:
            self.requests[arm] += other.requests[arm]
            self.bad[arm] += other.bad[arm]
            self.n_keys[arm] += other.n_keys[arm]
            self.of_process[arm] += other.of_process[arm]


@dataclass
class SliceKeys:
    """The bad keys of all slices in a run, below 100 % and at 100 %, and their incidents."""

    seen: dict[bool, set[tuple[Name, bytes]]] = field(
        default_factory=lambda: {False: set(), True: set()}
    )
    incidents: LastIncidents = field(default_factory=LastIncidents)

    def add(
        self,
        slices: dict[Name, SeenSlice],
        told: Mapping[Name, Sliced],
        now_s: float,
        *,
        is_all: bool,
    ) -> int:
        """Add to the slices of a phase what a server told at `now_s`.

        `is_all`: the candidate has all traffic. Return how many keys had no room.
        """
        n_left_out = 0
        for name, sliced in told.items():
            part = slices.setdefault(name, SeenSlice())
            n_left_out += sliced.errors.n_left_out
            for arm in ARMS:
                part.requests[arm] += sliced.requests[arm]
                part.bad[arm] += sliced.bad[arm]
                n_left_out += self._add_keys(part, name, sliced, arm, now_s, self.seen[is_all])
        return n_left_out

    def _add_keys(
        self,
        part: SeenSlice,
        name: Name,
        sliced: Sliced,
        arm: Arm,
        now_s: float,
        seen: set[tuple[Name, bytes]],
    ) -> int:
        n_left_out = 0
        told = sliced.errors
        # Sorted, so that which key counts is the same wherever this runs.
        for key in sorted(told.first[arm] | told.others[arm]):
            if (name, key) in seen:
                continue
            if len(seen) >= MOST_KEYS:
                n_left_out += 1
                continue
            seen.add((name, key))
            if key in told.of_process[arm]:
                if not self.incidents.is_new(name, arm, now_s):
                    continue
                self.incidents.begin(name, arm, now_s)
                part.of_process[arm] += 1
            if key in told.first[arm]:
                part.n_keys[arm] += 1
        return n_left_out
