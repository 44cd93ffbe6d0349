"""What one server has scored in shadow since its start, by candidate."""

from collections import Counter

from serve_app.rollout.counts import Shadowed


class ShadowCounts:
    """Sums of what the reports tell once a second: nothing of it is on a request's path.

    `rows` holds (candidate, outcome) → rows: `agrees` or `disagrees` with stable, or `dropped`
    because the candidate was busy. `missed` holds candidate → requests that it did not answer in
    time.
    """

    def __init__(self) -> None:
        self.rows: Counter[tuple[str, str]] = Counter()
        self.missed: Counter[tuple[str]] = Counter()

    def add(self, candidate: str, shadowed: Shadowed) -> None:
        """Add what was counted since the last report."""
        whole = shadowed.whole
        self.rows[candidate, "agrees"] += whole.n_rows - whole.n_disagree
        self.rows[candidate, "disagrees"] += whole.n_disagree
        self.rows[candidate, "dropped"] += shadowed.n_dropped
        self.missed[(candidate,)] += shadowed.n_missed
