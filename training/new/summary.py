"""What all rows of a file say about each column, in memory that does not grow with the rows."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.columns import is_missing_word

# More different values than this are not counted one by one.
MOST_VALUES = 5_000
# Rows that are kept for examples and for leaks.
SAMPLE_ROWS = 20_000
SEED = 20_240_601

DIGITS = r"[+-]?\d+"
# How a column may be written. Each form stays as long as every value has it.
FORMS = {
    "decimal_comma": re.compile(r"[+-]?(\d+(,\d*)?|,\d+)"),
    "comma_groups": re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?"),
    "dot_groups": re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "datetime": re.compile(
        r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?( ?(Z|UTC|[+-]\d\d:?\d\d))?)?"
    ),
    "other_date": re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}( \d{1,2}:\d\d(:\d\d)?)?"),
    "truth": re.compile(r"true|false", re.IGNORECASE),
}


ODD_DECIMAL = re.compile(r"[+-]?(0,\d*|\d*,(\d{0,2}|\d{4,})|\d{4,},\d*)")
# The forms of numbers with other marks: what stands before the fraction, and between thousands.
MARKS = {"decimal_comma": (",", ""), "comma_groups": (".", ","), "dot_groups": (",", ".")}


@dataclass
class Range:
    """The lowest and highest of some finite numbers, and whether all of them are whole."""

    low: float = np.inf
    high: float = -np.inf
    is_whole: bool = True

    def add(self, numbers: NDArray[np.float64]) -> None:
        """Take more numbers into account; those that are not finite are passed over."""
        finite = numbers[np.isfinite(numbers)]
        if len(finite):
            self.low = min(self.low, float(finite.min()))
            self.high = max(self.high, float(finite.max()))
            self.is_whole &= bool((finite == np.floor(finite)).all())

    @property
    def is_empty(self) -> bool:
        """Whether there was no number."""
        return self.low > self.high


@dataclass
class Summary:
    """One column: `name`, and what its values have in common.

    `counts` has each different value without the blanks around it and how often it comes; it is
    None when there are more than MOST_VALUES of them. `n_words` counts the values such as NA that
    mean "missing" where the other values are no texts. `range` is of its numbers, and `ranges` is
    too, where they have the marks of a form.
    """

    name: str
    n_rows: int = 0
    n_blank: int = 0
    n_words: int = 0
    n_padded: int = 0
    counts: dict[str, int] | None = field(default_factory=dict)
    is_number: bool = True
    has_point: bool = False
    has_leading_zero: bool = False
    no_number: str = ""
    range: Range = field(default_factory=Range)
    forms: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(FORMS, True))
    ranges: dict[str, Range] = field(default_factory=lambda: {name: Range() for name in MARKS})
    # A value whose comma cannot stand between thousands.
    odd_decimal: str = ""
    # The largest first and second number of dates such as 31.12.2025.
    first_parts: tuple[int, int] = (0, 0)
    longest: int = 0
    n_characters: int = 0
    n_spaces: int = 0
    n_lengths: int = 0
    is_unique: bool = True
    is_ascending: bool = True

    @property
    def n_known(self) -> int:
        """Rows with a value, be it a word such as NA."""
        return self.n_rows - self.n_blank

    @property
    def n_values(self) -> int:
        """How many different values there are, or one more than are counted."""
        return MOST_VALUES + 1 if self.counts is None else len(self.counts)

    @property
    def share_different(self) -> float:
        """Different values per row with a value; those of different chunks count as different."""
        return self.n_lengths / max(1, self.n_known)

    def add(self, raw: pd.Series) -> None:
        """Take more rows, all of them texts, into account."""
        stripped = raw.str.strip()
        blank = stripped == ""
        self.n_rows += len(raw)
        self.n_blank += int(blank.sum())
        # Blanks are longer than nothing too.
        self.n_padded += int((raw != stripped).sum())
        known = stripped[~blank]
        counts = known.value_counts(sort=False)
        self._count(counts)
        values = pd.Series(counts.index, dtype=object)
        self._look_at_texts(values)
        is_word = is_missing_word(values)
        self.n_words += int(counts.to_numpy()[is_word.to_numpy()].sum())
        self._look_at_numbers(known, values[~is_word])
        self.is_unique &= len(counts) == len(known)

    def _count(self, counts: "pd.Series[int]") -> None:
        if self.counts is None:
            return
        for value, n in counts.items():
            self.counts[str(value)] = self.counts.get(str(value), 0) + int(n)
        if len(self.counts) > MOST_VALUES:
            self.counts = None

    def _look_at_texts(self, values: pd.Series) -> None:
        lengths = values.str.len()
        if len(values):
            self.longest = max(self.longest, int(lengths.max()))
        self.n_characters += int(lengths.sum())
        self.n_spaces += int(values.str.count(" ").sum())
        self.n_lengths += len(values)

    def _look_at_numbers(self, known: pd.Series, values: pd.Series) -> None:
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
        if self.is_number and np.isnan(numbers).any():
            self._is_no_number(str(values[np.isnan(numbers)].iloc[0]))
        if self.is_number:
            self.range.add(numbers)
        self.has_point |= bool(values.str.contains(".", regex=False).any())
        self.has_leading_zero |= bool(values.str.match(r"[+-]?0\d").any())
        if self.is_number:
            self._look_at_order(known)
        else:
            self._look_at_forms(values)

    def _is_no_number(self, value: str) -> None:
        self.is_number = False
        self.no_number = value
        if self.range.is_empty:
            return
        # Rows before were plain numbers: whatever form it has, it is not one of these.
        for name in ("date", "datetime", "other_date", "truth"):
            self.forms[name] = False
        if self.has_point:
            self.forms["decimal_comma"] = self.forms["dot_groups"] = False
        self.ranges = {name: replace(self.range) for name in MARKS}

    def _look_at_order(self, known: pd.Series) -> None:
        if self.is_ascending and self.is_unique:
            order = pd.to_numeric(known, errors="coerce").to_numpy(np.float64)
            self.is_ascending = bool((np.diff(order) > 0).all())

    def _look_at_forms(self, values: pd.Series) -> None:
        for name, pattern in FORMS.items():
            if self.forms[name]:
                self.forms[name] = all(map(pattern.fullmatch, values))
        for name, (decimal, thousands) in MARKS.items():
            if self.forms[name]:
                plain = values
                if thousands:
                    plain = plain.str.replace(thousands, "", regex=False)
                plain = plain.str.replace(decimal, ".", regex=False)
                self.ranges[name].add(pd.to_numeric(plain, errors="coerce").to_numpy(np.float64))
        if self.forms["decimal_comma"]:
            for value in values:
                if ODD_DECIMAL.fullmatch(value):
                    self.odd_decimal = self.odd_decimal or value
        if self.forms["other_date"]:
            self._look_at_days(values)

    def _look_at_days(self, values: pd.Series) -> None:
        """The largest first and second number: above 12 is a day."""
        parts = values.str.extract(r"^(\d+)[./-](\d+)").astype(float).max()
        first, second = self.first_parts
        self.first_parts = (max(first, int(parts[0])), max(second, int(parts[1])))


def summarize(chunks: Iterable[pd.DataFrame]) -> tuple[dict[str, Summary], pd.DataFrame]:
    """Each column of a file, and up to SAMPLE_ROWS of its rows as they are (all texts)."""
    summaries: dict[str, Summary] = {}
    sample = None
    for chunk in chunks:
        columns = {str(name): chunk[name].astype(object) for name in chunk}
        if sample is None:
            n_rows = min(len(chunk), SAMPLE_ROWS)
            sample = chunk.sample(n_rows, random_state=SEED).sort_index().reset_index(drop=True)
        for name, column in columns.items():
            summaries.setdefault(name, Summary(name)).add(column)
    if sample is None:
        sample = pd.DataFrame()
    return summaries, sample
