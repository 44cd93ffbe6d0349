"""Types of fields that Python and pydantic do not have as a contract needs them."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from serve_app.contract.feature import DATE_TIME, UNBOUNDED, WORDS, is_iso


@dataclass(frozen=True)
class Choice:
    """Limits an `int` field to a few values. `Literal[1]` would accept `true`: `True == 1`."""

    values: tuple[int, ...]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "enum": list(self.values)}

    def _check(self, value: int) -> int:
        if value not in self.values:
            raise PydanticCustomError("not_a_choice", "is not one of the allowed values")
        return value


@dataclass(frozen=True)
class Text:
    """Makes a `str` field open: any text of 1 to `max_length` characters, also an unseen one.

    The empty text is refused, because it is how a missing one travels inside: clients send null.
    """

    max_length: int

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.str_schema(strict=True, min_length=1, max_length=self.max_length)


class _Unbounded:
    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), UNBOUNDED: True}


@dataclass(frozen=True)
class _Iso:
    """ISO 8601 as JSON has it; Python's own dates pass too."""

    dtype: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        is_date = self.dtype == "date"
        strict = core_schema.date_schema if is_date else core_schema.datetime_schema
        return core_schema.no_info_before_validator_function(self._read, strict(strict=True))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = handler(schema)
        return found if self.dtype == "date" else {**found, "format": DATE_TIME}

    def _read(self, value: Any) -> Any:
        text = value.isoformat() if isinstance(value, date | datetime) else value
        if not isinstance(text, str) or not is_iso(self.dtype, text):
            raise PydanticCustomError("not_iso", "is not a {kind}", {"kind": WORDS[self.dtype]})
        return date.fromisoformat(text) if self.dtype == "date" else datetime.fromisoformat(text)


# Any finite number: for what has no natural bound.
Number = Annotated[float, _Unbounded()]
# A day, `2026-11-28`. It reaches a pipeline as datetime64.
Date = Annotated[date, _Iso("date")]
# A day and a time without a zone, `2026-11-28T18:30:00`. It reaches a pipeline as datetime64.
DateTime = Annotated[datetime, _Iso("datetime")]
