"""Whether labels are only those that come early, which are no sample of what was predicted.

Who leaves says so at once, and a "no" is known when the time is over. Of such labels the newest
days have fewer, of their rows, than the days before.
"""

from collections.abc import Mapping
from math import ceil, sqrt
from typing import NamedTuple

# The newest days are early where they have less than this part of the share of those before.
EARLY_PART = 0.9
# And by more than so many standard deviations.
SURE = 3.0
# At least so large a part of a window's days is looked at: today has few labels everywhere.
NEWEST_PART = 0.25


class DayCount(NamedTuple):
    """Rows that were answered on a day or more, and how many of them have a label."""

    n_rows: float
    n_labels: float


def are_early(by_day: Mapping[int, DayCount], first: int, last: int) -> bool:
    """Whether the newest days of a window surely have a smaller share of labels than those before.

    A window has the days from `first` to `last`; those before it are compared too, and those after
    the last label are not, since they have none that could be early. The newest days are a quarter
    of the window's or more: in the first weeks of a service nearly all are early ones.
    """
    days = sorted(day for day in by_day if day <= last)
    while days and not by_day[days[-1]].n_labels:
        days.pop()
    in_window = [day for day in days if day >= first]
    if not in_window:
        return False
    newest_day = in_window[-1]
    n_least = ceil(NEWEST_PART * (newest_day - in_window[0] + 1))
    newest = DayCount(0.0, 0.0)
    before = DayCount(
        sum(by_day[day].n_rows for day in days), sum(by_day[day].n_labels for day in days)
    )
    for day in reversed(days[1:]):
        found = by_day[day]
        newest = DayCount(newest.n_rows + found.n_rows, newest.n_labels + found.n_labels)
        before = DayCount(before.n_rows - found.n_rows, before.n_labels - found.n_labels)
        if newest_day - day + 1 >= n_least and _is_less(newest, before):
            return True
    return False


def _is_less(newest: DayCount, before: DayCount) -> bool:
    """Whether the share of the newest is under nine tenths of that before, beyond chance."""
    # Of rows whose count was lost there are at least as many as have a label.
    n_newest = max(newest.n_rows, newest.n_labels)
    n_before = max(before.n_rows, before.n_labels)
    if not n_newest or not n_before:
        return False
    share = newest.n_labels / n_newest
    share_before = before.n_labels / n_before
    if share >= EARLY_PART * share_before:
        return False
    both = (newest.n_labels + before.n_labels) / (n_newest + n_before)
    sd = sqrt(both * (1 - both) * (1 / n_newest + 1 / n_before))
    return share_before - share > SURE * sd
