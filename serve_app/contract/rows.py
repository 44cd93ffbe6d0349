"""Bytes to rows: read once, validated strictly; what fails never reaches a model.

A body is read as JSON first and validated afterwards. pydantic's `validate_json` does both at once,
but converts the whole input to Python again for every missing field: 80 times the cost on a hostile
body.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import FailFast, TypeAdapter, ValidationError
from pydantic_core import from_json

from serve_app.contract import Features, ModelSpec
from serve_app.contract.spelling import Budget, Spelling
from serve_app.errors import FieldError, HttpError, InvalidRows, MalformedJson, TooManyRows

MAX_FIELD_ERRORS = 20
# How many fields an error lists.
MAX_NAMES = 50
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
        # FailFast: describing each bad row of a hostile list would cost more than reading it.
        self._many: TypeAdapter[list[Features]] = TypeAdapter(
            Annotated[list[spec.features], FailFast()]  # type: ignore[name-defined,arg-type]
        )
        quoted = [feature for feature in spec.contract if feature.is_quoted]
        self._nullable_texts = [feature.name for feature in quoted if feature.nullable]
        n_always_quoted = len(self._allowed) + len(quoted) - len(self._nullable_texts)
        self._n_quotes_a_row = 2 * n_always_quoted

    def one(self, body: bytes) -> Features:
        """One row. Raises MalformedJson or InvalidRows."""
        value = _read(body)
        try:
            row = self._one.validate_python(value)
        except ValidationError as error:
            raise self._invalid(error, value, Budget()) from None
        if self._n_quotes([row]) != body.count(b'"'):
            doubled = self._doubled(_pairs(body))
            if doubled is not None:
                raise doubled
        return row

    def many(self, body: bytes, max_rows: int) -> Sequence[Features | InvalidRows]:
        """A list of 1 to `max_rows` rows, each valid or the reason why not.

        Raises what concerns the whole body: MalformedJson, TooManyRows or InvalidRows.
        """
        values = _read(body)
        if not isinstance(values, list):
            raise InvalidRows("The body is expected to be a list of rows.")
        _check_length(len(values), max_rows)
        try:
            rows = self._many.validate_python(values)
        except ValidationError:
            # A bad row must not hurt the others.
            budget = Budget()
            checked = [self._checked(value, budget) for value in values]
            return self._without_doubled(checked, body)
        if self._n_quotes(rows) != body.count(b'"'):
            return self._without_doubled(rows, body)
        return rows

    def _checked(self, value: Any, budget: Budget) -> Features | InvalidRows:
        if isinstance(value, dict) and len(value) > len(self._allowed) + MAX_FIELD_ERRORS:
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

    def _without_doubled(
        self, rows: Sequence[Features | InvalidRows], body: bytes
    ) -> list[Features | InvalidRows]:
        """The rows, each valid one replaced by an error when a field stands twice in it."""
        found = list(rows)
        if all(isinstance(row, InvalidRows) for row in rows):
            return found
        for i, pairs in enumerate(_pairs(body)):
            if isinstance(found[i], Features):
                found[i] = self._doubled(pairs) or found[i]
        return found

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
            return FieldError(field=shown, reason=reason, allowed=self._an_object)
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
        raise _json_error(str(error)) from None


def _pairs(body: bytes) -> Any:
    """JSON that was read before, with each object as a tuple of its (name, value) pairs.

    `tuple` keeps it in C: with a function of ours, half a million objects would hold up the server.
    """
    return json.loads(body, object_pairs_hook=tuple)


def _check_length(n_rows: int, max_rows: int) -> None:
    if n_rows > max_rows:
        raise TooManyRows(f"Found {n_rows} rows, expected at most {max_rows}.")
    if n_rows == 0:
        raise InvalidRows(f"Found an empty list, expected 1 to {max_rows} rows.")


def _n_faults(n_faults: int) -> str:
    more = f" (the first {MAX_FIELD_ERRORS} are listed)" if n_faults > MAX_FIELD_ERRORS else ""
    return f"{n_faults} of the fields cannot be used{more}."


def _json_error(reason: str) -> HttpError:
    """400 for what is no JSON; 422 for JSON that no field can hold.

    That is a number of 5,000 digits, or half of a surrogate pair (`hex escape`, says the parser).
    """
    if "number out of range" in reason or "hex escape" in reason:
        return InvalidRows("The body holds a number or a text that cannot be represented.")
    position = re.search(r"at line \d+ column \d+$", reason)
    where = f" {position.group()}" if position else ""
    return MalformedJson(f"The body is not valid JSON{where}.")
