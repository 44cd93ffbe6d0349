"""Why applications do not get ready: one sentence each, out of what Ray says of them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_LENGTH = 600
# The last line of a traceback: the type of an error and its text.
RAISED = re.compile(r"^([A-Za-z_][\w.]*(?:\([\w.]+\))?): (.+)$")
# Our own errors are written for people, so that their type need not be said.
OURS = "serve_app.errors."
FAILED = "DEPLOY_FAILED"
IN_TROUBLE = (FAILED, "UNHEALTHY")


@dataclass(frozen=True)
class Trouble:
    """An application that is not running, and why, in one sentence."""

    application: str
    has_failed: bool
    reason: str

    def __str__(self) -> str:
        how = "failed to deploy" if self.has_failed else "is not ready yet"
        return f"{self.application} {how}: {self.reason}"


def read_troubles(path: Path) -> list[Trouble]:
    """What is written in a status file (`cluster/told_run`); nothing when it is not there yet."""
    try:
        return troubles(json.loads(path.read_text()))
    except (OSError, ValueError):
        return []


def troubles(told: Mapping[str, Any]) -> list[Trouble]:
    """One for each application of which Ray says more than that it starts or runs."""
    found = []
    for name, application in told.items():
        # A deployment has the traceback; its application says which deployments failed.
        texts = [text for text in reversed(application["messages"]) if text]
        status = application["status"]
        if status == "RUNNING" or not (texts or status in IN_TROUBLE):
            continue
        spoken = [sentence(text) for text in texts]
        ours = [text for text, raw in zip(spoken, texts, strict=True) if OURS in raw]
        reason = next(iter(ours or spoken), status)
        found.append(Trouble(name, status in IN_TROUBLE, reason))
    return found


def sentence(text: str) -> str:
    """The one line of a message with a traceback that says what is wrong.

    That is the last error of ours, else the last error of any, else the last line.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    raised = [found for line in text.splitlines() if (found := RAISED.match(line.rstrip()))]
    ours = [found for found in raised if found[1].startswith(OURS)]
    if ours:
        said = ours[-1][2]
    elif raised and len(lines) > 1:
        said = raised[-1][0]
    else:
        said = lines[-1] if lines else ""
    # Whatever somebody's own code raised: no escape reaches the terminal.
    printable = "".join(letter if letter.isprintable() else " " for letter in said)
    return printable if len(printable) <= MAX_LENGTH else printable[: MAX_LENGTH - 1] + "…"
