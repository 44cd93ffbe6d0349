"""What a column means: its type, bounds, choices, whether it may be missing, or why it is left out.

Pure: from summaries of all rows to guesses, each with its reason in words.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from serve_app.contract import Kind, Label
from serve_app.contract.feature import MOST_INT, DType
from training.errors import InvalidData
from training.new.summary import MARKS, Range, Summary

# A text with at most so many different values is a closed list, the others are open.
MOST_CHOICES = 50
# And each of them comes so often on average: else there will be new ones.
ROWS_OF_CHOICE = 20
MOST_CLASSES = 50
# Whole numbers with at most so many values, all next to each other, are classes as a target.
MOST_WHOLE_CLASSES = 10
# Words in a text on average, from which on it is read as language.
FREE_TEXT_WORDS = 4
ID_SHARE = 0.9
ID_NAME = re.compile(
    r"(^|[_\W])(id|ids|key|uuid|guid|index|idx|nr|no|number|num|rowid|row|serial)$|(?<=[a-z])(ID|Id|Nr|No)$|^#$"
    r"|^Unnamed: \d+$",
)
POSITIVE_WORDS = ("yes", "y", "true", "t", "1", "positive", "pos", "bad", "churned", "default")


@dataclass(frozen=True)
class Reading:
    """How `map_columns` reads a column: a function of training/columns.py and its arguments."""

    function: str
    arguments: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Field:
    """One field of the contract as it is guessed, and `why`.

    `reading` is None where the column can stay as pandas reads it.
    """

    column: str
    name: str
    dtype: DType
    why: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[int, ...] | tuple[str, ...] | None = None
    max_length: int | None = None
    is_free_text: bool = False
    reading: Reading | None = None


@dataclass(frozen=True)
class LeftOut:
    """A column that is no field, and why."""

    column: str
    why: str


@dataclass(frozen=True)
class Target:
    """The column to predict; without one it is an anomaly score, and `column` is empty."""

    column: str
    kind: Kind
    why: str
    classes: tuple[Label, ...] = ()
    positive: Label | None = None
    n_missing: int = 0
    reading: Reading | None = None
    is_text: bool = False


@dataclass(frozen=True)
class Marks:
    """What a person says of numbers and dates where a file does not: None is "not said"."""

    decimal: str | None = None
    thousands: str | None = None
    day_first: bool | None = None


def guess_field(summary: Summary, name: str, marks: Marks, keep: bool = False) -> Field | LeftOut:
    """The field that a column becomes, or why it is left out; `keep` leaves nothing out.

    Raises InvalidData for what can be read in two ways.
    """
    field = _typed(summary, name, marks)
    n_known = summary.n_known - (0 if field.dtype in ("category", "text") else summary.n_words)
    why = "" if keep else _why_not(summary, field, n_known)
    return LeftOut(summary.name, why) if why else _with_missing(field, summary.n_rows - n_known)


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
    if summary.share_different > (ID_SHARE / 2 if has_name else ID_SHARE):
        return f"an id: {100 * summary.share_different:.0f} % of its values are in one row only"
    return ""


def _typed(summary: Summary, name: str, marks: Marks) -> Field:
    is_odd = summary.n_padded > 0 or summary.n_words > 0
    if summary.is_number:
        return _number_or_code(summary, name, Reading("numbers") if is_odd else None)
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
        return _date(summary, name, marks)
    form = _number_form(summary, marks)
    if form:
        decimal, thousands = MARKS[form]
        said = (("decimal", decimal if decimal != "." else ""), ("thousands", thousands))
        arguments = tuple((key, value) for key, value in said if value)
        field = _number(summary, name, summary.ranges[form], Reading("numbers", arguments))
        return replace(field, why=f"{field.why}; written such as {summary.no_number!r}")
    return _text(summary, name)


def _number_or_code(summary: Summary, name: str, reading: Reading | None) -> Field:
    found = summary.range
    if summary.has_leading_zero:
        why = "a code, since some of its values begin with 0"
    elif found.is_whole and max(-found.low, found.high) > MOST_INT:
        why = "a code, since it has more digits than a number can hold"
    else:
        return _number(summary, name, found, reading)
    field = _text(summary, name)
    return replace(field, why=f"{why}; {field.why}")


def _number(summary: Summary, name: str, found: Range, reading: Reading | None) -> Field:
    has_gaps = summary.n_blank + summary.n_words > 0
    # pandas writes whole numbers with a point where some are missing.
    is_whole = found.is_whole and (not summary.has_point or has_gaps)
    dtype: DType = "int" if is_whole else "float"
    words = "whole number" if is_whole else "number"
    is_plain = reading is None or not reading.arguments
    values = _numbers_of(summary.counts or ()) if is_plain else set()
    if (is_whole and len(values) == 2) or values == {0.0, 1.0}:
        choices = tuple(sorted(int(value) for value in values))
        why = f"whole number, only {choices[0]} and {choices[1]}"
        return Field(summary.name, name, "int", why, choices=choices, reading=reading)
    low, high = bounds_with_room(found.low, found.high)
    seen = "no value" if found.is_empty else f"{_shown(found.low)} to {_shown(found.high)}"
    return Field(
        summary.name,
        name,
        dtype,
        f"{words}, found {seen}",
        minimum=low,
        maximum=high,
        reading=reading,
    )


def _numbers_of(values: Iterable[str]) -> set[float]:
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
    lower = max(0.0, lower) if low >= 0 else lower
    upper = min(0.0, upper) if high <= 0 and low < 0 else upper
    # Without the noise of the multiplication.
    return float(f"{lower:.12g}"), float(f"{upper:.12g}")


def _number_form(summary: Summary, marks: Marks) -> str:
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
    return next((form for form in ("comma_groups", "dot_groups") if form in alive), "")


def _date(summary: Summary, name: str, marks: Marks) -> Field:
    """A date such as 31.12.2025, with the pattern that reads it."""
    example = summary.no_number
    day, _, time = example.partition(" ")
    mark = next(sign for sign in "./-" if sign in day)
    clock = "" if not time else (" %H:%M:%S" if time.count(":") == 2 else " %H:%M")
    parts = day.split(mark)
    if len(parts[0]) == 4:
        order = f"%Y{mark}%m{mark}%d"
        why = f"dates such as {example}"
    else:
        day_first = _is_day_first(summary, mark, marks)
        first, second = ("%d", "%m") if day_first else ("%m", "%d")
        order = f"{first}{mark}{second}{mark}{'%Y' if len(parts[-1]) == 4 else '%y'}"
        why = f"dates such as {example}, the {'day' if day_first else 'month'} first"
    dtype: DType = "datetime" if clock else "date"
    reading = Reading("dates", (("pattern", order + clock),))
    return Field(summary.name, name, dtype, why, reading=reading)


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


def _text(summary: Summary, name: str) -> Field:
    reading = Reading("texts") if summary.n_padded else None
    n_values = summary.n_values
    is_closed = n_values <= MOST_CHOICES and n_values * ROWS_OF_CHOICE <= summary.n_known
    if summary.counts is not None and is_closed:
        values = tuple(sorted(summary.counts))
        listed = f"{n_values} values" if n_values > 1 else "1 value"
        why = f"text of a closed list, {listed}"
        return Field(summary.name, name, "category", why, choices=values, reading=reading)
    mean_words = summary.n_spaces / max(1, summary.n_lengths) + 1
    is_free = mean_words >= FREE_TEXT_WORDS and summary.share_different > 0.1
    kind = "free text" if is_free else "open text"
    n_found = f"more than {n_values - 1:,}" if summary.counts is None else f"{n_values:,}"
    room = max(20, -(-summary.longest * 2 // 10) * 10)
    return Field(
        summary.name,
        name,
        "text",
        f"{kind}: {n_found} values, up to {summary.longest} characters",
        max_length=room,
        is_free_text=is_free,
        reading=reading,
    )


def _shown(number: float) -> str:
    return f"{int(number):,}" if number == math.floor(number) else f"{number:,.6g}"


def guess_target(summary: Summary, marks: Marks, positive: str | None, kind: Kind | None) -> Target:
    """What the column to predict is, and what kind of model that makes. Raises InvalidData."""
    field = _typed(summary, summary.name, marks)
    column = summary.name
    is_text = field.dtype in ("category", "text")
    n_missing = summary.n_blank + (0 if is_text else summary.n_words)
    classes = _classes(summary, field)
    if field.dtype in ("date", "datetime"):
        raise InvalidData(f"--target {column}: found dates, expected classes or numbers")
    n_known = summary.n_rows - n_missing
    if summary.n_values < 2:
        raise InvalidData(f"--target {column}: found one value only, expected at least two")
    guessed = _kind(field, classes)
    wanted = kind or guessed
    if wanted == "regressor":
        if is_text or positive is not None:
            what = f"texts such as {next(iter(summary.counts or ['?']))!r}"
            raise InvalidData(
                f"--target {column}: found {what if is_text else 'numbers'}, expected "
                f"{'numbers for a regressor' if is_text else 'two classes for --positive'}"
            )
        why = f"{field.why}: a value to predict"
        return Target(column, "regressor", why, n_missing=n_missing, reading=field.reading)
    if len(classes) < 2 or (wanted == "binary_classifier") != (len(classes) == 2):
        n_found = f"more than {MOST_CLASSES}" if not classes else str(len(classes))
        raise InvalidData(
            f"--target {column}: found {n_found} different values in {n_known:,} rows, expected "
            f"2 for a binary classifier, 3 to {MOST_CLASSES} for a classifier, or numbers"
        )
    counts = _counts_by_class(summary, classes)
    listed = ", ".join(f"{label} ({n:,})" for label, n in counts.items())
    target = Target(
        column,
        "classifier" if len(classes) > 2 else "binary_classifier",
        f"{len(classes)} classes: {listed}",
        classes,
        n_missing=n_missing,
        reading=Reading("texts") if is_text and summary.n_padded else None,
        is_text=is_text,
    )
    if len(classes) > 2:
        if positive is not None:
            raise InvalidData(
                f"--positive {positive}: found {len(classes)} classes, expected it with two only"
            )
        return target
    label, reason = _positive(counts, positive, column)
    return replace(target, positive=label, why=f"{target.why}; {label} is asked for: {reason}")


def _kind(field: Field, classes: Sequence[Label]) -> Kind:
    if len(classes) == 2:
        return "binary_classifier"
    if field.dtype in ("category", "text"):
        return "classifier"
    numbers = [label for label in classes if isinstance(label, int)]
    is_dense = len(numbers) > 2 and max(numbers) - min(numbers) == len(numbers) - 1
    few = is_dense and len(numbers) <= MOST_WHOLE_CLASSES
    return "classifier" if field.dtype == "int" and few else "regressor"


def _classes(summary: Summary, field: Field) -> tuple[Label, ...]:
    """The different values as labels; none where they are too many or no labels."""
    values = summary.counts
    if values is None or len(values) > MOST_CLASSES + 1:
        return ()
    if field.dtype == "bool":
        return (False, True)
    if field.dtype in ("category", "text"):
        return tuple(sorted(values)) if len(values) <= MOST_CLASSES else ()
    numbers = _numbers_of(values)
    if not all(number.is_integer() for number in numbers) or len(numbers) > MOST_CLASSES:
        return ()
    return tuple(sorted(int(number) for number in numbers))


def _counts_by_class(summary: Summary, classes: Sequence[Label]) -> dict[Label, int]:
    counts: dict[Label, int] = dict.fromkeys(classes, 0)
    by_name = {str(label).lower(): label for label in classes}
    for value, n in (summary.counts or {}).items():
        label: Label | None = value if value in counts else by_name.get(value.lower())
        if label is None and value.removesuffix(".0") in by_name:
            label = by_name[value.removesuffix(".0")]
        if label is not None:
            counts[label] += n
    return counts


def _positive(counts: Mapping[Label, int], asked: str | None, column: str) -> tuple[Label, str]:
    """The class whose probability is asked for, and how it was chosen."""
    by_name = {str(label): label for label in counts}
    if asked is not None:
        if asked not in by_name:
            raise InvalidData(
                f"--positive: found {asked!r}, expected a value of {column}: {', '.join(by_name)}"
            )
        return by_name[asked], "--positive says so"
    for name, label in by_name.items():
        if name.lower() in POSITIVE_WORDS:
            return label, "by its name"
    rarer = min(counts, key=counts.__getitem__)
    return rarer, "the rarer one"


def find_column(asked: str, columns: Sequence[str], option: str) -> str:
    """The column of a file that a person names. Raises InvalidData with the nearest names."""
    if asked in columns:
        return asked
    folded = {column.strip().casefold(): column for column in columns}
    near = difflib.get_close_matches(asked.strip().casefold(), folded, 3, 0.6)
    listed = ", ".join(columns[:30]) + (" …" if len(columns) > 30 else "")
    proposed = f"did you mean {' or '.join(folded[name] for name in near)}? " if near else ""
    raise InvalidData(f"{option}: found no column {asked!r}; {proposed}The file has: {listed}")
