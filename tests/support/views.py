"""A rollout as the routes tell it, made by hand."""

from datetime import UTC, datetime
from typing import Any

from serve_app.rollout.event import Event
from serve_app.rollout.view import RailView, RolloutView, SliceView

AT = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)
ROLLOUT = "1.0.0-1.1.0-3f9a2c41"


def event(seq: int, kind: str, share: Any, by: str, reason: str, **more: Any) -> Event:
    """Return one decision as it stands in the log."""
    fields: dict[str, Any] = {
        "at": AT,
        "epoch": 1,
        "writer": "w",
        "seq": seq,
        "rollout": ROLLOUT,
        "run": 1,
        "kind": kind,
        "step": None,
        "share": share,
        "phase": 0,
        "by": by,
        "reason": reason,
    }
    return Event(**(fields | more))


def rollout_view(**changes: Any) -> RolloutView:
    """Return a rollout at 5 %, with something against the candidate."""
    fields: dict[str, Any] = {
        "rollout": ROLLOUT,
        "run": 1,
        "stable": "1.0.0",
        "candidate": "1.1.0",
        "status": "running",
        "now": "1.1.0 answers 5 % of the keys since 15 Jan 12:00:00 UTC.",
        "share": 5.0,
        "step": 1,
        "steps": ["shadow", 5.0, 50.0, 100.0],
        "promoted": False,
        "reason": "2 of 470 pairs disagree, 0.1 to 1.5 %; tolerated: up to 10 %",
        "by": "judge",
        "waits_for": "5 %: 120 of 300 s",
        "trouble": "",
        "commands": ["pause", "promote", "abort"],
        "n_servers": 2,
        "seconds": 120.0,
        "min_seconds": 300,
        "stable_requests": 2_850,
        "candidate_requests": 150,
        "min_requests": 300,
        "numbers": {"psi": 0.0312, "mean_difference": -0.0012},
        "evidence": [
            RailView(
                rail="errors",
                since="rollout",
                log_e=3.1,
                limit=5.878,
                reason="errors: 4 of 6 keys",
            ),
            RailView(
                rail="slow",
                since="step",
                log_e=-0.4,
                limit=8.2,
                reason="slow: 0 of 1 keys",
            ),
        ],
        "worst_slices": [SliceView(feature="nps_score", rows="under 3", n_rows=120, n_disagree=18)],
        "events": [
            event(1, "claimed", 0.0, "coordinator", "a coordinator started"),
            event(2, "entered", "shadow", "coordinator", "1.1.0 is ready", step=0, phase=1),
            event(3, "entered", 5.0, "judge", "2 of 470 pairs disagree", step=1, phase=2),
        ],
    }
    return RolloutView(**(fields | changes))
