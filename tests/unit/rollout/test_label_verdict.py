"""A running rollout takes labels as a guardrail: worse is out, better says so."""

from dataclasses import replace

import pytest

from serve_app.rollout.evidence import Record
from serve_app.rollout.label_verdict import labels_view
from serve_app.rollout.verdict import verdict
from serve_app.settings import Rollout
from serve_app.statistics.loss_test import LabelEvidence

PLAN = Rollout.model_validate({"stable": "1.0.0", "candidate": "1.1.0"})


def seen(worse_log_e: float = 0.0, better_log_e: float = 0.0) -> LabelEvidence:
    """Labels of both versions, with this evidence."""
    return LabelEvidence(400, 100, 0.1, 0.2, worse_log_e, better_log_e, 0.1, 0.05, 0.15)


def record(share: float, labels: LabelEvidence | None, restarts: int = 0) -> Record:
    """The evidence of a run in which nothing else is wrong."""
    found = Record("run", restarts)
    phase = found.enter(1, share)
    phase.requests = {"stable": 10_000, "candidate": 1_000}
    found.labels = labels
    return found


@pytest.mark.parametrize("share", [1.0, 50.0, 100.0])
def test_a_candidate_that_is_worse_on_labels_is_out_at_any_share(share: float) -> None:
    """Labels come late: those of the first steps may say so only at 100 %."""
    said = verdict(record(share, seen(7.9)), 1, PLAN, 0.0)
    assert (said.outcome, said.cause) == ("fail", "labels")
    assert "0.2000 of 100 labelled keys, stable's 0.1000 of 400" in said.reason
    assert said.numbers["labels_log_e"] == 7.9


def test_less_evidence_is_waited_for_and_restarts_want_more() -> None:
    """The limit is 7.8 in the first run, and 9.9 after the coordinator has begun again."""
    assert verdict(record(50.0, seen(7.7)), 1, PLAN, 0.0).outcome == "pass"
    assert verdict(record(50.0, seen(9.8), restarts=1), 1, PLAN, 0.0).outcome == "pass"
    assert verdict(record(50.0, seen(10.0), restarts=1), 1, PLAN, 0.0).outcome == "fail"


def test_a_candidate_that_is_better_says_so_where_it_goes_on() -> None:
    """In the sentence of the next step, which stands in the log."""
    said = verdict(record(50.0, seen(better_log_e=8.0)), 1, PLAN, 0.0)
    assert said.outcome == "pass"
    assert "better on labels" in said.reason
    assert "better" not in verdict(record(50.0, seen()), 1, PLAN, 0.0).reason


def test_labels_that_judge_nothing_say_so_before_the_first_and_put_nobody_out() -> None:
    """Those that come early are no sample: neither is one worse by them nor better."""
    why = "labels judge nothing here: they come after 30 days"
    for labels in (seen(9.0), seen(better_log_e=9.0), LabelEvidence(0, 0, None, None, 0.0, 0.0)):
        found = record(50.0, replace(labels, unjudged=why))
        said = verdict(found, 1, PLAN, 0.0)
        assert said.outcome == "pass"
        assert "better" not in said.reason
        told = labels_view(found, PLAN)
        assert told is not None
        assert told.said == told.unjudged == why


def test_what_labels_say_is_told_once_there_are_any() -> None:
    """In one sentence, with both losses and the limit."""
    assert labels_view(record(50.0, None), PLAN) is None
    nothing = LabelEvidence(0, 0, None, None, 0.0, 0.0)
    assert labels_view(record(50.0, nothing), PLAN) is None
    found = labels_view(record(50.0, seen()), PLAN)
    assert found is not None
    assert found.said == "no difference beyond chance yet"
    assert (found.n_candidate, found.limit) == (100, pytest.approx(7.82, abs=0.01))
    worse = labels_view(record(50.0, seen(9.0)), PLAN)
    assert worse is not None
    assert "tolerated: up to 1.1 times stable's" in worse.said
