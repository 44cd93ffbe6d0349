"""A bucket of rows, without a clock of its own and without knowing whose it is."""

import math


class Bucket:
    """The rows that may still be asked for: it fills at `rows_per_s`, and begins full.

    A request passes while there is no debt, and may leave one. So a batch of any size passes at
    some time, however small this server's part of the burst is, and a client that keeps the bucket
    in debt gets exactly the rate. Full, it holds `most_rows`; so a full one lets `most_rows` + 1
    single rows through at once.

    Times are those of a monotonic clock, in seconds.
    """

    __slots__ = ("_at_s", "most_rows", "rows", "rows_per_s")

    def __init__(self, now_s: float, rows_per_s: float, most_rows: float) -> None:
        self._at_s = now_s
        self.rows_per_s = rows_per_s
        self.most_rows = most_rows
        # Below 0 it is a debt.
        self.rows = most_rows

    def refill(self, now_s: float) -> None:
        """Add what has come until now."""
        self.rows = min(self.most_rows, self.rows + (now_s - self._at_s) * self.rows_per_s)
        self._at_s = now_s

    def change(self, now_s: float, rows_per_s: float, most_rows: float) -> None:
        """Fill at another rate, and hold another number of rows, from now on."""
        self.refill(now_s)
        self.rows_per_s = rows_per_s
        self.most_rows = most_rows
        self.rows = min(self.rows, most_rows)

    def take(self, n_rows: int, n_paid: int = 0) -> bool:
        """Take the rows of a request, of which it has paid some before; whether it passes.

        From one that does not pass nothing more is taken.
        """
        if self.rows + n_paid < 0.0:
            return False
        self.rows -= n_rows - n_paid
        return True

    @property
    def missing_rows(self) -> float:
        """How many rows it takes to fill it; 0: a new one would be the same."""
        return self.most_rows - self.rows

    @property
    def n_left(self) -> int:
        """How many single rows would pass now."""
        return max(0, math.floor(self.rows) + 1)
