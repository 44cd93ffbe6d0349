"""The labels of one server, sent over HTTP."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

from serve_app.commands.api_key import add_key
from serve_app.commands.rollout_client import Unreachable, refusal_of

TIMEOUT_S = 30.0
# A server that has enough to do says how long to wait; no longer than this, and so often.
MOST_WAIT_S = 10.0
MOST_ATTEMPTS = 30
TRY_LATER = (429, 503)


class LabelClient:
    """Sends lists of labels to the server at a URL."""

    def __init__(self, url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        if not url.startswith(("http://", "https://")):
            raise Unreachable(
                f"--url: found {url!r}, expected one that begins with http:// or https://"
            )
        self._where = url.rstrip("/") + "/v1/feedback"
        self._sleep = sleep

    def send(self, labels: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One outcome a label, in order. Raises Unreachable, or Refused for all of them."""
        body = json.dumps(labels).encode()
        for _ in range(MOST_ATTEMPTS):
            status, answer, wait_s = self._once(body)
            if status == 200:
                return self._outcomes(answer, len(labels))
            if status not in TRY_LATER:
                break
            self._sleep(min(MOST_WAIT_S, wait_s))
        raise refusal_of(self._where, status, answer)

    def _outcomes(self, answer: bytes, n_labels: int) -> list[dict[str, Any]]:
        try:
            outcomes = json.loads(answer)["labels"]
        except (ValueError, KeyError, TypeError):
            outcomes = None
        if not isinstance(outcomes, list) or len(outcomes) != n_labels:
            raise Unreachable(
                f"{self._where}: the answer is no list of outcomes; is this the URL of a Sluice "
                "server?"
            )
        return outcomes

    def _once(self, body: bytes) -> tuple[int, bytes, float]:
        """Status, body, and the seconds to wait."""
        request = urllib.request.Request(self._where, body, {"Content-Type": "application/json"})
        add_key(request)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return answer.status, answer.read(), 1.0
        except urllib.error.HTTPError as error:
            wish = error.headers.get("Retry-After") or ""
            return error.code, error.read(), float(wish) if wish.isdecimal() else 1.0
        except (OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise Unreachable(
                f"{self._where}: no answer ({reason}); is the server up, and is this its URL "
                "(--url)?"
            ) from None
