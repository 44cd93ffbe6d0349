"""The rollout of one server, its drift and quality, asked over HTTP."""

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from serve_app.commands.api_key import HINT, add_key
from serve_app.commands.api_key import REFUSALS as KEY_REFUSALS
from serve_app.errors import NoRollout, SluiceError, Unconfirmed
from serve_app.monitoring.drift_view import DriftView
from serve_app.monitoring.quality.view import QualityView
from serve_app.rollout.command import CommandName
from serve_app.rollout.view import RolloutView
from serve_app.serving.status import Description

TIMEOUT_S = 10.0
View = TypeVar("View", bound=BaseModel)


class Refused(SluiceError):
    """The server answered, and the answer is no."""


class NoRolloutYet(Refused):
    """The server answered, but its table has no rollout."""


class Unreachable(SluiceError):
    """Nobody answers there, or somebody else than a Sluice server."""


class CoordinatorAway(Unreachable):
    """The server answered, but its coordinator did not, or has just started."""


# By the code of the problem; every other one is a refusal.
REFUSALS: dict[str, type[SluiceError]] = {
    NoRollout.code: NoRolloutYet,
    Unconfirmed.code: CoordinatorAway,
}


def status(url: str) -> RolloutView:
    """Ask how far it is. Raises Refused or Unreachable."""
    return _ask(_route(url), RolloutView, "rollout")


def command(url: str, action: CommandName, by: str, reason: str) -> RolloutView:
    """Carry out a command. Raises Refused or Unreachable."""
    body = json.dumps({"by": by, "reason": reason}).encode()
    return _ask(f"{_route(url)}/{action}", RolloutView, "rollout", body)


def drift(url: str) -> DriftView:
    """Ask how rows and scores differ from training. Raises Refused or Unreachable."""
    return _ask(_route(url, "/v1/drift"), DriftView, "view of drift")


def quality(url: str) -> QualityView:
    """Ask how good each version is now. Raises Refused or Unreachable."""
    return _ask(_route(url, "/v1/quality"), QualityView, "view of quality")


def description(url: str) -> Description:
    """Ask what is served, with what each bundle says of itself. Raises Refused or Unreachable."""
    return _ask(_route(url, "/v1/model"), Description, "description of a model")


def _route(url: str, path: str = "/v1/rollout") -> str:
    if not url.startswith(("http://", "https://")):
        raise Unreachable(
            f"--url: found {url!r}, expected one that begins with http:// or https://"
        )
    return url.rstrip("/") + path


def _ask(where: str, kind: type[View], what: str, body: bytes | None = None) -> View:
    """The answer as a `kind`, which is called `what`. A body makes it a POST."""
    try:
        request = urllib.request.Request(where, body, {"Content-Type": "application/json"})
        add_key(request)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return kind.model_validate_json(answer.read())
    except urllib.error.HTTPError as error:
        raise refusal_of(where, error.code, error.read()) from None
    except ValidationError:
        raise Unreachable(
            f"{where}: the answer is no {what}; is this the URL of a Sluice server?"
        ) from None
    except (OSError, ValueError, HTTPException) as error:
        # Nobody is there, or it is no URL, or what answers does not speak HTTP.
        reason = getattr(error, "reason", None) or type(error).__name__
        raise Unreachable(
            f"{where}: no answer ({reason}); is the server up, and is this its URL (--url)?"
        ) from None


def refusal_of(where: str, status_code: int, body: bytes) -> SluiceError:
    """What a problem+json body says; any other body is of somebody else."""
    try:
        problem: Any = json.loads(body)
        refusal = REFUSALS.get(problem.get("code"), Refused)
        hint = f" ({HINT})" if problem.get("code") in KEY_REFUSALS else ""
        return refusal(f"{problem['title']}: {problem['detail']}{hint}")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Unreachable(
            f"{where}: answered {status_code}, and not as a Sluice server does; is --url right?"
        )
