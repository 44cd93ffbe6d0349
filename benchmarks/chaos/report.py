"""The report of a run: what was missed, and a Markdown table. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.chaos.outcome import Outcome
from benchmarks.report import table

LEAST_AVAILABILITY_PERCENT = 99.9
HEAD = (
    "fault",
    "requests",
    "lost",
    "how",
    "told to come again",
    "longest gap s",
    "recovery s",
    "whole again s",
    "p99 ms",
)


@dataclass(frozen=True)
class Part:
    """One server under all faults: mode, placement, load, and what came of each fault.

    What is expected to be answered is expected of two replicas or more: while a single one starts
    again nobody answers, and how much that is stands in the report.

    `skipped` says by name why a fault was not tried on this machine.
    """

    mode: str
    placement: str
    rate: float
    outcomes: Sequence[Outcome]
    skipped: dict[str, str]
    replicas: int = 2

    @property
    def name(self) -> str:
        """Which server it was."""
        return f"{self.mode}, {self.placement}" + (", one replica" if self.replicas == 1 else "")


def availability_percent(outcomes: Sequence[Outcome]) -> float:
    """Share of good answers over all faults that a server is to live through.

    A fault that ends the server is left out: how long it is away is a matter of who starts it
    again, and stands in its own line. What was told to come again, where that is right, is neither
    good nor lost.
    """
    lived = [outcome for outcome in outcomes if not outcome.ends_server]
    n_lost = sum(outcome.lost for outcome in lived)
    n_told = sum(
        n for outcome in lived for kind, n in outcome.failed.items() if outcome.is_shed(kind)
    )
    n_asked = sum(outcome.requests for outcome in lived) - n_told
    if n_asked == 0:
        return 100.0
    return 100 * (1 - n_lost / n_asked)


def missed(part: Part) -> list[str]:
    """What a run must not show, a sentence each."""
    found = []
    for outcome in part.outcomes:
        found += [f"{part.name}, {outcome.fault}: {text}" for text in _of(outcome)]
    percent = availability_percent(part.outcomes)
    if part.replicas > 1 and percent < LEAST_AVAILABILITY_PERCENT:
        found.append(
            f"{part.name}: {percent:.3f} % answered, expected {LEAST_AVAILABILITY_PERCENT} %"
        )
    return found


def _of(outcome: Outcome) -> list[str]:
    found = []
    if outcome.wrong:
        found.append(f"{outcome.wrong} wrong answers")
    if outcome.recovery_s > outcome.most_recovery_s:
        found.append(
            f"requests failed for {outcome.recovery_s:.1f} s, expected at most "
            f"{outcome.most_recovery_s:g} s"
        )
    if outcome.requests and not outcome.answered:
        # A server that refuses everybody is quick, too.
        found.append("no request was answered")
    if outcome.accepted == 0:
        found.append("nothing was accepted of those who make the overload")
    if outcome.most_p99_ms is not None and outcome.p99_ms > outcome.most_p99_ms:
        found.append(
            f"99 % of what was accepted was answered within {outcome.p99_ms:.0f} ms, expected "
            f"{outcome.most_p99_ms:g} ms"
        )
    most_percent = outcome.most_growth_percent
    if most_percent is not None and outcome.growth_percent > most_percent:
        found.append(
            "memory grew from {:.0f} to {:.0f} MB".format(*outcome.memory_mb)
            + f", expected at most {most_percent:g} % more"
        )
    if outcome.whole_s is None:
        found.append("it did not heal by itself")
    if outcome.left_behind:
        found.append(f"left behind: {', '.join(outcome.left_behind)}")
    return found


def markdown(parts: Sequence[Part], about: dict[str, str]) -> str:
    """A table for each server, and what was missed."""
    texts = ["# Under faults", "\n".join(f"* {name}: {value}" for name, value in about.items())]
    for part in parts:
        percent = availability_percent(part.outcomes)
        texts.append(f"## {part.name}")
        texts.append(
            f"{part.rate:.0f} requests/s; {percent:.3f} % of those that were not told to come "
            "again were answered, in all faults that the server lives through."
        )
        texts.append(table(HEAD, [row(outcome) for outcome in part.outcomes]))
        notes = [f"* {o.title}: {o.story}" for o in part.outcomes if o.story]
        notes += [f"* not tried: {name}: {why}" for name, why in part.skipped.items()]
        if notes:
            texts.append("\n".join(notes))
    lines = [line for part in parts for line in missed(part)]
    texts.append("## Missed")
    texts.append("\n".join(f"* {line}" for line in lines) or "Nothing.")
    return "\n\n".join(texts) + "\n"


def row(outcome: Outcome) -> list[str]:
    """One line of the table."""
    shed = {kind: n for kind, n in outcome.failed.items() if outcome.is_shed(kind)}
    lost = {kind: n for kind, n in outcome.failed.items() if kind not in shed}
    whole = "never" if outcome.whole_s is None else f"{outcome.whole_s:.1f}"
    return [
        outcome.title,
        f"{outcome.requests:,}",
        str(outcome.lost),
        ", ".join(f"{n} × {kind}" for kind, n in lost.items()) or "–",
        str(sum(shed.values())),
        f"{outcome.longest_gap_s:.2f}",
        f"{outcome.recovery_s:.1f}",
        whole,
        f"{outcome.p99_ms:.0f}",
    ]
