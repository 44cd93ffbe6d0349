"""What those are told of a fault who may not see where things lie on this machine."""

import re

from starlette.requests import Request

from serve_app.access.auth import Auth
from serve_app.http.request import CALLER
from serve_app.rollout.view import RolloutView
from serve_app.serving.status import HIDDEN

A_PLACE = "(a place that is not shown)"
# A path or a URI, with what follows until the sentence goes on: a folder may have a space in it.
_PLACE = re.compile(r"(?<!\w)(?:[A-Za-z][A-Za-z0-9+]*:/)?/(?:(?!: |, |; | \().)+", re.DOTALL)


def shows_reasons(auth: Auth, request: Request) -> bool:
    """Whether who asks may read why something is wrong, with the places where it lies."""
    return auth.shows_reasons(request.scope.get(CALLER))


def hidden(reason: str) -> str:
    """That there is a reason, without it; an empty one stays empty."""
    return HIDDEN if reason else ""


def without_places(text: str) -> str:
    """A text without paths and addresses of stores; whatever else it says stays."""
    return _PLACE.sub(A_PLACE, text)


def rollout_without_reasons(view: RolloutView) -> RolloutView:
    """A rollout as it is, without what is wrong with a log, a table or a store.

    Why a candidate was refused stands in its decisions: they lose their places alone.
    """
    events = [
        event.model_copy(update={"reason": without_places(event.reason)}) for event in view.events
    ]
    return view.model_copy(
        update={
            "trouble": hidden(view.trouble),
            "config_error": hidden(view.config_error),
            "now": without_places(view.now),
            "reason": without_places(view.reason),
            "waits_for": without_places(view.waits_for),
            "events": events,
        }
    )
