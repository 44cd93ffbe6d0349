"""Who makes the ids of predictions, and the plain ones for where nothing has to be joined later."""

from collections.abc import Sequence
from secrets import token_hex
from typing import Protocol

from serve_app.serving.answer import Answered


class IdMaker(Protocol):
    """Makes an id for each row of an answer. It takes microseconds, and never raises."""

    def ids_of(self, answered: Answered, positions: Sequence[int] | None) -> tuple[str, ...]:
        """One id a row, which no other prediction has; `positions` as in `Router.predict`."""


class RandomIds:
    """Ids that carry nothing: `<id>` of a single row, `<id>-<position>` in a batch."""

    def ids_of(self, answered: Answered, positions: Sequence[int] | None) -> tuple[str, ...]:
        """One id a row."""
        request_id = token_hex(16)
        if positions is None:
            return (request_id,)
        return tuple(f"{request_id}-{position}" for position in positions)
