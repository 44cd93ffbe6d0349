"""All that the servers of a model counted in one run of a rollout.

Everything here is pure; what the judge says of it stands in verdict.py.
"""

from collections import Counter
from dataclasses import dataclass, field

from serve_app.rollout.counts import ARMS, Arm, Counts, Shadowed, added
from serve_app.rollout.event import Share
from serve_app.rollout.fault import Fault
from serve_app.rollout.incidents import KINDS, MOST_KEPT_KEYS, Kind, LastIncidents
from serve_app.rollout.recent import Recent, Seen, seen_by, seen_of
from serve_app.rollout.seen_slices import SeenSlice, SliceKeys
from serve_app.statistics.bins import Name
from serve_app.statistics.clumps import Clumps
from serve_app.statistics.loss_test import LabelEvidence
from serve_app.statistics.moments import Moments
from serve_app.statistics.sequential_test import Rail
from serve_app.statistics.times import Times

RAILS: tuple[Rail, ...] = ("errors", "slow", "disagreement")


def _keys() -> dict[Kind, set[bytes]]:
    return {kind: set() for kind in KINDS}


def _numbers() -> dict[Kind, dict[Arm, int]]:
    return {kind: dict.fromkeys(ARMS, 0) for kind in KINDS}


def _faults() -> dict[Arm, Counter[Fault]]:
    return {arm: Counter() for arm in ARMS}


@dataclass
class Phase:
    """What was seen in one phase: a stretch of evidence at one share.

    `bad` counts requests by fault, and `examples` has the id of the newest of each. `counted` are
    keys by kind, and `first` are those of them that had not counted in this run before. Of the
    pairs, `candidate` counts those that disagree and `stable` those that agree. `n_left_out` keys
    had no room, so that the guardrails see less than there is. `is_mixed`: one version was in the
    server and the other was not.
    """

    share: Share
    requests: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(ARMS, 0))
    bad: dict[Arm, Counter[Fault]] = field(default_factory=_faults)
    examples: dict[Arm, dict[Fault, str]] = field(default_factory=lambda: {arm: {} for arm in ARMS})
    n_stood_in: int = 0
    n_broken_in_place: int = 0
    clumps: dict[Arm, Clumps] = field(default_factory=lambda: {arm: Clumps() for arm in ARMS})
    scores: dict[Arm, list[int]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    moments: dict[Arm, Moments] = field(default_factory=lambda: {arm: Moments() for arm in ARMS})
    times: dict[Arm, Times] = field(default_factory=lambda: {arm: Times() for arm in ARMS})
    slices: dict[Name, SeenSlice] = field(default_factory=dict)
    counted: dict[Kind, dict[Arm, int]] = field(default_factory=_numbers)
    first: dict[Kind, dict[Arm, int]] = field(default_factory=_numbers)
    n_left_out: int = 0
    is_mixed: bool = False
    shadowed: Shadowed = field(default_factory=Shadowed)
    seen: dict[Kind, set[bytes]] = field(default_factory=_keys)

    @property
    def percent(self) -> float:
        """Return what the candidate got of the keys; in shadow it got none."""
        return 0.0 if self.share == "shadow" else float(self.share)

    def n_bad_keys(self, arm: Arm) -> int:
        """Return the keys that this version's model failed, and its processes' incidents."""
        return self.counted["errors"][arm] + self.counted["processes"][arm]

    @property
    def n_disagree(self) -> int:
        """Return the pairs about which the versions disagree."""
        return self.counted["disagreement"]["candidate"]

    @property
    def n_pairs(self) -> int:
        """Return all pairs: keys of which both versions scored the first row."""
        return self.counted["disagreement"]["candidate"] + self.counted["disagreement"]["stable"]

    @property
    def has_scores_of_both(self) -> bool:
        """Return whether both versions have answered somebody."""
        return bool(self.scores["stable"]) and bool(self.scores["candidate"])

    @property
    def total(self) -> Seen:
        """Return all requests of the phase."""
        return seen_of(self.requests, self.bad, self.n_stood_in, self.n_broken_in_place)


@dataclass
class Record:
    """The evidence of one run since this coordinator began to count.

    `restarts` says how often counting began before, in all runs, and `before` what stable did in
    the step before 100 %, as the log has it. `labels` is what labels say; None: nobody knows.
    """

    run: str
    restarts: int = 0
    before: Seen = field(default_factory=Seen)
    phases: dict[int, Phase] = field(default_factory=dict)
    seen: dict[Kind, set[bytes]] = field(default_factory=_keys)
    recent: Recent = field(default_factory=Recent)
    incidents: LastIncidents = field(default_factory=LastIncidents)
    slice_keys: SliceKeys = field(default_factory=SliceKeys)
    labels: LabelEvidence | None = None

    @property
    def is_mixed(self) -> bool:
        """Return whether one version was in the server and the other was not."""
        return any(phase.is_mixed for phase in self.phases.values())

    def enter(self, number: int, share: Share) -> Phase:
        """Return the phase of this number, which begins empty."""
        if number not in self.phases:
            self.phases[number] = Phase(share)
            # What was seen at another share says nothing of this one.
            self.recent = Recent()
        return self.phases[number]

    def add(self, counts: Counts, now_s: float, server: str = "") -> None:
        """Take in what this server counted, and told at `now_s`.

        Counts of another run, or of a phase before this coordinator, are left out.
        """
        phase = self.phases.get(counts.phase)
        if counts.run != self.run or phase is None:
            return
        for arm in ARMS:
            phase.requests[arm] += counts.requests[arm]
            phase.bad[arm] += counts.bad[arm]
            phase.examples[arm] |= counts.examples[arm]
            phase.scores[arm] = added(phase.scores[arm], counts.scores[arm])
            phase.moments[arm] += counts.moments[arm]
            phase.times[arm].add(counts.times[arm])
        phase.is_mixed |= counts.is_mixed
        phase.n_stood_in += counts.n_stood_in
        phase.n_broken_in_place += counts.n_broken_in_place
        told = seen_by(server, counts)
        phase.clumps["candidate"].add(now_s, told.bad["candidate"], told.requests["candidate"])
        phase.clumps["stable"].add(now_s, told.n_bad_of_stable, told.n_asked_stable)
        if counts.phase == max(self.phases):
            self.recent.add(now_s, told)
        self._add_errors(phase, counts, now_s)
        self._add_slow(phase, counts, now_s)
        # In shadow nothing is compared, and a key that is bad now can still be evidence later.
        if phase.share != "shadow":
            keys = self.slice_keys
            is_all = phase.percent == 100
            phase.n_left_out += keys.add(phase.slices, counts.slices, now_s, is_all=is_all)
        for key, disagrees in counts.shadowed.pairs.items():
            self._count(phase, "disagreement", "candidate" if disagrees else "stable", key)
        # The pairs are counted above; if they were kept here too, they would grow without end.
        counts.shadowed.pairs.clear()
        phase.shadowed.add(counts.shadowed)

    def stable_before(self) -> Seen:
        """Return what stable did before 100 %: the bar for a candidate that has all traffic."""
        total = Seen()
        total.add(self.before)
        for phase in self.phases.values():
            if phase.percent < 100:
                total.add(phase.total)
        return total

    def _add_errors(self, phase: Phase, counts: Counts, now_s: float) -> None:
        """Count what models did wrong key by key, and what processes did as one incident.

        Neither uses up keys for the other: after a stop of stable's, its keys are still evidence.
        """
        told = counts.errors
        phase.n_left_out += told.n_left_out
        for arm in ARMS:
            of_process = told.of_process[arm]
            for key in told.first[arm] - of_process:
                self._count(phase, "errors", arm, key)
            self._count_one(phase, "processes", arm, of_process, told.others[arm], now_s)

    def _add_slow(self, phase: Phase, counts: Counts, now_s: float) -> None:
        """Count slow answers: a process that stops answers slowly what waited, in every server."""
        told = counts.slow
        phase.n_left_out += told.n_left_out
        for arm in ARMS:
            self._count_one(phase, "slow", arm, told.first[arm], told.others[arm], now_s)

    def _count_one(
        self,
        phase: Phase,
        kind: Kind,
        arm: Arm,
        began: set[bytes],
        others: set[bytes],
        now_s: float,
    ) -> None:
        """Count an incident of a process by one key, and use up the others.

        It counts by any key that is new in the run, or else in the phase: the incidents of a
        version of which one client asks most begin with that client's key, and would count once.
        What is told a moment after another incident belongs to that one.
        """
        # Sorted, so that which key counts is the same wherever this runs.
        keys = [*sorted(began), *sorted(others)]
        if began and self.incidents.is_new(kind, arm, now_s):
            new_in_phase = [key for key in keys if key not in phase.seen[kind]]
            new_in_run = [key for key in new_in_phase if key not in self.seen[kind]]
            for key in (new_in_run or new_in_phase)[:1]:
                if self._count(phase, kind, arm, key):
                    self.incidents.begin(kind, arm, now_s)
        for key in keys:
            self._use_up(phase, kind, key)

    def _count(self, phase: Phase, kind: Kind, arm: Arm, key: bytes) -> bool:
        """Count a key once in the phase, and once in the run: where it first turned bad.

        Return whether it counted.
        """
        if key in phase.seen[kind]:
            return False
        is_first = key not in self.seen[kind]
        if not self._use_up(phase, kind, key):
            return False
        phase.counted[kind][arm] += 1
        if is_first:
            phase.first[kind][arm] += 1
        return True

    def _use_up(self, phase: Phase, kind: Kind, key: bytes) -> bool:
        """Note a key, which then counts no more; whether there was room."""
        sets = [phase.seen[kind]]
        # A key that was bad where nothing is compared can still be evidence later in the run.
        if kind == "disagreement" or 0 < phase.percent < 100:
            sets.append(self.seen[kind])
        for keys in sets:
            if len(keys) >= MOST_KEPT_KEYS and key not in keys:
                phase.n_left_out += 1
                return False
        for keys in sets:
            keys.add(key)
        return True


def requests_of(phase: Phase) -> tuple[int, int]:
    """Return the requests of (stable, the candidate).

    In shadow the candidate is asked to score some of stable's, in time or not.
    """
    if phase.share == "shadow":
        return phase.requests["stable"], phase.shadowed.n_requests + phase.shadowed.n_missed
    return phase.requests["stable"], phase.requests["candidate"]
