"""What happened in a run, as a log that a person can read."""

import logging
from collections.abc import Callable

from serve_app.rollout.event import Event


class Story:
    """Lines with their virtual time; quiet: only what ends up in an outcome is kept."""

    def __init__(self, now_s: Callable[[], float], *, is_told: bool) -> None:
        self._now_s = now_s
        self.is_told = is_told
        self.lines: list[str] = []

    def tell(self, text: str, *, is_loud: bool = True) -> None:
        """Add a line."""
        if self.is_told or is_loud:
            self.lines.append(f"{_clock(self._now_s())}  {text}")

    def event(self, event: Event) -> None:
        """A decision as it stands in the log."""
        self.tell(f"{event.kind:<9} {event.share!s:<7} {event.by:<12} {event.reason}")


class StoryHandler(logging.Handler):
    """Puts what serve_app logs into the story."""

    def __init__(self, story: Story) -> None:
        super().__init__(logging.INFO)
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        """One line a record."""
        where = record.name.rpartition(".")[2]
        self._story.tell(f"  {record.levelname.lower()} {where}: {record.getMessage()}")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:d}:{minutes:02d}:{rest:06.3f}"
