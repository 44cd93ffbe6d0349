"""All that the servers of a model counted in one run of a rollout, and what the judge says of it. Pure."""

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

MOST_KEYS = 200_000  # of each set; beyond it no key is added, which only costs evidence
UNDECIDED_FACTOR = 10  # pairs, as a multiple of min_requests, after which a person decides
N_WORST = 5
MIN_ROWS = 30  # of a slice: fewer say nothing
NONE = Trials(0, 0, 1.0)


def _keys() -> dict[Rail, set[bytes]]:
    return {"errors": set(), "slow": set(), "disagreement": set()}


def _numbers() -> dict[Rail, dict[Arm, int]]:
    return {rail: dict.fromkeys(ARMS, 0) for rail in ("errors", "slow", "disagreement")}


@dataclass
class Phase:
    """One stretch of evidence. `bad`: keys that were bad in it; `first`: those that never were in this run before.

    Of the rail of disagreement, `candidate` counts pairs that disagree and `stable` those that agree.
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
        """What the candidate got of the keys."""
        return 0.0 if self.share == "shadow" else float(self.share)


@dataclass
class Record:
    """The evidence of one run since this coordinator began to count (`restarts`: how often that was)."""

    run: str
    restarts: int = 0
    phases: dict[int, Phase] = field(default_factory=dict)
    seen: dict[Rail, set[bytes]] = field(default_factory=_keys)

    def enter(self, number: int, share: Share) -> Phase:
        """The phase of this number; it begins empty."""
        return self.phases.setdefault(number, Phase(share))

    def add(self, tally: Counts) -> None:
        """Trials of a server. Those of another run, or of a phase before this coordinator, count for nothing."""
        phase = self.phases.get(tally.phase)
        if tally.run != self.run or phase is None:
            return
        for arm in ARMS:
            phase.requests[arm] += tally.requests[arm]
            self._add_bad(phase, "errors", arm, tally.errors[arm])
            self._add_bad(phase, "slow", arm, tally.slow[arm])
        for key, disagrees in tally.shadowed.pairs.items():
            self._add_bad(phase, "disagreement", "candidate" if disagrees else "stable", {key})
        merged = Counts(tally.run, tally.phase, scores=phase.scores)
        merged.add(tally)
        phase.scores = merged.scores
        tally.shadowed.pairs.clear()  # counted above; kept, they would grow without end
        phase.shadowed.add(tally.shadowed)

    def _add_bad(self, phase: Phase, rail: Rail, arm: Arm, keys: set[bytes]) -> None:
        """A key counts once in a phase, and once in the run: where it first turned bad."""
        for key in keys - phase.seen[rail]:
            if len(phase.seen[rail]) >= MOST_KEYS or len(self.seen[rail]) >= MOST_KEYS:
                return
            phase.seen[rail].add(key)
            phase.bad[rail][arm] += 1
            if key not in self.seen[rail]:
                self.seen[rail].add(key)
                phase.first[rail][arm] += 1

    def judgement(self, number: int, plan: Rollout) -> Judgement:
        """Every rail against its limits, since this phase began and since the run did."""
        phase, rails = self.phases[number], plan.guardrails
        found = [
            Evidence(
                rail,
                _counts(rail, phase, phase.bad[rail], rails),
                tuple(_counts(rail, one, one.first[rail], rails) for one in self.phases.values()),
            )
            for rail in ("errors", "slow", "disagreement")
        ]
        n_steps = max(1, sum(step != 100 for step in plan.steps))
        return judge(found, alpha=rails.alpha, n_steps=n_steps, restarts=self.restarts)

    def verdict(self, number: int, plan: Rollout) -> Verdict:
        """What is known of a candidate in this phase. Cheap enough to be asked at each look."""
        phase = self.phases[number]
        judgement = self.judgement(number, plan)
        numbers = _evidence_numbers(phase, judgement)
        if failed := judgement.failed:
            return Verdict("fail", failed.reason, numbers)
        if phase.share == "shadow":
            return _of_shadow(phase, plan, numbers)
        stable, candidate = phase.scores["stable"], phase.scores["candidate"]
        if stable and candidate and is_shifted(stable, candidate):
            reason = f"the scores lie elsewhere: PSI {psi(stable, candidate):.2f}, more than 0.25; a person decides"
            return Verdict("hold", reason, numbers, "psi")
        reason = ", ".join(
            f"{rail}: {phase.bad[rail]['candidate']} keys" for rail in ("errors", "slow")
        )
        return Verdict("pass", f"{phase.requests['candidate']} requests of the candidate within the rails ({reason})",
                       numbers)  # fmt: skip


def requests_of(phase: Phase) -> tuple[int, int]:
    """(stable's, the candidate's) requests; in shadow a pair counts for both."""
    if phase.share == "shadow":
        return phase.requests["stable"], sum(phase.bad["disagreement"].values())
    return phase.requests["stable"], phase.requests["candidate"]


def worst_slices(phase: Phase) -> list[tuple[str, str, Slice]]:
    """(feature, bin, counts) where the versions disagree most, by the lower 95 % bound, above that of all rows."""
    whole = phase.shadowed.whole
    overall = whole.n_disagree / whole.n_rows if whole.n_rows else 0.0
    ranked = [
        (wilson(part.n_disagree, part.n_rows)[0], name, part)
        for name, part in phase.shadowed.slices.items()
        if part.n_rows >= MIN_ROWS and part.n_disagree
    ]
    worst = sorted(
        (found for found in ranked if found[0] > overall), reverse=True, key=lambda found: found[0]
    )
    return [(*name, part) for _, name, part in worst[:N_WORST]]


def _counts(rail: Rail, phase: Phase, by_arm: Mapping[Arm, int], rails: Guardrails) -> Trials:
    hits, others = by_arm["candidate"], by_arm["stable"]
    if rail == "disagreement":
        most_percent = max(
            rails.max_disagreement_percent, 0.01
        )  # at 0 a single pair would be proof of anything
        return pairs(hits, hits + others, most_percent) if most_percent < 100 else NONE
    ratio = rails.max_error_ratio if rail == "errors" else rails.max_slow_ratio
    return bad_keys(hits, others, phase.percent, ratio)


def _of_shadow(phase: Phase, plan: Rollout, numbers: Mapping[str, float]) -> Verdict:
    """The upper 95 % bound of the share of pairs that disagree must lie within what is tolerated."""
    counts = phase.bad["disagreement"]
    n_pairs, most = sum(counts.values()), plan.guardrails.max_disagreement_percent
    if not n_pairs:
        return Verdict("wait", "no row was scored by both versions yet", numbers)
    low, high = (100 * bound for bound in wilson(counts["candidate"], n_pairs))
    found = f"{counts['candidate']} of {n_pairs} pairs disagree, {low:.1f} to {high:.1f} %"
    if high <= most:
        return Verdict("pass", f"{found}; tolerated: up to {most:g} %", numbers)
    if n_pairs >= UNDECIDED_FACTOR * plan.min_requests:
        return Verdict(
            "hold",
            f"{found}, neither within nor beyond {most:g} %; a person decides",
            numbers,
            "shadow",
        )
    return Verdict("wait", f"{found}; passes when the upper bound is within {most:g} %", numbers)


def _evidence_numbers(phase: Phase, judgement: Judgement) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for rail in ("errors", "slow"):
        numbers |= {f"{rail}_{arm}_keys": phase.bad[rail][arm] for arm in ARMS}
    for finding in judgement.findings:
        numbers[f"{finding.rail}_{finding.since}_log_e"] = round(finding.log_e, 6)
        numbers[f"{finding.rail}_{finding.since}_limit"] = round(finding.limit, 6)
    if n_pairs := sum(phase.bad["disagreement"].values()):
        numbers |= {"pairs": n_pairs, "disagreements": phase.bad["disagreement"]["candidate"]}
        numbers |= {"shadow_dropped_rows": phase.shadowed.n_dropped}
        if phase.shadowed.n_compared:
            numbers["mean_difference"] = phase.shadowed.difference / phase.shadowed.n_compared
    stable, candidate = phase.scores["stable"], phase.scores["candidate"]
    if stable and candidate:
        numbers["psi"] = psi(stable, candidate)
        numbers["psi_noise"] = psi_noise(len(stable), sum(stable), sum(candidate))
    return numbers
