"""A rollout as the routes tell it, made by hand."""

from datetime import UTC, datetime
from typing import Any

from serve_app.rollout.event import Event
from serve_app.rollout.view import RailView, RolloutView, SliceView

AT = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)


def event(seq: int, kind: str, share: Any, by: str, reason: str, **more: Any) -> Event:
    """One decision."""
    stamp = {"at": AT, "epoch": 1, "writer": "w"}
    plan = {"rollout": "1.0.0-1.1.0-3f9a2c41", "run": 1, "step": None, "phase": 0}
    return Event(
        **{
            **stamp,
            **plan,
            "seq": seq,
            "kind": kind,
            "share": share,
            "by": by,
            "reason": reason,
            **more,
        }
    )


def rollout_view(**changes: Any) -> RolloutView:
    """At 5 %, with something against the candidate."""
    found = {
        "rollout": "1.0.0-1.1.0-3f9a2c41",
        "run": 1,
        "stable": "1.0.0",
        "candidate": "1.1.0",
        "status": "running",
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
            RailView(rail="slow", since="step", log_e=-0.4, limit=8.2, reason="slow: 0 of 1 keys"),
        ],
        "worst_slices": [SliceView(feature="nps_score", rows="under 3", n_rows=120, n_disagree=18)],
        "events": [
            event(1, "claimed", 0.0, "coordinator", "a coordinator started"),
            event(2, "entered", "shadow", "coordinator", "1.1.0 is ready", step=0, phase=1),
            event(3, "entered", 5.0, "judge", "2 of 470 pairs disagree", step=1, phase=2),
        ],
    }
    return RolloutView(**(found | changes))  # type: ignore[arg-type]
