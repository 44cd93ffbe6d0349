"""What labels say of a candidate: what came true for its answers, and for stable's.

The test stands in statistics/loss_test.py, and docs/labels.md says what its numbers mean. Labels
come late: those of an earlier step still count, each among those of its own step.
"""

from typing import Protocol

from pydantic import BaseModel, Field

from serve_app.rollout.evidence import Record
from serve_app.settings import Rollout
from serve_app.statistics.loss_test import LabelEvidence, labels_limit

CAUSE = "labels"


class Labelled(Protocol):
    """Where labels are summed."""

    def labelled(
        self, run: str, stable: str, candidate: str, max_ratio: float
    ) -> LabelEvidence | None:
        """Return what those of a run (State.id) say of its candidate; None: nothing is known."""


class LabelsView(BaseModel):
    """Labels of both versions in this run; losses are from 0 to 1, the less the better."""

    said: str = Field(description="one sentence")
    n_stable: int
    n_candidate: int
    stable_loss: float | None
    candidate_loss: float | None
    difference: float | None = Field(description="of the candidate's loss to stable's")
    low: float | None = Field(description="its bounds of 95 %, at all looks together")
    high: float | None
    log_e: float = Field(description="evidence that it is worse than tolerated (natural logarithm)")
    limit: float = Field(description="where that puts the candidate out")
    unjudged: str = Field(default="", description="why they judge nothing; empty: they do")


def worse_on_labels(record: Record, plan: Rollout) -> str:
    """Say by how much the candidate is worse than tolerated, beyond chance; empty: it is not."""
    seen = record.labels
    if seen is None or not seen.is_worse(plan.guardrails.alpha, record.restarts):
        return ""
    return (
        f"labels: its mean loss is {_losses(seen)}; tolerated: up to "
        f"{plan.guardrails.max_loss_ratio:g} times stable's"
    )


def better_on_labels(record: Record, plan: Rollout) -> str:
    """Say by how much the candidate is better than stable, beyond chance; empty: it is not."""
    seen = record.labels
    if seen is None or not seen.is_better(plan.guardrails.alpha, record.restarts):
        return ""
    return f"better on labels: its mean loss is {_losses(seen)}"


def label_numbers(record: Record) -> dict[str, float]:
    """Return the numbers of labels as they stand in each decision; none before the first."""
    seen = record.labels
    if seen is None or not seen.n_stable + seen.n_candidate:
        return {}
    numbers: dict[str, float] = {
        "stable_labels": seen.n_stable,
        "candidate_labels": seen.n_candidate,
        "labels_log_e": round(seen.worse_log_e, 6),
        "labels_better_log_e": round(seen.better_log_e, 6),
    }
    if seen.stable_loss is not None:
        numbers["stable_loss"] = round(seen.stable_loss, 6)
    if seen.candidate_loss is not None:
        numbers["candidate_loss"] = round(seen.candidate_loss, 6)
    return numbers


def labels_view(record: Record, plan: Rollout) -> LabelsView | None:
    """Return what is told of labels; None before the first, unless they judge nothing."""
    seen = record.labels
    if seen is None or not (seen.n_stable + seen.n_candidate or seen.unjudged):
        return None
    said = seen.unjudged or worse_on_labels(record, plan) or better_on_labels(record, plan)
    return LabelsView(
        said=said or "no difference beyond chance yet",
        n_stable=seen.n_stable,
        n_candidate=seen.n_candidate,
        stable_loss=seen.stable_loss,
        candidate_loss=seen.candidate_loss,
        difference=seen.difference,
        low=seen.low,
        high=seen.high,
        log_e=round(seen.worse_log_e, 6),
        limit=round(labels_limit(plan.guardrails.alpha, record.restarts), 6),
        unjudged=seen.unjudged,
    )


def _losses(seen: LabelEvidence) -> str:
    return (
        f"{seen.candidate_loss or 0:.4f} of {seen.n_candidate} labelled keys, stable's "
        f"{seen.stable_loss or 0:.4f} of {seen.n_stable}"
    )
