"""Scores from a running server, through its route for lists of rows."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any

from serve_app.commands.api_key import add_key
from serve_app.commands.diff.csv_rows import Row, reason_of
from serve_app.commands.rollout_client import Unreachable, refusal_of
from serve_app.commands.score.answers import MODEL_FAILED, VERSION, AnswerColumns, Tail
from serve_app.commands.score.rows import BlockReader
from serve_app.errors import FieldError, ModelFailed
from serve_app.serving.versions import backoff

# What a server takes by default (limits.max_rows).
N_ROWS = 100
N_AT_A_TIME = 4
TIMEOUT_S = 30.0
# A server that is away says nothing: the waits grow from here.
FIRST_WAIT_S = 0.5
# A busy or starting server says how long to wait: it is believed up to here, and no longer than
# this in all for one request.
MOST_WAIT_S = 30.0
PATIENCE_S = 120.0
TRY_LATER = (429, 503)
SMALLER = (400, 413)


class ServerScorer:
    """A server at a URL. `place` is what the file calls the place of a row."""

    def __init__(
        self,
        url: str,
        reader: BlockReader,
        columns: AnswerColumns,
        place: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise Unreachable(
                f"--url: found {url!r}, expected one that begins with http:// or https://"
            )
        self._where = url.rstrip("/") + "/v1/predict/batch"
        self._reader = reader
        self._columns = columns
        self._place = place
        self._sleep = sleep
        self._pool = ThreadPoolExecutor(N_AT_A_TIME)
        # Before the first answer, a connection that fails means a wrong URL.
        self._has_answered = False

    def close(self) -> None:
        """Leave the connections."""
        self._pool.shutdown(cancel_futures=True)

    def score(self, rows: Sequence[Sequence[str]], lines: Sequence[int]) -> tuple[list[Tail], int]:
        """What is added to each row, in order, and how many rows are bad.

        Raises Unreachable when nobody answers, and Refused for a whole request.
        """
        tails: list[Any] = [None] * len(rows)
        n_bad = 0
        asked: list[tuple[int, Row]] = []
        for i, cells in enumerate(rows):
            fault = self._reader.length_fault(cells)
            if fault is None:
                asked.append((i, self._reader.row(cells)))
            else:
                tails[i] = self._bad(lines[i], fault)
                n_bad += 1
        parts = [asked[k : k + N_ROWS] for k in range(0, len(asked), N_ROWS)]
        found = self._pool.map(self._ask, ([row for _, row in part] for part in parts))
        for part, outcomes in zip(parts, found, strict=True):
            for (i, row), outcome in zip(part, outcomes, strict=True):
                if outcome.get("status") == "success":
                    tails[i] = self._columns.good(outcome, outcome[VERSION])
                else:
                    tails[i] = self._bad(lines[i], _reason(row, outcome.get("error") or {}))
                    n_bad += 1
        return tails, n_bad

    def _bad(self, line: int, reason: str) -> Tail:
        return self._columns.bad(f"{self._place} {line}: {reason}")

    def _ask(self, rows: list[Row]) -> list[dict[str, Any]]:
        """One outcome a row. A list that is too long or too large is halved."""
        status, body = self._post(json.dumps(rows).encode())
        if (
            status in SMALLER
            and len(rows) > 1
            and _code(body) in ("too_many_rows", "body_too_large")
        ):
            middle = len(rows) // 2
            return self._ask(rows[:middle]) + self._ask(rows[middle:])
        if status != 200:
            raise refusal_of(self._where, status, body)
        try:
            outcomes = json.loads(body)["predictions"]
        except (ValueError, KeyError, TypeError):
            outcomes = None
        if not isinstance(outcomes, list) or len(outcomes) != len(rows):
            raise Unreachable(
                f"{self._where}: the answer is no list of predictions; is this the URL of a Sluice "
                "server?"
            )
        return outcomes

    def _post(self, body: bytes) -> tuple[int, bytes]:
        """Status and body, after waiting for a server that is busy, starting or away for a moment.

        Raises Unreachable.
        """
        waited_s = 0.0
        waits = backoff(FIRST_WAIT_S, MOST_WAIT_S)
        while True:
            wish_s: float | None = None
            gone: Unreachable | None = None
            status, answer = 0, b""
            try:
                status, answer, wish_s = self._once(body)
            except Unreachable as error:
                gone = error
            wait_s = next(waits)
            if wish_s is not None:
                wait_s = min(MOST_WAIT_S, wish_s)
            is_late = waited_s + wait_s > PATIENCE_S
            if gone is not None and (is_late or not self._has_answered):
                raise gone
            if gone is None and (is_late or status not in TRY_LATER):
                self._has_answered = True
                return status, answer
            self._sleep(wait_s)
            # What a server that says 0 would make endless is counted, too.
            waited_s += max(wait_s, 0.1)

    def _once(self, body: bytes) -> tuple[int, bytes, float | None]:
        """Status, body, and the seconds of its Retry-After."""
        request = urllib.request.Request(self._where, body, {"Content-Type": "application/json"})
        add_key(request)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return answer.status, answer.read(), None
        except urllib.error.HTTPError as error:
            return error.code, error.read(), _seconds(error.headers.get("Retry-After"))
        except (OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise Unreachable(
                f"{self._where}: no answer ({reason}); is the server up, and is this its URL "
                "(--url)?"
            ) from None


def _seconds(text: str | None) -> float | None:
    """A Retry-After in seconds; None where there is none, or a date."""
    return float(text) if text and text.isdecimal() else None


def _code(body: bytes) -> str:
    try:
        return str(json.loads(body)["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _reason(row: Row, error: dict[str, Any]) -> str:
    if error.get("code") == ModelFailed.code:
        return MODEL_FAILED
    faults = tuple(FieldError(**fault) for fault in error.get("errors", ()))
    return reason_of(row, faults) or str(error.get("detail", "refused"))
