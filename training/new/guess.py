"""What a column means: its type, bounds, choices, whether it may be missing, or why it is left out.

Pure: from summaries of all rows to guesses, each with its reason in words.
"""

import re
from dataclasses import replace

from training.new.date import guess_date
from training.new.field import Field, LeftOut, Marks, Reading
from training.new.number import guess_number, number_field, number_form
from training.new.summary import MARKS, Summary
from training.new.text import guess_text

ID_SHARE = 0.9
ID_NAME = re.compile(
    r"(^|[_\W])(id|ids|key|uuid|guid|index|idx|nr|no|number|num|rowid|row|serial)$|(?<=[a-z])(ID|Id|Nr|No)$|^#$"
    r"|^Unnamed: \d+$",
)


def guess_field(summary: Summary, name: str, marks: Marks, keep: bool = False) -> Field | LeftOut:
    """The field that a column becomes, or why it is left out; `keep` leaves nothing out.

    Raises InvalidData for what can be read in two ways.
    """
    field = typed_field(summary, name, marks)
    n_known = summary.n_known
    if field.dtype not in ("category", "text"):
        # Words between numbers or dates stand for "missing".
        n_known -= summary.n_words
    why = "" if keep else _why_not(summary, field, n_known)
    if why:
        return LeftOut(summary.name, why)
    return _with_missing(field, summary.n_rows - n_known)


def _why_not(summary: Summary, field: Field, n_known: int) -> str:
    """Why a column cannot help; empty where it may."""
    if n_known == 0:
        return "it has no value in any row"
    if summary.n_values == 1 and n_known == summary.n_rows:
        [value] = summary.counts or [""]
        return f"it is {value!r} in every row"
    return _why_an_id(summary, field)


def _with_missing(field: Field, n_missing: int) -> Field:
    if not n_missing:
        return field
    rows = "1 row" if n_missing == 1 else f"{n_missing:,} rows"
    return replace(field, nullable=True, why=f"{field.why}; missing in {rows}")


def _why_an_id(summary: Summary, field: Field) -> str:
    """Why a column only names its row; empty when it says something about it."""
    has_name = ID_NAME.search(summary.name) is not None
    is_every_row = summary.is_unique and summary.n_blank == 0
    if field.dtype == "int":
        if is_every_row and (has_name or (summary.is_number and summary.is_ascending)):
            return "a number of the row: each of its values is in one row only"
        return ""
    if field.dtype != "text" or field.is_free_text:
        return ""
    if is_every_row:
        return "an id: each of its values is in one row only"
    least_share = ID_SHARE / 2 if has_name else ID_SHARE
    if summary.share_different > least_share:
        return f"an id: {100 * summary.share_different:.0f} % of its values are in one row only"
    return ""


def typed_field(summary: Summary, name: str, marks: Marks) -> Field:
    """Guess the type of a column with its bounds or choices, and how it is read.

    Raises InvalidData for what can be read in two ways.
    """
    is_odd = summary.n_padded > 0 or summary.n_words > 0
    if summary.is_number:
        return guess_number(summary, name, Reading("numbers") if is_odd else None)
    if summary.forms["truth"]:
        reading = Reading("truths") if is_odd else None
        return Field(summary.name, name, "bool", "true or false", reading=reading)
    if summary.forms["date"]:
        reading = Reading("dates") if is_odd else None
        return Field(summary.name, name, "date", "dates such as 2026-11-28", reading=reading)
    if summary.forms["datetime"]:
        why = "dates with times; a zone is turned into UTC"
        return Field(summary.name, name, "datetime", why, reading=Reading("dates"))
    if summary.forms["other_date"]:
        return guess_date(summary, name, marks)
    form = number_form(summary, marks)
    if form:
        reading = _reading_of(form)
        field = number_field(summary, name, summary.ranges[form], reading)
        return replace(field, why=f"{field.why}; written such as {summary.no_number!r}")
    return guess_text(summary, name)


def _reading_of(form: str) -> Reading:
    """How numbers with these marks are read: what pandas takes for granted is not said."""
    decimal, thousands = MARKS[form]
    arguments = []
    if decimal != ".":
        arguments.append(("decimal", decimal))
    if thousands:
        arguments.append(("thousands", thousands))
    return Reading("numbers", tuple(arguments))
