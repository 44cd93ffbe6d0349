"""Why rows were refused, counted by field and reason."""

from collections import Counter

from serve_app.contract import ModelSpec
from serve_app.errors import InvalidRows

# What clients make up has one name: it must not become a label of a metric for each client.
OTHER = "other"
NO_ROW = "cannot be read as a row"


class RefusedRows:
    """Counts (field, reason) of all faults of refused rows since the start; `n_rows` are the rows.

    A row with two faults counts twice, and at most twenty of a row are known (contract/rows.py).
    """

    def __init__(self, spec: ModelSpec) -> None:
        self._fields = {feature.name for feature in spec.contract}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.n_rows = 0

    def count(self, refused: InvalidRows) -> None:
        """Add the faults of one row."""
        self.n_rows += 1
        if not refused.errors:
            self.counts[OTHER, NO_ROW] += 1
        for error in refused.errors:
            field = error.field if error.field in self._fields else OTHER
            self.counts[field, error.reason] += 1
