"""Bytes to rows: validated once, strictly, by the model's own type; what fails never reaches a model."""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import FailFast, TypeAdapter, ValidationError
from pydantic_core import from_json

from serve_app.contract import Features, ModelSpec
from serve_app.errors import FieldError, HttpError, InvalidRows, MalformedJson, TooManyRows

MAX_FIELD_ERRORS = 20
ROOMY_ROW_BYTES = 1024
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
}


class RowReader:
    """Reads the bodies of one model."""

    def __init__(self, spec: ModelSpec) -> None:
        self._allowed = {feature.name: feature.allowed for feature in spec.contract}
        self._one: TypeAdapter[Features] = TypeAdapter(spec.features)
        # FailFast: a hostile body of 1 MB has half a million bad rows, and describing each took 1.7 s.
        self._many: TypeAdapter[list[Features]] = TypeAdapter(
            Annotated[list[spec.features], FailFast()]
        )  # type: ignore[name-defined,arg-type]

    def one(self, body: bytes) -> Features:
        """One row. Raises MalformedJson or InvalidRows."""
        try:
            return self._one.validate_json(body)
        except ValidationError as error:
            raise _json_fault(error, body) or self._invalid(error) from None

    def many(self, body: bytes, max_rows: int) -> Sequence[Features | InvalidRows]:
        """A list of 1 to `max_rows` rows, each valid or the reason why not. Raises what concerns the whole body."""
        if (
            len(body) > ROOMY_ROW_BYTES * max_rows
        ):  # no honest body is so large: look before validating it
            return self._one_by_one(body, max_rows)
        try:
            rows = self._many.validate_json(body)
        except ValidationError:
            return self._one_by_one(body, max_rows)
        _check_length(len(rows), max_rows)
        return rows

    def _one_by_one(self, body: bytes, max_rows: int) -> list[Features | InvalidRows]:
        """The slow path, for a body with a fault somewhere: a bad row must not hurt the others."""
        try:
            values = from_json(body)
        except ValueError as error:
            raise _json_error(str(error), body) from None
        if not isinstance(values, list):
            raise InvalidRows("The body is expected to be a list of rows.")
        _check_length(len(values), max_rows)
        return [self._checked(value) for value in values]

    def _checked(self, value: Any) -> Features | InvalidRows:
        if isinstance(value, dict) and len(value) > len(self._allowed) + MAX_FIELD_ERRORS:
            return InvalidRows(f"Found {len(value)} fields, expected {len(self._allowed)}.")
        try:
            return self._one.validate_python(value)
        except ValidationError as error:
            return self._invalid(error)

    def _invalid(self, error: ValidationError) -> InvalidRows:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        listed = tuple(self._field_error(fault) for fault in faults[:MAX_FIELD_ERRORS])
        more = (
            f" (the first {MAX_FIELD_ERRORS} are listed)" if len(faults) > MAX_FIELD_ERRORS else ""
        )
        return InvalidRows(f"{len(faults)} of the fields cannot be used{more}.", errors=listed)

    def _field_error(self, fault: Any) -> FieldError:
        name = str(fault["loc"][0]) if fault["loc"] else ""
        if name not in self._allowed:
            # The name was made by the client: shown only when it is plainly a name, so that it cannot carry data.
            shown = name if _PLAIN_NAME.fullmatch(name) else ""
            reason = _REASONS.get(fault["type"], "cannot be used")
            return FieldError(
                field=shown, reason=reason, allowed=f"an object of {', '.join(self._allowed)}"
            )
        reason = _REASONS.get(fault["type"], "is out of range")
        return FieldError(field=name, reason=reason, allowed=self._allowed[name])


def _check_length(n_rows: int, max_rows: int) -> None:
    if n_rows > max_rows:
        raise TooManyRows(f"Found {n_rows} rows, expected at most {max_rows}.")
    if n_rows == 0:
        raise InvalidRows(f"Found an empty list, expected 1 to {max_rows} rows.")


def _json_fault(error: ValidationError, body: bytes) -> HttpError | None:
    """What is wrong with the JSON itself, if that is the fault: it is then the only one."""
    if error.error_count() > 1:
        return None
    fault = error.errors(include_input=False, include_url=False)[0]
    return (
        _json_error(str(fault.get("ctx", {}).get("error", "")), body)
        if fault["type"] == "json_invalid"
        else None
    )


def _json_error(reason: str, body: bytes) -> HttpError:
    """400 for what is no JSON; 422 for JSON that no field can hold: a lone surrogate, a number of 5,000 digits."""
    if "number out of range" in reason or ("escape" in reason and _python_reads(body)):
        return InvalidRows("The body holds a number or a text that cannot be represented.")
    position = re.search(r"at line \d+ column \d+$", reason)
    return MalformedJson(
        "The body is not valid JSON" + (f" {position.group()}." if position else ".")
    )


def _python_reads(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
