"""The terminal of a person: whatever others wrote is shown, and none of it is obeyed."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.segment import Segment

from serve_app.contract.plain_text import plain


class Terminal(Console):
    """A console that prints no control character but its own colours and moves."""

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of a text, a table or a page, harmless each."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
                continue
            lines = [plain(line) for line in segment.text.split("\n")]
            yield Segment("\n".join(lines), segment.style)
