"""Bytes to rows: read once, validated strictly; what fails never reaches a model.

A body is read as JSON first and validated afterwards. pydantic's `validate_json` does both at once,
but converts the whole input to Python again for every missing field: 80 times the cost on a hostile
body.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import FailFast, TypeAdapter, ValidationError
from pydantic_core import from_json

from serve_app.contract import Features, ModelSpec
from serve_app.contract.elements import (
    MAX_ROW_KB,
    NOT_A_LIST,
    collected_later,
    elements,
    json_error,
    pairs,
)
from serve_app.contract.spelling import Budget, Spelling
from serve_app.errors import FieldError, InvalidRows, TooManyRows

# A larger body is read in steps, each of about so many characters or of one bad row.
AT_ONCE_BYTES = MAX_ROW_KB * 1024
STEP_CHARS = 16_384
# To keep off the collector of garbage costs a microsecond.
FEW_BYTES = 4_096
MAX_FIELD_ERRORS = 20
# pydantic tells of each unknown field: of 7,000 in one row for 8 ms.
MOST_UNKNOWN = 1_500
# How many fields an error lists.
MAX_NAMES = 50
# What is said of a field that is none, once the request has had all names often enough.
ONE_OF_THE_FIELDS = "a field of this model, as GET /v1/model lists them"
# The faults of a value that is not one of a list.
NOT_LISTED = ("literal_error", "not_a_choice")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is not a field of this model",
    "finite_number": "is not a finite number",
    "model_type": "is not an object",
    "int_type": "is not an integer",
    "float_type": "is not a number",
    "string_type": "is not text",
    "literal_error": "is not one of the allowed values",
    "not_a_choice": "is not one of the allowed values",
    "not_iso": "is not an ISO date of this form",
    "bool_type": "is not true or false",
    "string_too_short": "is empty; send null where it is missing",
    "string_too_long": "is too long",
}


class RowReader:
    """Reads the bodies of one model."""

    def __init__(self, spec: ModelSpec) -> None:
        self._allowed = {feature.name: feature.allowed for feature in spec.contract}
        self._an_object = f"an object of {_listed(list(self._allowed))}"
        self._spelling = Spelling(spec.contract)
        self._one: TypeAdapter[Features] = TypeAdapter(spec.features)
        # FailFast: of a list that is not good it is enough to know that.
        self._many: TypeAdapter[list[Features]] = TypeAdapter(
            Annotated[list[spec.features], FailFast()]  # type: ignore[name-defined,arg-type]
        )
        quoted = [feature for feature in spec.contract if feature.is_quoted]
        self._nullable_texts = [feature.name for feature in quoted if feature.nullable]
        n_always_quoted = len(self._allowed) + len(quoted) - len(self._nullable_texts)
        self._n_quotes_a_row = 2 * n_always_quoted

    def one(self, body: bytes) -> Features:
        """One row. Raises MalformedJson or InvalidRows."""
        if len(body) <= FEW_BYTES:
            return self._read_one(body)
        with collected_later():
            return self._read_one(body)

    def _read_one(self, body: bytes) -> Features:
        row = self._checked(_read(body), Budget(), MOST_UNKNOWN)
        if isinstance(row, InvalidRows):
            raise row
        if self._n_quotes([row]) != body.count(b'"'):
            doubled = self._doubled(pairs(body))
            if doubled is not None:
                raise doubled
        return row

    def many(self, body: bytes, max_rows: int) -> Sequence[Features | InvalidRows]:
        """A list of 1 to `max_rows` rows, each valid or the reason why not.

        Raises what concerns the whole body: MalformedJson, BodyTooLarge, TooManyRows or
        InvalidRows.
        """
        rows = self.good_rows(body, max_rows)
        if rows is not None:
            return rows
        return [row for step in self.in_steps(body, max_rows) for row in step]

    def good_rows(self, body: bytes, max_rows: int) -> Sequence[Features] | None:
        """The rows of a body that is small and has no fault; None: it has to be read in steps.

        Raises as `many`.
        """
        if len(body) > AT_ONCE_BYTES:
            return None
        with collected_later():
            return self._read_good_rows(body, max_rows)

    def _read_good_rows(self, body: bytes, max_rows: int) -> Sequence[Features] | None:
        values = _read(body)
        if not isinstance(values, list):
            raise InvalidRows(NOT_A_LIST)
        _check_length(len(values), max_rows)
        try:
            rows = self._many.validate_python(values)
        except ValidationError:
            return None
        # What has more quotes may hold a field twice.
        return rows if self._n_quotes(rows) == body.count(b'"') else None

    def in_steps(self, body: bytes, max_rows: int) -> Iterator[Sequence[Features | InvalidRows]]:
        """As `many`, some rows at a time: no step takes longer than one row of 64 KB may take.

        A fault of the whole body may be found after rows that were given already.
        """
        read = partial(self._of_pairs, budget=Budget())
        step: list[Features | InvalidRows] = []
        n_rows = 0
        begin = 0
        for row, end in elements(body, read):
            n_rows += 1
            if n_rows > max_rows:
                raise TooManyRows(f"Found more than {max_rows} rows, expected at most {max_rows}.")
            step.append(row)
            # What is wrong with a row takes longer to say than a good row to read.
            if isinstance(row, InvalidRows) or end - begin > STEP_CHARS:
                yield step
                step = []
                begin = end
        _check_length(n_rows, max_rows)
        yield step

    def _of_pairs(self, value: Any, budget: Budget) -> Features | InvalidRows:
        """A row whose object is a tuple of its (name, value) pairs."""
        if not isinstance(value, tuple):
            return self._checked(value, budget)
        fields = dict(value)
        row = self._checked(fields, budget)
        if isinstance(row, Features) and len(fields) < len(value):
            return self._doubled(value) or row
        return row

    def _checked(
        self, value: Any, budget: Budget, most_unknown: int = MAX_FIELD_ERRORS
    ) -> Features | InvalidRows:
        """A row, or why it is none."""
        if isinstance(value, dict) and len(value) > len(self._allowed) + most_unknown:
            return InvalidRows(f"Found {len(value)} fields, expected {len(self._allowed)}.")
        try:
            return self._one.validate_python(value)
        except ValidationError as error:
            return self._invalid(error, value, budget)

    def _n_quotes(self, rows: Sequence[Features]) -> int:
        """How many `"` valid rows have in JSON: two for each name and for each text.

        A body has more where a field stands twice, or where a text holds an escaped quote.
        """
        n_quotes = self._n_quotes_a_row * len(rows)
        for name in self._nullable_texts:
            n_quotes += 2 * sum(row.__dict__[name] is not None for row in rows)
        return n_quotes

    def _doubled(self, pairs: Sequence[tuple[str, Any]]) -> InvalidRows | None:
        counts = Counter(name for name, _ in pairs)
        errors = tuple(
            FieldError(field=name, reason="stands twice", allowed=self._allowed[name])
            for name, count in counts.items()
            if count > 1
        )
        if not errors:
            return None
        listed = errors[:MAX_FIELD_ERRORS]
        return InvalidRows(_n_faults(len(errors)), errors=listed)

    def _invalid(self, error: ValidationError, row: Any, budget: Budget) -> InvalidRows:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        listed = tuple(self._field_error(fault, row, budget) for fault in faults[:MAX_FIELD_ERRORS])
        return InvalidRows(_n_faults(len(faults)), errors=listed)

    def _field_error(self, fault: Any, row: Any, budget: Budget) -> FieldError:
        name = str(fault["loc"][0]) if fault["loc"] else ""
        if name not in self._allowed:
            # The client made up this name: it is shown only when it is plainly a name and carries
            # no data.
            shown = name if _PLAIN_NAME.fullmatch(name) else ""
            reason = _REASONS.get(fault["type"], "cannot be used")
            budget.n_lists -= 1
            allowed = self._an_object if budget.n_lists >= 0 else ONE_OF_THE_FIELDS
            return FieldError(field=shown, reason=reason, allowed=allowed)
        reason = _REASONS.get(fault["type"], "is out of range")
        nearest = None
        if fault["type"] in NOT_LISTED:
            nearest = self._spelling.nearest(name, row[name], budget)
        return FieldError(field=name, reason=reason, allowed=nearest or self._allowed[name])


def _listed(names: Sequence[str]) -> str:
    """Names in a sentence: the first of them, and how many more there are."""
    n_more = len(names) - MAX_NAMES
    more = f" and {n_more:,} more" if n_more > 0 else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _read(body: bytes) -> Any:
    """JSON as Python values; NaN and infinities pass, for the fields to refuse."""
    try:
        return from_json(body)
    except ValueError as error:
        raise json_error(str(error)) from None


def _check_length(n_rows: int, max_rows: int) -> None:
    if n_rows > max_rows:
        raise TooManyRows(f"Found {n_rows} rows, expected at most {max_rows}.")
    if n_rows == 0:
        raise InvalidRows(f"Found an empty list, expected 1 to {max_rows} rows.")


def _n_faults(n_faults: int) -> str:
    more = f" (the first {MAX_FIELD_ERRORS} are listed)" if n_faults > MAX_FIELD_ERRORS else ""
    return f"{n_faults} of the fields cannot be used{more}."
