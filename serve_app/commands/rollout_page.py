"""A rollout as a page for a terminal: what happens, a line for each rail, what a person can do.

The watched page fits 80 columns and 24 lines. What does not fit is cut with `…`; `status` without
`--watch` has it whole.
"""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from serve_app.commands.rollout_words import (
    bad_of,
    commands_of,
    counted,
    examples_of,
    failing_of,
    labels_of,
    named,
    nearest,
    progress,
    scores_of,
    times_of,
)
from serve_app.rollout.counts import ARMS
from serve_app.rollout.state import DONE
from serve_app.rollout.view import RolloutView

LABEL_WIDTH = 12
BAR_WIDTH = 12
MOST_EVENTS = 6
FEWEST_EVENTS = 2
# Lines of the first sentence, and of each other one, in a page that must fit.
SENTENCE_LINES = 4
NOTE_LINES = 2
# Of the name of who decided.
MOST_LETTERS = 12
# Steps before and after the one under way in a page that must fit.
NEAR_STEPS = 3
STYLES = {
    "aborted": "red",
    "rolled_back": "red",
    "held": "yellow",
    "paused": "yellow",
    "finished": "green",
    "baking": "green",
}

Lines = list[list[Segment]]


def page(view: RolloutView, *, fits: bool = False) -> RenderableType:
    """Draw the whole of it. Everything that people wrote is plain text, never markup.

    `fits`: not higher than the terminal, where that has 24 lines of 80 columns or more.
    """
    return _Page(view, fits=fits)


class _Page:
    """Groups of lines; as many decisions, and then empty lines, as there is room for."""

    def __init__(self, view: RolloutView, *, fits: bool) -> None:
        self._view = view
        self._fits = fits

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        upper = [
            self._wrapped(console, options, self._sentence(), SENTENCE_LINES),
            _drawn(console, options, [_head(self._view, fits=self._fits), *self._bars()]),
            _drawn(console, options, self._bad()),
            self._paragraphs(console, options, self._notes()),
        ]
        lower = self._paragraphs(console, options, self._foot())
        n_others = sum(len(group) for group in upper) + len(lower)
        # The last line is for the cursor.
        room = console.height - 1 - n_others
        n_events = MOST_EVENTS
        if self._fits:
            n_events = min(MOST_EVENTS, max(FEWEST_EVENTS, room))
        events = _drawn(console, options, [self._events(n_events)])
        groups = [group for group in (*upper, events, lower) if group]
        is_airy = not self._fits or room - len(events) >= len(groups) - 1
        for place, group in enumerate(groups):
            if place and is_airy:
                yield Segment.line()
            for line in group:
                yield from line
                yield Segment.line()

    def _paragraphs(
        self, console: Console, options: ConsoleOptions, texts: Sequence[Text]
    ) -> Lines:
        lines: Lines = []
        for text in texts:
            lines += self._wrapped(console, options, text, NOTE_LINES)
        return lines

    def _wrapped(self, console: Console, options: ConsoleOptions, text: Text, n_most: int) -> Lines:
        """Return a sentence in lines, no more than `n_most` where the page must fit."""
        width = options.max_width
        lines = list(text.wrap(console, width))
        if self._fits and len(lines) > n_most:
            lines = lines[:n_most]
            lines[-1].truncate(width - 1, overflow="crop")
            lines[-1].append("…")
        return _drawn(console, options, lines)

    def _last(self, text: str) -> Text:
        """Return what stands in the last column of a row: one line where the page must fit."""
        return Text(text, no_wrap=self._fits, overflow="ellipsis" if self._fits else "fold")

    def _sentence(self) -> Text:
        return Text(self._view.now, f"bold {STYLES.get(self._view.status, '')}".strip())

    def _bars(self) -> list[RenderableType]:
        """Draw how far the step is, and each rail: a full bar puts the candidate out."""
        view = self._view
        table = _grid(4)
        table.columns[2].justify = "right"
        if view.step is not None:
            done, counts = progress(view)
            bar = ProgressBar(1.0, done, BAR_WIDTH, complete_style="cyan", finished_style="green")
            table.add_row("this step", bar, f"{100 * done:.0f} %", self._last(counts))
        for rail in nearest(view.evidence):
            log_e = rail.limit if rail.log_e is None else max(0.0, rail.log_e)
            share = min(1.0, log_e / rail.limit)
            bar = ProgressBar(
                1.0, share, BAR_WIDTH, complete_style=_danger(share), finished_style="red"
            )
            value = f"{log_e:.1f} of {rail.limit:.1f}"
            table.add_row(rail.rail, bar, value, self._last(counted(rail)))
        return [table] if table.row_count else []

    def _bad(self) -> list[RenderableType]:
        """Draw what was bad by its kind, and how the scores lie: a line each."""
        view = self._view
        if view.step is None:
            return []
        table = _grid(2)
        for arm in ARMS:
            table.add_row(arm, self._last(bad_of(view, arm)))
        failing = failing_of(view)
        if failing:
            table.add_row("slice", self._last(failing))
        examples = examples_of(view)
        if examples and not (self._fits and failing):
            table.add_row("in the log", self._last(examples))
        found = {"p95": times_of(view), "scores": scores_of(view)}
        labels = [label for label, said in found.items() if said]
        if labels:
            said = "; ".join(found[label] for label in labels)
            table.add_row(", ".join(labels), self._last(said))
        what_labels_say = labels_of(view)
        if what_labels_say:
            table.add_row("labels", self._last(what_labels_say))
        if view.worst_slices and not (self._fits and failing and what_labels_say):
            slices = [
                f"{part.feature} {part.rows}: {part.n_disagree:,} of {part.n_rows:,}"
                for part in view.worst_slices
            ]
            table.add_row("disagree", self._last(" · ".join(slices)))
        return [table]

    def _notes(self) -> list[Text]:
        """Return what needs a person's eye."""
        view = self._view
        found = []
        if view.trouble:
            found.append(Text(f"trouble: {view.trouble}", "red"))
        if view.config_error:
            found.append(Text(f"the newest table is not in force: {view.config_error}", "red"))
        if view.few_keys:
            found.append(Text(view.few_keys, "yellow"))
        return found

    def _events(self, n_events: int) -> Table:
        """Draw the newest decisions, a line each: the first sentence has the last reason whole."""
        table = _grid(5)
        for event in self._view.events[-n_events:]:
            table.add_row(
                f"{event.at:%d %b %H:%M}",
                event.kind.replace("_", " "),
                named(event.share),
                Text(event.by[:MOST_LETTERS]),
                Text(event.reason, "dim", no_wrap=True, overflow="ellipsis"),
            )
        return table

    def _foot(self) -> list[Text]:
        view = self._view
        lines = []
        repeats = view.reason in view.waits_for and view.reason in view.now
        # What is over waits for nothing: the first sentence says what a person does next.
        if view.status not in DONE and view.waits_for not in view.now and not repeats:
            lines.append(Text(f"waits for: {view.waits_for}"))
        commands = commands_of(view)
        if commands:
            lines.append(Text(f"you can: sluice rollout {' | '.join(commands)}", "dim"))
        return lines


def _drawn(console: Console, options: ConsoleOptions, parts: Sequence[RenderableType]) -> Lines:
    lines: Lines = []
    for part in parts:
        lines += console.render_lines(part, options, pad=False)
    return lines


def _grid(n_columns: int) -> Table:
    """Return a table without a frame, whose last column takes the room that is left."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for place in range(n_columns - 1):
        table.add_column(no_wrap=True, min_width=0 if place else LABEL_WIDTH)
    table.add_column()
    return table


def _head(view: RolloutView, *, fits: bool) -> Text:
    """Write who, how far, and the steps: done, under way, to come."""
    style = STYLES.get(view.status, "cyan")
    text = Text(no_wrap=fits, overflow="ellipsis")
    text.append(f"{view.stable} → {view.candidate}", "bold")
    text.append(f"  run {view.run}  ")
    text.append(view.status.replace("_", " "), f"bold {style}")
    text.append(f" at {named(view.share)}" + ("  promoted" if view.promoted else "") + "  ")
    at = -1 if view.step is None else view.step
    first = 0
    last = len(view.steps)
    if fits:
        first = max(0, at - NEAR_STEPS)
        last = max(at, 0) + NEAR_STEPS + 1
    text.append(" …" if first else "")
    for index, share in list(enumerate(view.steps))[first:last]:
        name = f"{share:g}" if not isinstance(share, str) else share
        if index < at:
            text.append(f" {name}", "green")
        elif index == at:
            text.append(f" [{name}]", "bold")
        else:
            text.append(f" {name}", "dim")
    text.append(" …" if last < len(view.steps) else "")
    return text


def _danger(share: float) -> str:
    """Return the colour of evidence that has reached this share of its limit."""
    if share >= 1:
        return "red"
    return "yellow" if share > 0.5 else "green"
