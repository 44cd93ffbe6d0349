"""What happened in a run, as a log that a person can read."""

import logging
from collections import Counter
from collections.abc import Callable

from serve_app.rollout.event import Event

MOST_OF_A_LINE = 3


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
        self._counts: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """One line a record; of the same line, the first ones."""
        where = record.name.rpartition(".")[2]
        text = f"  {record.levelname.lower()} {where}: {record.getMessage()}"
        self._counts[text] += 1
        if self._counts[text] <= MOST_OF_A_LINE:
            self._story.tell(text)

    def tell_rest(self) -> None:
        """How often a line came that was not told each time."""
        for text, count in self._counts.items():
            if count > MOST_OF_A_LINE:
                self._story.tell(f"{text} ({count} times in all)")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:d}:{minutes:02d}:{rest:06.3f}"
