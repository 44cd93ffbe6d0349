"""A rollout as a page for a terminal: a bar for each step, and the evidence next to its limits."""

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from serve_app.rollout.event import Share
from serve_app.rollout.state import OUT
from serve_app.rollout.view import RolloutView

BAR_WIDTH = 28
N_EVENTS = 6
STYLES = {
    "aborted": "red",
    "rolled_back": "red",
    "held": "yellow",
    "paused": "yellow",
    "finished": "green",
    "baking": "green",
}


def page(view: RolloutView) -> RenderableType:
    """Draw the whole of it. Everything that people wrote is plain text, never markup."""
    parts: list[RenderableType] = [_head(view), _steps(view)]
    if view.evidence:
        parts.append(_evidence(view))
    if view.worst_slices:
        parts.append(_slices(view))
    parts += [_events(view), _foot(view)]
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts[:-1]), parts[-1])


def _head(view: RolloutView) -> RenderableType:
    style = STYLES.get(view.status, "cyan")
    title = Text.assemble(
        (f"{view.stable} → {view.candidate}", "bold"),
        f"   run {view.run}   ",
        (view.status.replace("_", " "), f"bold {style}"),
        f" at {_named(view.share)}" + ("   promoted" if view.promoted else ""),
    )
    lines = [title, Text(view.now)]
    if view.trouble:
        lines.append(Text(view.trouble, "red"))
    return Group(*lines)


def _steps(view: RolloutView) -> RenderableType:
    """Done, under way (by the slower of time and requests), to come."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for index, share in enumerate(view.steps):
        done, note = _progress(view, index)
        style = "green" if done >= 1 else "cyan"
        table.add_row(
            Text(_named(share), "bold" if index == view.step else ""),
            ProgressBar(1.0, done, BAR_WIDTH, complete_style=style, finished_style=style),
            Text(note),
        )
    return table


def _progress(view: RolloutView, index: int) -> tuple[float, str]:
    at = -1 if view.step is None else view.step
    if index != at:
        return (1.0, "") if index < at else (0.0, "")
    if view.status in ("baking", "finished"):
        return 1.0, f"{view.candidate_requests:,} requests"
    passed = min(view.seconds / view.min_seconds, view.candidate_requests / view.min_requests, 1.0)
    counts = (
        f"{view.seconds:.0f} of {view.min_seconds} s, "
        f"{view.candidate_requests:,} of {view.min_requests:,} requests"
    )
    return min(passed, 0.99), counts


def _evidence(view: RolloutView) -> RenderableType:
    """A full bar puts the candidate out."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("against the candidate", "since", "", "log e", "limit", ""):
        table.add_column(heading, justify="right" if heading in ("log e", "limit") else "left")
    for rail in view.evidence:
        log_e = rail.limit if rail.log_e is None else rail.log_e
        share = min(1.0, max(0.0, log_e / rail.limit))
        bar = ProgressBar(
            1.0, share, BAR_WIDTH, complete_style=_danger(share), finished_style="red"
        )
        table.add_row(
            rail.rail,
            f"the {rail.since} began",
            bar,
            f"{log_e:.1f}",
            f"{rail.limit:.1f}",
            Text(rail.reason.partition(": ")[2], "dim"),
        )
    return Group(table, Text(_numbers(view), "dim"))


def _danger(share: float) -> str:
    """The colour of evidence that has reached this share of its limit."""
    if share >= 1:
        return "red"
    return "yellow" if share > 0.5 else "green"


def _numbers(view: RolloutView) -> str:
    found = [f"requests: {view.stable_requests:,} stable, {view.candidate_requests:,} candidate"]
    names = {
        "psi": "PSI of the scores",
        "mean_difference": "mean difference",
        "largest_shift": "largest shift",
        "shadow_dropped_rows": "rows dropped",
    }
    for name, label in names.items():
        value = view.numbers.get(name)
        if value is not None:
            found.append(f"{label}: {value:.3g}")
    return " · ".join(found)


def _slices(view: RolloutView) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("they disagree most where", "", "rows", "disagree"):
        table.add_column(heading, justify="right" if heading in ("rows", "disagree") else "left")
    for part in view.worst_slices:
        share = f"{100 * part.n_disagree / part.n_rows:.1f} %"
        table.add_row(Text(part.feature), Text(part.rows), f"{part.n_rows:,}", share)
    return table


def _events(view: RolloutView) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("when (UTC)", "what", "share", "by", "why"):
        table.add_column(heading)
    for event in view.events[-N_EVENTS:]:
        when = f"{event.at:%d %b %H:%M:%S}"
        table.add_row(
            when,
            event.kind.replace("_", " "),
            _named(event.share),
            Text(event.by),
            Text(event.reason),
        )
    return table


def _foot(view: RolloutView) -> RenderableType:
    lines = []
    if view.waits_for and view.waits_for != view.reason:
        lines.append(Text(f"waits for: {view.waits_for}"))
    commands: list[str] = [*view.commands]
    if view.status not in OUT:
        commands = ["out", *commands]
    has_next = view.step is not None and view.step + 1 < len(view.steps)
    if has_next and not view.promoted and "promote" in view.commands:
        commands.append("step")
    if commands:
        names = ", ".join(f"sluice rollout {command}" for command in commands)
        lines.append(Text(f"you can: {names}", "dim"))
    return Group(*lines)


def _named(share: Share) -> str:
    return share if isinstance(share, str) else f"{share:g} %"
