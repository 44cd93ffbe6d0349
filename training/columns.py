"""What `map_columns` in a training file is written with: texts of a file to values of a contract.

Each function takes one column and gives one; a ValueError says which text of which line it cannot
read.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

# How files write "no value" in a column of numbers, dates or truth values, in lower case. In a
# column of texts only blanks are missing: "None" may well be a category.
MISSING_WORDS = ("", "na", "n/a", "nan", "null", "none", "nil", "?", "-", "--", ".", "#n/a")
TRUTHS = {"true": True, "false": False, "1": True, "0": False}


def numbers(column: pd.Series, decimal: str = ".", thousands: str = "") -> pd.Series:
    """Floats of a column of texts; blanks and words such as NA are missing.

    `decimal` stands before the fraction, `thousands` between groups of three digits.
    """
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column
    texts = _stripped(column)
    missing = is_missing_word(texts)
    plain = texts
    if thousands:
        plain = plain.str.replace(thousands, "", regex=False)
    if decimal != ".":
        plain = plain.str.replace(decimal, ".", regex=False)
    values = pd.to_numeric(plain.where(~missing), errors="coerce").astype(np.float64)
    _refuse(texts, values.isna() & ~missing, "a number")
    return values


def dates(column: pd.Series, pattern: str = "ISO8601") -> pd.Series:
    """Dates, or dates with times, of a column of texts; blanks and words such as NA are missing.

    `pattern` is that of `strptime`, such as `%d.%m.%Y`. A time with a zone becomes UTC, without one
    it stays as it is.
    """
    texts = _stripped(column)
    missing = is_missing_word(texts)
    has_zone = pattern == "ISO8601" or "%z" in pattern
    known = texts.where(~missing)
    found: pd.Series = pd.to_datetime(known, format=pattern, errors="coerce", utc=has_zone)
    _refuse(texts, found.isna() & ~missing, f"a date as in {pattern}")
    plain: pd.Series = found.dt.tz_localize(None)
    return plain


def truths(column: pd.Series, words: Mapping[str, bool] = TRUTHS) -> pd.Series:
    """True, False, or None where missing; `words` are in lower case."""
    texts = _stripped(column).str.lower()
    missing = is_missing_word(texts)
    found = texts.map(dict(words)).astype(object)
    _refuse(texts, found.isna() & ~missing, "one of " + ", ".join(words))
    return found.where(~missing, None)


def texts(column: pd.Series) -> pd.Series:
    """Texts without blanks around them; what is blank is missing."""
    stripped = _stripped(column)
    return stripped.astype(object).where(stripped != "", None)


def is_missing_word(stripped: pd.Series) -> pd.Series:
    """Where a text without blanks around it says that there is no value."""
    return stripped.str.lower().isin(MISSING_WORDS)


def _stripped(column: pd.Series) -> pd.Series:
    """Every value as a text without blanks around it, the empty one where pandas saw none."""
    return column.astype(object).where(column.notna(), "").astype(str).str.strip()


def _refuse(texts: pd.Series, wrong: pd.Series, expected: str) -> None:
    if wrong.any():
        # The header is line 1 of the file.
        line = int(np.argmax(wrong.to_numpy())) + 2
        raise ValueError(
            f"{texts.name}: found {texts[wrong].iloc[0]!r} in line {line}, expected {expected}"
        )
