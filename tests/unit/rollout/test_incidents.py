"""Incidents of processes are counted alike for both versions, from the answers on."""

import random

import pytest
from judging import judged, record
from watching import CANDIDATE, STABLE, phase_counter

from serve_app.rollout.evidence import Record
from serve_app.rollout.fault import Fault

# What a candidate may take, and then stable is asked in its place.
LATE_S = 0.15
USUAL_S = 0.003


def answers(
    n_seconds: int, rate_per_s: int, tail_share: float, tail_s: float
) -> list[tuple[float, str, float]]:
    """Return (when it was answered, version, seconds) of equal versions at 10 %, by the time.

    The candidate is given up when it is late, and stable is not.
    """
    rng = random.Random(5)
    found = []
    for n in range(n_seconds * rate_per_s):
        version = CANDIDATE if rng.random() < 0.1 else STABLE
        seconds = tail_s if rng.random() < tail_share else USUAL_S
        if version == CANDIDATE:
            seconds = min(seconds, LATE_S + USUAL_S)
        found.append((n / rate_per_s + seconds, version, seconds))
    return sorted(found)


def counted(told: list[tuple[float, str, float]]) -> Record:
    """Return the record after a server has counted and reported them each second."""
    now_s = 0.0
    counter = phase_counter(clock=lambda: now_s)
    found = record()
    next_s = 1.0
    for n, (at_s, version, seconds) in enumerate(told):
        if at_s >= next_s:
            found.add(counter.take(), next_s, "a")
            next_s += 1.0
        now_s = at_s
        fault: Fault | None = "late" if seconds > LATE_S else None
        counter.note(f"key {n}", version, seconds, fault)
    return found


@pytest.mark.parametrize(
    ("n_seconds", "rate_per_s", "tail_share", "tail_s"),
    [(300, 60, 0.04, 1.9), (120, 200, 0.03, 0.9)],
)
def test_equal_versions_with_late_answers_have_as_many_incidents(
    n_seconds: int, rate_per_s: int, tail_share: float, tail_s: float
) -> None:
    """Stable's late answers began long before the last good one, and the candidate's did not."""
    found = counted(answers(n_seconds, rate_per_s, tail_share, tail_s))
    n_incidents = found.phases[1].counted["processes"]
    assert n_incidents["stable"] >= n_incidents["candidate"] > 5
    assert judged(found, now_s=float(n_seconds)).outcome != "fail"


def test_equal_versions_with_slow_answers_have_as_many_series_however_many_ask() -> None:
    """Of 15 slow answers in a second each began before the one before it was answered."""
    found = counted(answers(60, 300, tail_share=0.2, tail_s=0.12))
    n_series = found.phases[1].counted["slow"]
    assert n_series["stable"] >= n_series["candidate"] > 10
