"""What happened to a rollout, one event at a time.

The events are the only truth about how far a rollout got, and its audit. To change the format,
only add fields that have a default: old events are read as long as their rollout lives. After a
rollback of this code newer events are read as well: see `parse`.
"""

import json
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from serve_app.contract.plain_text import PlainText, plain
from serve_app.errors import RolloutError
from serve_app.settings import EventKind

# What the candidate gets: a percentage of the routing keys, or only a copy of stable's requests.
Share = Literal["shadow"] | Annotated[float, Field(ge=0, le=100)]
Kind = EventKind

logger = logging.getLogger(__name__)

# The cause where a person put the candidate out.
BY_A_PERSON = "person"
REMEDY = (
    "restore the log, or move its folder away to begin this rollout again; "
    "until then stable answers everybody"
)


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Stamp(_Record):
    """What the log adds when it writes an event: who wrote it, and when."""

    at: AwareDatetime = Field(description="the coordinator's clock, UTC")
    epoch: int = Field(ge=1, description="which claim of the log this was written under")
    writer: PlainText = Field(description="the coordinator that wrote it, a random name")


class Draft(_Record):
    """What was decided, by whom and why; `step`, `share` and `phase` are those after the event.

    Its texts are made harmless for a terminal when they are read: another may have written them.
    """

    seq: int = Field(
        ge=1,
        description="1, 2, 3 …: its place in the log, next to the state it was decided from",
    )
    rollout: PlainText = Field(description="Rollout.id, which is the folder of the log")
    run: int = Field(ge=1, description="how often this rollout was begun")
    kind: Kind
    step: int | None = Field(ge=0, description="place in Rollout.steps; none before the first")
    share: Share = Field(description="percent of the routing keys, or shadow")
    phase: int = Field(ge=0, description="stretch of evidence within the run")
    by: PlainText = Field(description="judge, coordinator, file, or who gave the command")
    reason: PlainText
    cause: PlainText = Field(
        default="",
        description="of a hold: what a person accepts by resuming; of what was put out: why, in a "
        "word, which is `person` where one commanded it; of resumed: `step` when it goes on to the "
        "next step at once",
    )
    numbers: dict[PlainText, FiniteFloat | None] = Field(
        default_factory=dict, description="the evidence at that moment"
    )


@dataclass(frozen=True)
class Out:
    """Who put the candidate out, and why: in force before an event says so."""

    by: str
    reason: str
    cause: str = ""


# The order of the bases makes JSON begin with the fields of the stamp.
class Event(Draft, Stamp):
    """A decision as it stands in the log."""

    # What a newer Sluice has added is left out.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    @property
    def at_s(self) -> float:
        """Return when it was written, in seconds since 1970."""
        return self.at.timestamp()

    def line(self) -> str:
        """Return the event as one line of JSON, which is also the whole of its file."""
        return self.model_dump_json() + "\n"


class NewerEvent(Event):
    """A decision of a kind that a newer Sluice wrote; `kind` stands for "nothing is decided here".

    `written` is the line as it stands in the log.
    """

    newer_kind: str = Field(exclude=True)
    written: str = Field(exclude=True, repr=False)

    def line(self) -> str:
        """Return the event as it was written."""
        return self.written


def parse(data: bytes, place: str) -> Event:
    """Read an event from its file. Raises RolloutError, which names the first fault.

    Fields that are not known are left out, which is noted; a kind that is not known gives a
    NewerEvent.
    """
    try:
        event = Event.model_validate_json(data)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        if all(fault["loc"] == ("kind",) for fault in faults):
            return _newer(data, place)
        where = ".".join(str(part) for part in faults[0]["loc"]) or "the file"
        raise RolloutError(f"{place}: {where}: {faults[0]['msg']}; {REMEDY}") from None
    unknown = sorted(set(json.loads(data)) - set(Event.model_fields))
    if unknown:
        logger.warning(
            "%s: left out, since they are not known: %s", place, plain(", ".join(unknown))
        )
    return event


def _newer(data: bytes, place: str) -> NewerEvent:
    found = json.loads(data)
    kind = found.get("kind")
    if not isinstance(kind, str):
        raise RolloutError(f"{place}: kind: found {kind!r}, expected a word; {REMEDY}")
    kind = plain(kind)
    logger.warning("%s: found %s, which a newer Sluice wrote", place, kind)
    known = {**found, "kind": "paused", "newer_kind": kind, "written": data.decode()}
    return NewerEvent.model_validate_json(json.dumps(known))


def lines(events: Iterable[Event]) -> str:
    """Return the audit as JSON lines, byte for byte what the files of the log hold in order."""
    return "".join(event.line() for event in events)


def finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers as JSON can hold them: None for what is infinite or undefined.

    A ratio to no errors at all is infinite, and must not keep an abort out of the log.
    """
    return {name: float(value) if math.isfinite(value) else None for name, value in numbers.items()}
