"""What happened to a rollout, one event at a time.

The events are the only truth about how far a rollout got, and its audit. To change the format,
only add fields that have a default: old events are read as long as their rollout lives.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from serve_app.errors import RolloutError

# What the candidate gets: a percentage of the routing keys, or only a copy of stable's requests.
Share = Literal["shadow"] | Annotated[float, Field(ge=0, le=100)]
Kind = Literal[
    "claimed",
    "started",
    "entered",
    "paused",
    "resumed",
    "promoted",
    "held",
    "aborted",
    "finished",
    "rolled_back",
]

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
    writer: str = Field(description="the coordinator that wrote it, a random name")


class Draft(_Record):
    """What was decided, by whom and why; `step`, `share` and `phase` are those after the event."""

    seq: int = Field(
        ge=1,
        description="1, 2, 3 …: its place in the log, next to the state it was decided from",
    )
    rollout: str = Field(description="Rollout.id, which is the folder of the log")
    run: int = Field(ge=1, description="how often this rollout was begun")
    kind: Kind
    step: int | None = Field(ge=0, description="place in Rollout.steps; none before the first")
    share: Share = Field(description="percent of the routing keys, or shadow")
    phase: int = Field(ge=0, description="stretch of evidence within the run")
    by: str = Field(description="judge, coordinator, file, or who gave the command")
    reason: str
    cause: str = Field(default="", description="of a hold: what a person accepts by resuming")
    numbers: dict[str, FiniteFloat | None] = Field(
        default_factory=dict, description="the evidence at that moment"
    )


# The order of the bases makes JSON begin with the fields of the stamp.
class Event(Draft, Stamp):
    """A decision as it stands in the log."""

    @property
    def at_s(self) -> float:
        """Return when it was written, in seconds since 1970."""
        return self.at.timestamp()

    def line(self) -> str:
        """Return the event as one line of JSON, which is also the whole of its file."""
        return self.model_dump_json() + "\n"


def parse(data: bytes, place: str) -> Event:
    """Read an event from its file. Raises RolloutError, which names the first fault."""
    try:
        return Event.model_validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the file"
        raise RolloutError(f"{place}: {where}: {fault['msg']}; {REMEDY}") from None


def lines(events: Iterable[Event]) -> str:
    """Return the audit as JSON lines, byte for byte what the files of the log hold in order."""
    return "".join(event.line() for event in events)


def finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers as JSON can hold them: None for what is infinite or undefined.

    A ratio to no errors at all is infinite, and must not keep an abort out of the log.
    """
    return {name: float(value) if math.isfinite(value) else None for name, value in numbers.items()}
