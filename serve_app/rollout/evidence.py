"""All that the servers of a model counted in one run of a rollout, and what the judge says of it.

Everything here is pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from serve_app.rollout.counts import ARMS, Arm, Counts, Shadowed, Slice
from serve_app.rollout.decide import Verdict
from serve_app.rollout.event import Share
from serve_app.settings import Guardrails, Rollout
from serve_app.statistics.intervals import wilson
from serve_app.statistics.psi import is_shifted, psi, psi_noise
from serve_app.statistics.sequential_test import (
    Evidence,
    Judgement,
    Rail,
    Trials,
    bad_keys,
    judge,
    pairs,
)
from serve_app.statistics.slicing import MIN_ROWS

RAILS: tuple[Rail, ...] = ("errors", "slow", "disagreement")
# Keys of each set. Beyond it no key is added, which only costs evidence.
MOST_KEYS = 200_000
# After this many times `min_requests` pairs, a person decides.
UNDECIDED_FACTOR = 10
# If no disagreement at all were tolerated, a single pair would be proof of anything.
LEAST_TOLERATED_PERCENT = 0.01
N_WORST = 5
NONE = Trials(0, 0, 1.0)


def _keys() -> dict[Rail, set[bytes]]:
    return {rail: set() for rail in RAILS}


def _numbers() -> dict[Rail, dict[Arm, int]]:
    return {rail: dict.fromkeys(ARMS, 0) for rail in RAILS}


@dataclass
class Phase:
    """What was seen in one phase: a stretch of evidence at one share.

    `bad` counts keys that were bad in it, and `first` those of them that had not been bad in this
    run before. Of the guardrail of disagreement, `candidate` counts pairs that disagree and
    `stable` those that agree.
    """

    share: Share
    requests: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(ARMS, 0))
    scores: dict[Arm, list[int]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    bad: dict[Rail, dict[Arm, int]] = field(default_factory=_numbers)
    first: dict[Rail, dict[Arm, int]] = field(default_factory=_numbers)
    shadowed: Shadowed = field(default_factory=Shadowed)
    seen: dict[Rail, set[bytes]] = field(default_factory=_keys)

    @property
    def percent(self) -> float:
        """Return what the candidate got of the keys; in shadow it got none."""
        return 0.0 if self.share == "shadow" else float(self.share)

    @property
    def n_disagree(self) -> int:
        """Return the pairs about which the versions disagree."""
        return self.bad["disagreement"]["candidate"]

    @property
    def n_pairs(self) -> int:
        """Return all pairs: keys of which both versions scored the first row."""
        return self.bad["disagreement"]["candidate"] + self.bad["disagreement"]["stable"]

    @property
    def has_scores_of_both(self) -> bool:
        """Return whether both versions have answered somebody."""
        return bool(self.scores["stable"]) and bool(self.scores["candidate"])


@dataclass
class Record:
    """The evidence of one run since this coordinator began to count.

    `restarts` says how often counting began before.
    """

    run: str
    restarts: int = 0
    phases: dict[int, Phase] = field(default_factory=dict)
    seen: dict[Rail, set[bytes]] = field(default_factory=_keys)

    def enter(self, number: int, share: Share) -> Phase:
        """Return the phase of this number, which begins empty."""
        return self.phases.setdefault(number, Phase(share))

    def add(self, counts: Counts) -> None:
        """Take in what a server counted.

        Counts of another run, or of a phase before this coordinator, are left out.
        """
        phase = self.phases.get(counts.phase)
        if counts.run != self.run or phase is None:
            return
        for arm in ARMS:
            phase.requests[arm] += counts.requests[arm]
            self._add_bad(phase, "errors", arm, counts.errors[arm])
            self._add_bad(phase, "slow", arm, counts.slow[arm])
        for key, disagrees in counts.shadowed.pairs.items():
            self._add_bad(phase, "disagreement", "candidate" if disagrees else "stable", {key})
        merged = Counts(counts.run, counts.phase, scores=phase.scores)
        merged.add(counts)
        phase.scores = merged.scores
        # The pairs are counted above; if they were kept here too, they would grow without end.
        counts.shadowed.pairs.clear()
        phase.shadowed.add(counts.shadowed)

    def _add_bad(self, phase: Phase, rail: Rail, arm: Arm, keys: set[bytes]) -> None:
        """Count each key once in the phase, and once in the run: where it first turned bad."""
        seen_in_phase = phase.seen[rail]
        seen_in_run = self.seen[rail]
        for key in keys - seen_in_phase:
            if len(seen_in_phase) >= MOST_KEYS or len(seen_in_run) >= MOST_KEYS:
                return
            seen_in_phase.add(key)
            phase.bad[rail][arm] += 1
            if key not in seen_in_run:
                seen_in_run.add(key)
                phase.first[rail][arm] += 1

    def judgement(self, number: int, plan: Rollout) -> Judgement:
        """Compare every guardrail with its limits, since this phase began and since the run did."""
        phase = self.phases[number]
        guardrails = plan.guardrails
        evidence = []
        for rail in RAILS:
            in_step = _trials(rail, phase, phase.bad[rail], guardrails)
            in_rollout = tuple(
                _trials(rail, one, one.first[rail], guardrails) for one in self.phases.values()
            )
            evidence.append(Evidence(rail, in_step, in_rollout))
        n_steps = max(1, sum(step != 100 for step in plan.steps))
        return judge(evidence, alpha=guardrails.alpha, n_steps=n_steps, restarts=self.restarts)

    def verdict(self, number: int, plan: Rollout) -> Verdict:
        """Return what is known of a candidate in this phase.

        It is cheap enough to be asked at each look.
        """
        phase = self.phases[number]
        judgement = self.judgement(number, plan)
        numbers = _evidence_numbers(phase, judgement)
        failed = judgement.failed
        if failed is not None:
            return Verdict("fail", failed.reason, numbers)
        if phase.share == "shadow":
            return _of_shadow(phase, plan, numbers)
        stable = phase.scores["stable"]
        candidate = phase.scores["candidate"]
        if phase.has_scores_of_both and is_shifted(stable, candidate):
            shift = psi(stable, candidate)
            reason = f"the scores lie elsewhere: PSI {shift:.2f}, more than 0.25; a person decides"
            return Verdict("hold", reason, numbers, "psi")
        n_requests = phase.requests["candidate"]
        n_errors = phase.bad["errors"]["candidate"]
        n_slow = phase.bad["slow"]["candidate"]
        reason = (
            f"{n_requests} requests of the candidate within the rails "
            f"(errors: {n_errors} keys, slow: {n_slow} keys)"
        )
        return Verdict("pass", reason, numbers)


def requests_of(phase: Phase) -> tuple[int, int]:
    """Return the requests of (stable, the candidate); in shadow a pair counts for both."""
    if phase.share == "shadow":
        return phase.requests["stable"], phase.n_pairs
    return phase.requests["stable"], phase.requests["candidate"]


def worst_slices(phase: Phase) -> list[tuple[str, str, Slice]]:
    """Return (feature, bin, counts) of the slices where the versions disagree most, worst first.

    They are ranked by the lower 95 % bound of the share of rows that disagree, which must be above
    the share over all rows.
    """
    whole = phase.shadowed.whole
    overall = whole.n_disagree / whole.n_rows if whole.n_rows else 0.0
    worst = []
    for (feature, label), part in phase.shadowed.slices.items():
        if part.n_rows < MIN_ROWS or not part.n_disagree:
            continue
        low, _ = wilson(part.n_disagree, part.n_rows)
        if low > overall:
            worst.append((low, (feature, label, part)))
    worst.sort(key=lambda ranked: ranked[0], reverse=True)
    return [found for _, found in worst[:N_WORST]]


def _trials(rail: Rail, phase: Phase, by_arm: Mapping[Arm, int], limits: Guardrails) -> Trials:
    """Return keys counted in a phase as the sequential test wants them."""
    hits = by_arm["candidate"]
    others = by_arm["stable"]
    if rail == "errors":
        return bad_keys(hits, others, phase.percent, limits.max_error_ratio)
    if rail == "slow":
        return bad_keys(hits, others, phase.percent, limits.max_slow_ratio)
    tolerated_percent = max(limits.max_disagreement_percent, LEAST_TOLERATED_PERCENT)
    if tolerated_percent >= 100:
        return NONE
    return pairs(hits, hits + others, tolerated_percent)


def _of_shadow(phase: Phase, plan: Rollout, numbers: Mapping[str, float]) -> Verdict:
    """Judge shadow: it passes when no more disagree than is tolerated, by the upper 95 % bound."""
    if not phase.n_pairs:
        return Verdict("wait", "no row was scored by both versions yet", numbers)
    low_percent, high_percent = (100 * bound for bound in wilson(phase.n_disagree, phase.n_pairs))
    found = (
        f"{phase.n_disagree} of {phase.n_pairs} pairs disagree, "
        f"{low_percent:.1f} to {high_percent:.1f} %"
    )
    most_percent = plan.guardrails.max_disagreement_percent
    if high_percent <= most_percent:
        return Verdict("pass", f"{found}; tolerated: up to {most_percent:g} %", numbers)
    if phase.n_pairs >= UNDECIDED_FACTOR * plan.min_requests:
        reason = f"{found}, neither within nor beyond {most_percent:g} %; a person decides"
        return Verdict("hold", reason, numbers, "shadow")
    reason = f"{found}; passes when the upper bound is within {most_percent:g} %"
    return Verdict("wait", reason, numbers)


def _evidence_numbers(phase: Phase, judgement: Judgement) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for arm in ARMS:
        numbers[f"errors_{arm}_keys"] = phase.bad["errors"][arm]
    for arm in ARMS:
        numbers[f"slow_{arm}_keys"] = phase.bad["slow"][arm]
    for finding in judgement.findings:
        numbers[f"{finding.rail}_{finding.since}_log_e"] = round(finding.log_e, 6)
        numbers[f"{finding.rail}_{finding.since}_limit"] = round(finding.limit, 6)
    if phase.n_pairs:
        numbers["pairs"] = phase.n_pairs
        numbers["disagreements"] = phase.n_disagree
        numbers["shadow_dropped_rows"] = phase.shadowed.n_dropped
        if phase.shadowed.n_compared:
            numbers["mean_difference"] = phase.shadowed.difference / phase.shadowed.n_compared
            numbers["largest_shift"] = phase.shadowed.largest
    if phase.has_scores_of_both:
        stable = phase.scores["stable"]
        candidate = phase.scores["candidate"]
        numbers["psi"] = psi(stable, candidate)
        numbers["psi_noise"] = psi_noise(len(stable), sum(stable), sum(candidate))
    return numbers
