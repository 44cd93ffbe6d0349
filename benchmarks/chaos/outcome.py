"""What one fault did to the clients: counted from the requests, pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from benchmarks.steady import Shot

NO_ANSWER = "no answer"
WRONG = "wrong answer"
# Answers by which a server says that it has no room.
SHED = ("429", "503")


@dataclass(frozen=True)
class Outcome:
    """One fault under load.

    `failed` counts by kind: a status, `no answer`, `wrong answer`. `longest_gap_s` is the longest
    time without a good answer; `recovery_s` how long after the fault the last request failed that
    was due; `whole_s` when every process was there again (None: it never was). `story` is what the
    server itself said, such as why it ended. `p99_ms` is of the good answers; under overload, of
    those to clients that make it, of which `accepted` says how many there were.
    """

    fault: str
    title: str
    requests: int
    failed: dict[str, int]
    longest_gap_s: float
    recovery_s: float
    p99_ms: float
    whole_s: float | None
    most_recovery_s: float
    ends_server: bool = False
    may_shed: bool = False
    most_p99_ms: float | None = None
    accepted: int | None = None
    most_growth_percent: float | None = None
    left_behind: list[str] = field(default_factory=list)
    memory_mb: tuple[float, float] = (0.0, 0.0)
    story: str = ""

    @property
    def lost(self) -> int:
        """Requests that got no good answer, without those that were told to come again."""
        return sum(n for kind, n in self.failed.items() if not self.is_shed(kind))

    @property
    def growth_percent(self) -> float:
        """How much more memory there was in the end than before; 0 where it was not measured."""
        before_mb, after_mb = self.memory_mb
        return 100 * (after_mb / before_mb - 1) if before_mb > 0 else 0.0

    @property
    def answered(self) -> int:
        """Requests of the steady load that got a good answer."""
        return self.requests - sum(self.failed.values())

    @property
    def wrong(self) -> int:
        """Answers that were not what the bundle says."""
        return self.failed.get(WRONG, 0)

    def is_shed(self, kind: str) -> bool:
        """Whether requests of this kind were refused as they should be."""
        return self.may_shed and kind in SHED


def kind_of(shot: Shot, is_right: Callable[[Shot], bool]) -> str | None:
    """How a request failed; None when it was answered rightly."""
    if shot.status == 0:
        return NO_ANSWER
    if not 200 <= shot.status < 300:
        return str(shot.status)
    if not is_right(shot):
        return WRONG
    return None


def failures(shots: Sequence[Shot], is_right: Callable[[Shot], bool]) -> list[tuple[Shot, str]]:
    """The requests that failed, each with its kind."""
    found = []
    for shot in shots:
        kind = kind_of(shot, is_right)
        if kind is not None:
            found.append((shot, kind))
    return found


def count(failed: Sequence[tuple[Shot, str]]) -> dict[str, int]:
    """Failures by kind, the most frequent first."""
    return dict(Counter(kind for _, kind in failed).most_common())


def longest_gap_s(shots: Sequence[Shot], failed: Sequence[tuple[Shot, str]]) -> float:
    """The longest time in which no good answer came, from the first request to the last."""
    bad = {id(shot) for shot, _ in failed}
    begin_s = min((shot.due_s for shot in shots), default=0.0)
    end_s = max((shot.due_s for shot in shots), default=0.0)
    answered = [shot.due_s + shot.latency_ms / 1000 for shot in shots if id(shot) not in bad]
    moments = sorted([begin_s, *answered])
    gaps = [late - early for early, late in pairwise(moments)]
    # Nothing but failures until the end is a gap as well.
    return max([*gaps, end_s - moments[-1], 0.0])


def recovery_s(failed: Sequence[tuple[Shot, str]], fault_s: float) -> float:
    """Seconds from the fault until the last request was due that failed."""
    return max((shot.due_s - fault_s for shot, _ in failed), default=0.0)
