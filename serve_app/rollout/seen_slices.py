"""Slices of the traffic: what each version failed there, by keys and incidents."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from serve_app.rollout.counts import ARMS, Arm, Sliced
from serve_app.rollout.incidents import MOST_KEPT_KEYS, LastIncidents
from serve_app.statistics.bins import Name


def _none() -> dict[Arm, int]:
    return dict.fromkeys(ARMS, 0)


@dataclass
class SeenSlice:
    """Requests of a slice by arm, how many were bad, keys that the models failed, and incidents.

    Below 100 % a key counts in a slice once in the run, and at 100 % once in the phase.
    """

    requests: dict[Arm, int] = field(default_factory=_none)
    bad: dict[Arm, int] = field(default_factory=_none)
    n_keys: dict[Arm, int] = field(default_factory=_none)
    n_incidents: dict[Arm, int] = field(default_factory=_none)

    def add(self, other: "SeenSlice") -> None:
        """Take in what was seen in another phase."""
        for arm in ARMS:
            self.requests[arm] += other.requests[arm]
            self.bad[arm] += other.bad[arm]
            self.n_keys[arm] += other.n_keys[arm]
            self.n_incidents[arm] += other.n_incidents[arm]

    def n_bad_keys(self, arm: Arm) -> int:
        """Return the keys that this version's model failed, and its processes' incidents."""
        return self.n_keys[arm] + self.n_incidents[arm]


# A key in a slice, and whether a process or the model failed it.
BadKey = tuple[Name, bytes, bool]


@dataclass
class SliceKeys:
    """The bad keys of all slices in a run, below 100 % and at 100 %, and their incidents."""

    seen: dict[bool, set[BadKey]] = field(default_factory=lambda: {False: set(), True: set()})
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
            errors = sliced.errors
            n_left_out += errors.n_left_out
            for arm in ARMS:
                part.requests[arm] += sliced.requests[arm]
                part.bad[arm] += sliced.bad[arm]
                of_process = errors.of_process[arm]
                seen = self.seen[is_all]
                n_new, n_full = _use_up(seen, name, errors.first[arm] - of_process, False)
                part.n_keys[arm] += n_new
                n_left_out += n_full
                n_new, n_full = _use_up(seen, name, of_process | errors.others[arm], True)
                n_left_out += n_full
                if of_process and n_new and self.incidents.is_new(name, arm, now_s):
                    self.incidents.begin(name, arm, now_s)
                    part.n_incidents[arm] += 1
        return n_left_out


def _use_up(seen: set[BadKey], name: Name, keys: set[bytes], of_process: bool) -> tuple[int, int]:
    """Note keys; return how many are new, and how many had no room."""
    new = {(name, key, of_process) for key in keys} - seen
    n_room = max(0, MOST_KEPT_KEYS - len(seen))
    kept = sorted(new)[:n_room]
    seen.update(kept)
    return len(kept), len(new) - len(kept)
