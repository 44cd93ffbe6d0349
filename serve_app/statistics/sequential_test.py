"""The judge of a canary: it may look at any time, and its false alarms stay within alpha.

Routing keys are what is randomised (serving/assignment.py), so keys are what is counted, each when
it first turns bad. However heavy or bad a key is, it is then the candidate's with probability w =
weight / 100, and with at most r·w / (r·w + 1 - w) where the candidate turns keys bad at most r
times as fast as stable. Against that bound runs the beta-binomial mixture of Robbins (1970),
one-sided, as in Lindon et al., "Rapid Regression Detection in Software Deployments through
Sequential Testing" (KDD 2022). docs/rollouts.md says why it holds, what it finds, and how soon.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Rail = Literal["errors", "slow", "disagreement"]
Since = Literal["rollout", "step"]

# How alpha is divided among the rails, and what is left of it for labels (loss_test.py).
RAIL_SHARES: dict[Rail, float] = {"errors": 0.7, "slow": 0.15, "disagreement": 0.1}
LABELS_SHARE = 0.05
# 80 % of alpha is for the first attempt; what begins again, after a crash or as another run, shares
# the other 20 %.
FIRST_SHARE = 0.8
_NOUNS: dict[Rail, str] = {
    "errors": "bad keys or stops were the candidate's",
    "slow": "series of slow answers were the candidate's",
    "disagreement": "pairs disagreed",
}


@dataclass(frozen=True)
class Trials:
    """What was counted while the weight did not change.

    `hits` are the candidate's bad keys, stops of its processes, series of its slow answers, or
    pairs that disagree; `others` are stable's, or pairs that agree. `odds` is the most that is
    tolerated of P(hit) / P(other).
    """

    hits: int
    others: int
    odds: float

    @property
    def tolerated(self) -> float:
        """How many hits among these keys are expected at the most that is tolerated."""
        return (self.hits + self.others) * self.odds / (1 + self.odds)


@dataclass(frozen=True)
class Evidence:
    """What a rail saw.

    In `step` a key counts once since the step began: that finds a candidate that breaks when most
    keys have been bad before. In `rollout` it counts once since the rollout began: that adds up
    over steps. Either has an entry for each odds that were tolerated.
    """

    rail: Rail
    step: tuple[Trials, ...]
    rollout: tuple[Trials, ...]


@dataclass(frozen=True)
class Finding:
    """The evidence of a rail and its limit; both are natural logarithms."""

    rail: Rail
    since: Since
    log_e: float
    limit: float
    reason: str


@dataclass(frozen=True)
class Judgement:
    """All findings of one look."""

    findings: tuple[Finding, ...]

    @property
    def failed(self) -> Finding | None:
        """The finding furthest beyond its limit; None: the candidate passes so far."""
        beyond = [finding for finding in self.findings if finding.log_e >= finding.limit]
        return max(beyond, key=lambda finding: finding.log_e - finding.limit, default=None)


def bad_keys(candidate: int, stable: int, weight_percent: float, max_ratio: float) -> Trials:
    """Keys that turned bad, by arm, at one weight.

    At 0 and 100 % there is nothing to compare: no evidence.
    """
    if not 0 < weight_percent < 100:
        return Trials(0, 0, 1.0)
    return Trials(candidate, stable, max_ratio * weight_percent / (100 - weight_percent))


def pairs(n_disagree: int, n_pairs: int, max_percent: float) -> Trials:
    """Keys whose first row both versions scored, and those on which they disagreed.

    `max_percent` is above 0 and below 100.
    """
    return Trials(n_disagree, n_pairs - n_disagree, max_percent / (100 - max_percent))


def _prior(n: int = 64, largest: float = 1000.0) -> tuple[tuple[float, float], ...]:
    """(ln m, ln share) on a grid, where a worse candidate's odds are m times the tolerated ones.

    P(m > x) = 1 / x²: for the probability of a hit that is Beta(-2, 2), cut off below the tolerated
    one. The points are closer near 1. A sum over fixed points is as valid as the integral: what it
    misses costs time, not alpha.
    """
    roots = [(k + 0.5) / n for k in range(n)]
    logs = [math.log(largest) * root**2 for root in roots]
    densities = [root * math.exp(-2 * log) for root, log in zip(roots, logs, strict=True)]
    total = sum(densities)
    return tuple(
        (log, math.log(density / total)) for log, density in zip(logs, densities, strict=True)
    )


PRIOR = _prior()


def log_e(counts: Iterable[Trials]) -> float:
    """Log of the e-value: how many times likelier these keys are for a worse candidate.

    It is 0 with no data. While the candidate is no worse than tolerated, the e-value is a
    supermartingale, so that it ever reaches 1 / a with probability at most a (Ville 1939). No key
    may be in two of the counts.
    """
    seen = [c for c in counts if c.hits or c.others]
    logs = []
    for log_m, log_share in PRIOR:
        m = math.exp(log_m)
        log = log_share
        for c in seen:
            per_key = math.log1p(c.odds * m) - math.log1p(c.odds)
            log += c.hits * log_m - (c.hits + c.others) * per_key
        logs.append(log)
    top = max(logs)
    return top + math.log(math.fsum(math.exp(log - top) for log in logs))


def limit(rail: Rail, since: Since, *, alpha: float, n_steps: int, restarts: int = 0) -> float:
    """Where log_e fails a candidate: ln(1 / a), where the a of all rails and steps sum to alpha.

    `n_steps` are the steps of the plan before 100 %; `restarts` says how often all counts of this
    rollout were begun again: they were lost, or a person began another run.
    """
    share = RAIL_SHARES[rail] / (2 if since == "rollout" else 2 * n_steps)
    return -math.log(alpha * share * attempt_share(restarts))


def attempt_share(restarts: int) -> float:
    """Return the part of alpha of counts that were begun again so often."""
    if restarts == 0:
        return FIRST_SHARE
    return (1 - FIRST_SHARE) / (restarts * (restarts + 1))


def judge(
    evidence: Iterable[Evidence], *, alpha: float, n_steps: int, restarts: int = 0
) -> Judgement:
    """Every rail against both of its limits. Looking again costs nothing."""
    findings = []
    for seen in evidence:
        both: tuple[tuple[Since, tuple[Trials, ...]], ...] = (
            ("rollout", seen.rollout),
            ("step", seen.step),
        )
        for since, counts in both:
            bound = limit(seen.rail, since, alpha=alpha, n_steps=n_steps, restarts=restarts)
            findings.append(
                Finding(seen.rail, since, log_e(counts), bound, _reason(seen.rail, since, counts))
            )
    return Judgement(tuple(findings))


def _reason(rail: Rail, since: Since, counts: tuple[Trials, ...]) -> str:
    hits = sum(c.hits for c in counts)
    n = sum(c.hits + c.others for c in counts)
    tolerated = sum(c.tolerated for c in counts)
    found = f"{rail}: {hits} of {n} {_NOUNS[rail]} since the {since} began"
    return f"{found}; tolerated: up to {tolerated:.1f}"
