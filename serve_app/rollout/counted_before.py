"""What the log of a rollout tells of evidence that this coordinator has not counted itself."""

from collections.abc import Iterable

from serve_app.rollout.event import Event
from serve_app.rollout.recent import Seen
from serve_app.rollout.state import State


def n_begun(events: Iterable[Event]) -> int:
    """Return how often counting began, by the log of a rollout: with each claim and each run.

    Each of them is an attempt at the judge's alpha, so that no two may have the same part of it.
    """
    return sum(event.kind in ("claimed", "started") for event in events)


def stable_before(events: Iterable[Event], state: State) -> Seen:
    """Return what stable did in the step before 100 %, as the log tells it; nothing: no request."""
    found = Seen()
    for event in events:
        if event.run == state.run and event.kind == "entered" and event.share == 100:
            found.requests["stable"] = int(event.numbers.get("stable_requests") or 0)
            found.bad["stable"] = int(event.numbers.get("stable_bad_requests") or 0)
    return found
