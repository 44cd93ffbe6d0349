"""What became of one run, and of all runs of a scenario."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from benchmarks.simulator.scenario import Expectation
from serve_app.rollout.event import Event

# undecided: still under way when the time was over.
Ended = Literal["aborted", "held", "passed", "undecided"]


@dataclass(frozen=True)
class Outcome:
    """One run.

    `seconds` and `n_candidate` (requests that were assigned to the candidate) are those until it
    ended. `exposed_s` counts the seconds in which a client was given to a candidate that failed
    everything. `n_lost` requests got no answer although stable could answer. `is_stuck`: neither
    the judge nor a person could take the share away; `out_s` is what it took at the end. `events`
    are those of the log, where the run is told.
    """

    seed: int
    ended: Ended
    reason: str
    seconds: float
    n_requests: int
    n_candidate: int
    n_lost: int
    exposed_s: int
    is_stuck: bool
    cpu_s: float
    story: tuple[str, ...] = field(default=(), repr=False)
    events: tuple[Event, ...] = field(default=(), repr=False)
    cause: str = ""
    out_s: float = 0.0


@dataclass(frozen=True)
class Summary:
    """All runs of a scenario; shares are percents of the runs."""

    n_runs: int
    aborted: float
    held: float
    passed: float
    undecided: float
    median_s: float
    median_candidate: float
    n_lost: int
    longest_exposure_s: int
    n_stuck: int
    # What was missed, in words, each with a seed that shows it.
    missed: tuple[str, ...]
    # The first of these seeds; None: nothing was missed, or no single run shows it.
    failing_seed: int | None = None


def summarize(outcomes: Sequence[Outcome], expected: Expectation) -> Summary:
    """Add up runs, and say what of the expectation they miss."""
    n = len(outcomes)

    def share(ended: Ended) -> float:
        return sum(one.ended == ended for one in outcomes) / n

    missed = _missed(outcomes, expected)
    seeds = [seed for _, seed in missed if seed is not None]
    return Summary(
        n,
        100 * share("aborted"),
        100 * share("held"),
        100 * share("passed"),
        100 * share("undecided"),
        median(one.seconds for one in outcomes),
        median(one.n_candidate for one in outcomes),
        sum(one.n_lost for one in outcomes),
        max(one.exposed_s for one in outcomes),
        sum(one.is_stuck for one in outcomes),
        tuple(said for said, _ in missed),
        seeds[0] if seeds else None,
    )


def _missed(outcomes: Sequence[Outcome], expected: Expectation) -> list[tuple[str, int | None]]:
    """Return what was missed in words, and a seed that shows it."""
    n = len(outcomes)
    found: list[tuple[str, int | None]] = []

    def check(name: str, bad: Sequence[Outcome], most: float | None) -> None:
        if most is not None and len(bad) > most * n:
            seed = bad[0].seed
            said = f"{name} {100 * len(bad) / n:.0f} % > {100 * most:g} % (seed {seed})"
            found.append((said, seed))

    aborted = [one for one in outcomes if one.ended == "aborted"]
    passed = [one for one in outcomes if one.ended == "passed"]
    check("aborted", aborted, expected.most_aborted)
    held = [
        one
        for one in outcomes
        if one.ended == "held" and one.cause.startswith(expected.held_by or "")
    ]
    check("held", held, expected.most_held)
    check("passed", passed, expected.most_passed)
    undecided = [one for one in outcomes if one.ended == "undecided"]
    check("undecided", undecided, expected.most_undecided)
    longest = max(outcomes, key=lambda one: one.exposed_s)
    most_s = expected.longest_exposure_s
    if most_s is not None and longest.exposed_s > most_s:
        said = f"exposed {longest.exposed_s} s > {most_s:g} s (seed {longest.seed})"
        found.append((said, longest.seed))
    most_requests = expected.most_median_requests
    if most_requests is not None:
        middle = median(one.n_candidate for one in outcomes)
        if middle > most_requests:
            found.append((f"median {middle:.0f} requests > {most_requests:g}", None))
    check("answers lost in", [one for one in outcomes if one.n_lost], 0.0)
    check("cannot be taken away in", [one for one in outcomes if one.is_stuck], 0.0)
    return found
