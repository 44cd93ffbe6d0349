"""A column of dates as a field, with the pattern that reads them."""

from serve_app.contract.feature import DType
from training.errors import InvalidData
from training.new.field import Field, Marks, Reading
from training.new.summary import Summary


def guess_date(summary: Summary, name: str, marks: Marks) -> Field:
    """A date such as 31.12.2025, with the pattern that reads it."""
    example = summary.no_number
    day, _, time = example.partition(" ")
    mark = next(sign for sign in "./-" if sign in day)
    parts = day.split(mark)
    year = "%Y" if len(parts[-1]) == 4 else "%y"
    why = f"dates such as {example}"
    if len(parts[0]) == 4:
        order = ["%Y", "%m", "%d"]
    elif _is_day_first(summary, mark, marks):
        order = ["%d", "%m", year]
        why += ", the day first"
    else:
        order = ["%m", "%d", year]
        why += ", the month first"
    dtype: DType = "datetime" if time else "date"
    reading = Reading("dates", (("pattern", mark.join(order) + _clock(time)),))
    return Field(summary.name, name, dtype, why, reading=reading)


def _clock(time: str) -> str:
    """The pattern of a time such as 08:30, with the space before it; empty without one."""
    if not time:
        return ""
    return " %H:%M:%S" if time.count(":") == 2 else " %H:%M"


def _is_day_first(summary: Summary, mark: str, marks: Marks) -> bool:
    first, second = summary.first_parts
    if first > 12 or second > 12:
        return first > 12
    if marks.day_first is not None:
        return marks.day_first
    if mark == ".":
        return True
    raise InvalidData(
        f"column {summary.name}: found dates such as {summary.no_number}, whose day and month "
        "cannot be told apart; say --day-first or --month-first"
    )
