"""A column of numbers as a field: whole or not, its bounds, and how its marks are read."""

import math
from collections.abc import Iterable
from dataclasses import replace

from serve_app.contract.feature import MOST_INT, DType
from training.errors import InvalidData
from training.new.field import Field, Marks, Reading
from training.new.summary import MARKS, Range, Summary
from training.new.text import guess_text


def guess_number(summary: Summary, name: str, reading: Reading | None) -> Field:
    """Guess the field of a column of plain numbers, which may be codes written in digits."""
    found = summary.range
    if summary.has_leading_zero:
        why = "a code, since some of its values begin with 0"
    elif found.is_whole and max(-found.low, found.high) > MOST_INT:
        why = "a code, since it has more digits than a number can hold"
    else:
        return number_field(summary, name, found, reading)
    field = guess_text(summary, name)
    return replace(field, why=f"{why}; {field.why}")


def number_field(summary: Summary, name: str, found: Range, reading: Reading | None) -> Field:
    """Make the field of numbers that were `found` in this range: a few choices, or bounds."""
    has_gaps = summary.n_blank + summary.n_words > 0
    # pandas writes whole numbers with a point where some are missing.
    is_whole = found.is_whole and (not summary.has_point or has_gaps)
    is_plain = reading is None or not reading.arguments
    values = numbers_of(summary.counts or ()) if is_plain else set()
    if (is_whole and len(values) == 2) or values == {0.0, 1.0}:
        choices = tuple(sorted(int(value) for value in values))
        why = f"whole number, only {choices[0]} and {choices[1]}"
        return Field(summary.name, name, "int", why, choices=choices, reading=reading)
    low, high = bounds_with_room(found.low, found.high)
    seen = "no value" if found.is_empty else f"{_shown(found.low)} to {_shown(found.high)}"
    dtype: DType = "int" if is_whole else "float"
    words = "whole number" if is_whole else "number"
    why = f"{words}, found {seen}"
    return Field(summary.name, name, dtype, why, minimum=low, maximum=high, reading=reading)


def numbers_of(values: Iterable[str]) -> set[float]:
    """The finite numbers among texts."""
    found = set()
    for value in values:
        try:
            number = float(value)
        except ValueError:
            # A word for "missing".
            continue
        if math.isfinite(number):
            found.add(number)
    return found


def bounds_with_room(low: float, high: float) -> tuple[float, float]:
    """Bounds with half of the span as room on each side, rounded outwards.

    What was never below zero stays so.
    """
    if low > high:
        return 0.0, 1.0
    span = high - low or abs(high) or 1.0
    unit = 10.0 ** math.floor(math.log10(span))
    lower = math.floor((low - span / 2) / unit) * unit
    upper = math.ceil((high + span / 2) / unit) * unit
    if low >= 0:
        lower = max(0.0, lower)
    elif high <= 0:
        upper = min(0.0, upper)
    # Without the noise of the multiplication.
    return float(f"{lower:.12g}"), float(f"{upper:.12g}")


def number_form(summary: Summary, marks: Marks) -> str:
    """The form of a column of numbers with other marks; empty for a column of texts."""
    alive = {form for form in MARKS if summary.forms[form] and not summary.ranges[form].is_empty}
    for form, (decimal, thousands) in MARKS.items():
        is_said = (marks.decimal or decimal, marks.thousands or thousands) == (decimal, thousands)
        if form in alive and is_said and (marks.decimal or marks.thousands):
            return form
    if "decimal_comma" in alive:
        if summary.odd_decimal or "comma_groups" not in alive:
            return "decimal_comma"
        raise InvalidData(
            f"column {summary.name}: found {summary.no_number!r}, where the comma may stand "
            "before the fraction or between thousands; say --decimal , or --thousands ,"
        )
    for form in ("comma_groups", "dot_groups"):
        if form in alive:
            return form
    return ""


def _shown(number: float) -> str:
    if number == math.floor(number):
        return f"{int(number):,}"
    return f"{number:,.6g}"
