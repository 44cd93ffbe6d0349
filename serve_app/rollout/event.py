"""What happened to a rollout, one event at a time: the only truth about how far it got, and its audit.

To change the format: only add fields that have a default, since old events are read as long as their rollout lives.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from serve_app.errors import RolloutError

Share = (
    Literal["shadow"] | Annotated[float, Field(ge=0, le=100)]
)  # what the candidate gets of the routing keys
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

MEND = "restore the log, or move its folder away to begin this rollout anew; until then stable answers everybody"


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Stamp(_Record):
    """What the log adds when it writes an event: who wrote it, and when."""

    at: Annotated[AwareDatetime, Field(description="the coordinator's clock, UTC")]
    epoch: Annotated[int, Field(ge=1, description="which claim of the log this was written under")]
    writer: Annotated[str, Field(description="the coordinator that wrote it, a random name")]


class Draft(_Record):
    """What was decided, by whom and why; `step`, `share` and `phase` are those after the event."""

    seq: Annotated[
        int,
        Field(
            ge=1,
            description="1, 2, 3 …: its place in the log, next to the state it was decided from",
        ),
    ]
    rollout: Annotated[str, Field(description="Rollout.id, which is the folder of the log")]
    run: Annotated[int, Field(ge=1, description="how often this rollout was begun")]
    kind: Kind
    step: Annotated[
        int | None, Field(ge=0, description="place in Rollout.steps; none before the first")
    ]
    share: Annotated[Share, Field(description="percent of the routing keys, or shadow")]
    phase: Annotated[int, Field(ge=0, description="stretch of evidence within the run")]
    by: Annotated[str, Field(description="judge, coordinator, file, or who gave the command")]
    reason: str
    cause: Annotated[str, Field(description="of a hold: what a person accepts by resuming")] = ""
    numbers: Annotated[
        dict[str, FiniteFloat | None], Field(description="the evidence at that moment")
    ] = Field(default_factory=dict)


class Event(Draft, Stamp):  # in this order the stamp's fields are written first
    """A decision as it stands in the log."""

    @property
    def at_s(self) -> float:
        """Seconds since 1970."""
        return self.at.timestamp()

    def line(self) -> str:
        """The event as one line of JSON, which is also the whole of its file."""
        return self.model_dump_json() + "\n"


def parse(data: bytes, place: str) -> Event:
    """An event from its file. Raises RolloutError naming the first fault."""
    try:
        return Event.model_validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the file"
        raise RolloutError(f"{place}: {where}: {fault['msg']}; {MEND}") from None


def lines(events: Iterable[Event]) -> str:
    """The audit as JSON lines: byte for byte what the files of the log hold, one after another."""
    return "".join(event.line() for event in events)


def finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Numbers as JSON can hold them: a ratio to no errors at all is infinite, and must keep no abort from the log."""
    return {name: float(value) if math.isfinite(value) else None for name, value in numbers.items()}
