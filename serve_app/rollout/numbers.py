"""The numbers by which a phase is judged, as they stand in each decision and in the view."""

import math

from serve_app.rollout.counts import ARMS
from serve_app.rollout.evidence import Phase, Record
from serve_app.rollout.hold_verdict import stable_times
from serve_app.statistics.psi import psi, psi_noise
from serve_app.statistics.sequential_test import Judgement


def evidence_numbers(record: Record, phase: Phase, judgement: Judgement) -> dict[str, float]:
    """Return the numbers of a phase by which it is judged."""
    numbers: dict[str, float] = {}
    for arm in ARMS:
        numbers[f"errors_{arm}_keys"] = phase.n_bad_keys(arm)
    for arm in ARMS:
        numbers[f"slow_{arm}_keys"] = phase.counted["slow"][arm]
    for arm in ARMS:
        numbers[f"{arm}_bad_requests"] = phase.total.bad[arm]
        for fault, n_requests in phase.bad[arm].items():
            numbers[f"{arm}_{fault}_requests"] = n_requests
    for finding in judgement.findings:
        numbers[f"{finding.rail}_{finding.since}_log_e"] = round(finding.log_e, 6)
        numbers[f"{finding.rail}_{finding.since}_limit"] = round(finding.limit, 6)
    times = {"stable": stable_times(record, phase), "candidate": phase.times["candidate"]}
    for name, of_arm in times.items():
        if of_arm.p95_ms is not None:
            numbers[f"{name}_p95_ms"] = round(of_arm.p95_ms, 1)
    shadowed = phase.shadowed
    if phase.n_pairs or shadowed.n_missed or shadowed.n_dropped:
        numbers["pairs"] = phase.n_pairs
        numbers["disagreements"] = phase.n_disagree
        numbers["shadow_dropped_rows"] = shadowed.n_dropped
        numbers["shadow_missed_requests"] = shadowed.n_missed
        if shadowed.agreement.n_rows:
            numbers["mean_difference"] = shadowed.agreement.mean_difference
            numbers["largest_shift"] = shadowed.agreement.largest
            correlation = shadowed.agreement.rank_correlation()
            numbers["rank_correlation"] = math.nan if correlation is None else correlation
    if phase.has_scores_of_both:
        stable = phase.scores["stable"]
        candidate = phase.scores["candidate"]
        numbers["psi"] = psi(stable, candidate)
        numbers["psi_noise"] = psi_noise(len(stable), sum(stable), sum(candidate))
    for arm, moments in phase.moments.items():
        if moments.n:
            numbers[f"{arm}_mean_score"] = moments.mean
    return numbers
