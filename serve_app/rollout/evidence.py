"""All that the servers of a model counted in one run of a rollout.

Everything here is pure; what the judge says of it stands in verdict.py.
"""

from collections import Counter
from dataclasses import dataclass, field

from serve_app.rollout.counts import ARMS, Arm, Counts, Shadowed, added
from serve_app.rollout.event import Share
from serve_app.rollout.fault import Fault
from serve_app.rollout.incidents import MOST_KEYS, LastIncidents
from serve_app.rollout.recent import Recent, Seen, seen_by, seen_of
from serve_app.rollout.seen_slices import SeenSlice, SliceKeys
from serve_app.statistics.bins import Name
from serve_app.statistics.sequential_test import Rail
from serve_app.statistics.times import Times

RAILS: tuple[Rail, ...] = ("errors", "slow", "disagreement")


def _keys() -> dict[Rail, set[bytes]]:
    return {rail: set() for rail in RAILS}


def _numbers() -> dict[Rail, dict[Arm, int]]:
    return {rail: dict.fromkeys(ARMS, 0) for rail in RAILS}


def _faults() -> dict[Arm, Counter[Fault]]:
    return {arm: Counter() for arm in ARMS}


@dataclass
class Phase:
    """What was seen in one phase: a stretch of evidence at one share.

    `bad` counts requests by fault, and `examples` has the id of the newest of each. `counted` are
    the incidents of each guardrail, by the key with which they began, and `first` those of them
    whose key had not been bad in this run before; of those of errors, `of_process` and
    `first_of_process` were a process's. Of the guardrail of disagreement, `candidate`
    counts pairs that disagree and `stable` those that agree. `n_left_out` keys had no room, so that
    the guardrails see less than there is.
    """

    share: Share
    requests: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(ARMS, 0))
    bad: dict[Arm, Counter[Fault]] = field(default_factory=_faults)
    examples: dict[Arm, dict[Fault, str]] = field(default_factory=lambda: {arm: {} for arm in ARMS})
    n_stood_in: int = 0
    scores: dict[Arm, list[int]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    times: dict[Arm, Times] = field(default_factory=lambda: {arm: Times() for arm in ARMS})
    slices: dict[Name, SeenSlice] = field(default_factory=dict)
    counted: dict[Rail, dict[Arm, int]] = field(default_factory=_numbers)
    first: dict[Rail, dict[Arm, int]] = field(default_factory=_numbers)
    of_process: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(ARMS, 0))
    first_of_process: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(ARMS, 0))
    n_left_out: int = 0
    shadowed: Shadowed = field(default_factory=Shadowed)
    seen: dict[Rail, set[bytes]] = field(default_factory=_keys)

    @property
    def percent(self) -> float:
        """Return what the candidate got of the keys; in shadow it got none."""
        return 0.0 if self.share == "shadow" else float(self.share)

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
        return seen_of(self.requests, self.bad, self.n_stood_in)


@dataclass
class Record:
    """The evidence of one run since this coordinator began to count.

    `restarts` says how often counting began before, in all runs, and `before` what stable did in
    the step before 100 %, as the log has it.
    """

    run: str
    restarts: int = 0
    before: Seen = field(default_factory=Seen)
    phases: dict[int, Phase] = field(default_factory=dict)
    seen: dict[Rail, set[bytes]] = field(default_factory=_keys)
    recent: Recent = field(default_factory=Recent)
    incidents: LastIncidents = field(default_factory=LastIncidents)
    slice_keys: SliceKeys = field(default_factory=SliceKeys)

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
            phase.times[arm].add(counts.times[arm])
        phase.n_stood_in += counts.n_stood_in
        if counts.phase == max(self.phases):
            self.recent.add(now_s, seen_by(server, counts))
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
        """Count what models did wrong key by key, and what processes did as one incident."""
        phase.n_left_out += counts.errors.n_left_out
        for arm in ARMS:
            of_process = counts.errors.of_process[arm]
            for key in counts.errors.first[arm] - of_process:
                self._count(phase, "errors", arm, key)
            n_first = phase.first["errors"][arm]
            if self._count_one(phase, "errors", arm, of_process, now_s):
                phase.of_process[arm] += 1
                phase.first_of_process[arm] += phase.first["errors"][arm] - n_first
            for key in counts.errors.others[arm]:
                self._use_up(phase, "errors", key)

    def _add_slow(self, phase: Phase, counts: Counts, now_s: float) -> None:
        """Count slow answers: a process that stops answers slowly what waited, in every server."""
        phase.n_left_out += counts.slow.n_left_out
        for arm in ARMS:
            self._count_one(phase, "slow", arm, counts.slow.first[arm], now_s)
            for key in counts.slow.others[arm]:
                self._use_up(phase, "slow", key)

    def _count_one(
        self, phase: Phase, rail: Rail, arm: Arm, keys: set[bytes], now_s: float
    ) -> bool:
        """Count one of the keys with which an incident of a process began; the others are used up.

        Return whether one counted: not where the incident is one that was told a moment ago.
        """
        is_new = self.incidents.is_new(rail, arm, now_s)
        has_counted = False
        # Sorted, so that which key counts is the same wherever this runs.
        for key in sorted(keys):
            if is_new and not has_counted:
                has_counted = self._count(phase, rail, arm, key)
            else:
                self._use_up(phase, rail, key)
        if has_counted:
            self.incidents.begin(rail, arm, now_s)
        return has_counted

    def _count(self, phase: Phase, rail: Rail, arm: Arm, key: bytes) -> bool:
        """Count a key once in the phase, and once in the run: where it first turned bad.

        Return whether it counted.
        """
        if key in phase.seen[rail]:
            return False
        is_first = key not in self.seen[rail]
        if not self._use_up(phase, rail, key):
            return False
        phase.counted[rail][arm] += 1
        phase.first[rail][arm] += is_first
        return True

    def _use_up(self, phase: Phase, rail: Rail, key: bytes) -> bool:
        """Note a key, which then counts no more; whether there was room."""
        sets = [phase.seen[rail]]
        # A key that was bad where nothing is compared can still be evidence later in the run.
        if rail == "disagreement" or 0 < phase.percent < 100:
            sets.append(self.seen[rail])
        for keys in sets:
            if len(keys) >= MOST_KEYS and key not in keys:
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
