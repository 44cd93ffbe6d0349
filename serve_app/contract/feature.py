"""One field of a contract, and whether a bundle takes all that a server takes."""

import math
import re
from collections.abc import Iterable
from datetime import date, datetime
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["binary_classifier", "classifier", "regressor"]
DType = Literal["bool", "int", "float", "category", "text", "date", "datetime"]
Value = bool | int | float | str | None

# Beyond it a float64, in which every number reaches a model, cannot tell neighbours from each
# other.
MOST_INT = 2**53
# Texts that no training has seen, to try an open field with.
UNSEEN_TEXTS = ("a text that nobody has seen", "Zürich ü", "nan", "None", "0")
# How many choices a sentence lists.
LISTED = 20
WORDS = {
    "int": "integer",
    "float": "number",
    "category": "text",
    "bool": "true or false",
    "date": "date such as 2026-11-28",
    "datetime": "date and time without a zone such as 2026-11-28T18:30:00",
}


class Feature(BaseModel):
    """The contract of one field, as it is kept in a bundle's manifest.

    A `category` is text of a closed list, `text` is open: any text up to `max_length` characters. A
    `float` without bounds may be any finite number. Dates are ISO 8601 in JSON.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: str
    dtype: DType
    description: str = ""
    unit: str | None = None
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    choices: tuple[int, ...] | tuple[str, ...] | None = None
    max_length: int | None = None

    @cached_property
    def is_text(self) -> bool:
        """Whether its values are texts to a model; all others are numbers."""
        return self.dtype in ("category", "text")

    @cached_property
    def is_quoted(self) -> bool:
        """Whether its values stand in quotes in JSON."""
        return self.dtype in ("category", "text", "date", "datetime")

    @cached_property
    def allowed(self) -> str:
        """What the field may hold, in words for people."""
        return self._allowed + (" or null" if self.nullable else "")

    @property
    def _allowed(self) -> str:
        if self.choices is not None:
            listed = ", ".join(str(choice) for choice in self.choices[:LISTED])
            n_more = len(self.choices) - LISTED
            return f"one of {listed}" + (f" and {n_more:,} more" if n_more > 0 else "")
        if self.dtype == "text":
            return f"text of 1 to {self.max_length} characters"
        kind = WORDS[self.dtype]
        if self.dtype in ("bool", "date", "datetime"):
            return kind
        if self.minimum is not None and self.maximum is not None:
            return f"{kind} from {self.minimum:.12g} to {self.maximum:.12g}"
        # A contract has both bounds or none; the manifest of a stranger may have one.
        bounds = []
        if self.exclusive_minimum is not None:
            bounds.append(f"> {self.exclusive_minimum:.12g}")
        if self.minimum is not None:
            bounds.append(f">= {self.minimum:.12g}")
        if self.maximum is not None:
            bounds.append(f"<= {self.maximum:.12g}")
        return f"{kind} {' and '.join(bounds)}" if bounds else f"finite {kind}"

    def accepts(self, value: Any) -> bool:
        """True when a row may hold this value of JSON here.

        `None` stands for missing, dates are ISO.
        """
        if value is None:
            return self.nullable
        if isinstance(value, bool) or self.dtype == "bool":
            return isinstance(value, bool) and self.dtype == "bool"
        if isinstance(value, str) or self.is_quoted:
            return isinstance(value, str) and self._accepts_text(value)
        if not isinstance(value, int | float) or not _is_finite(value):
            return False
        if self.dtype == "int" and not isinstance(value, int):
            return False
        return value in self.choices if self.choices is not None else self._in_range(value)

    def _accepts_text(self, value: str) -> bool:
        match self.dtype:
            case "category":
                return value in (self.choices or ())
            case "text":
                return 0 < len(value) <= (self.max_length or 0)
            case "date" | "datetime":
                return is_iso(self.dtype, value)
        return False

    def accepts_all_of(self, other: "Feature") -> bool:
        """True when every value that `other` allows is allowed here too."""
        if self.name != other.name or (other.nullable and not self.nullable):
            return False
        if self.dtype == "text" and other.dtype == "category":
            return all(self._accepts_text(str(choice)) for choice in other.choices or ())
        if self.dtype != other.dtype:
            return False
        if self.dtype == "text":
            return (other.max_length or 0) <= (self.max_length or 0)
        if self.choices is not None:
            return other.choices is not None and set(other.choices) <= set(self.choices)
        if other.choices is not None:
            return self.dtype == "category" or all(self.accepts(c) for c in other.choices)
        return _lowest(self) <= _lowest(other) and _highest(other) <= _highest(self)

    def _in_range(self, value: float) -> bool:
        return _lowest(self) <= (value, 0) and value <= _highest(self)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        # An integer that no float can hold.
        return False


def is_iso(dtype: str, value: str) -> bool:
    """Whether a text is a date, or a date and time without a zone, that pandas can hold too."""
    # Python also reads weeks, and times without colons, which no JSON schema calls a date.
    if not ISO[dtype].fullmatch(value):
        return False
    try:
        moment: date = (date if dtype == "date" else datetime).fromisoformat(value)
    except ValueError:
        return False
    return FIRST_YEAR <= moment.year <= LAST_YEAR


_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
ISO = {
    "date": re.compile(_DAY),
    "datetime": re.compile(_DAY + r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?"),
}
# What nanoseconds in 64 bits can hold, as pandas stores them.
FIRST_YEAR = 1678
LAST_YEAR = 2261


def _lowest(feature: Feature) -> tuple[float, int]:
    """The lower bound as a sortable pair; an exclusive bound lies just above its number."""
    if feature.exclusive_minimum is not None:
        return (feature.exclusive_minimum, 1)
    return (float("-inf") if feature.minimum is None else feature.minimum, 0)


def _highest(feature: Feature) -> float:
    return float("inf") if feature.maximum is None else feature.maximum


DTYPES: dict[str, DType] = {
    "boolean": "bool",
    "integer": "int",
    "number": "float",
    "string": "category",
}
# Of OpenAPI's registry of formats: `date-time` would be a time with a zone.
DATE_TIME = "date-time-local"
FORMATS: dict[str, DType] = {"date": "date", DATE_TIME: "datetime"}
# In the JSON schema of a `Number`: its author knows that it has no bounds.
UNBOUNDED = "x-unbounded"
EXPECTED = """\
a required field of one of these types, each with `| None` where data may be missing:
  int or float with a lower and an upper bound (Field(ge=0, le=100)), ints within ±2**53
  Number: any finite number
  Annotated[int, Choice((1, 2, 3))]: integers of a list
  Literal["a", "b"]: text of a closed list, not the empty text, which stands for missing
  Annotated[str, Text(80)]: any text of 1 to 80 characters
  bool, Date, DateTime
no lt (le is the upper bound), no multiple_of, and not both gt and ge"""


def feature_of(place: str, name: str, schema: dict[str, Any], *, is_required: bool) -> Feature:
    """One field of a contract from its JSON schema; `place` names it in errors.

    Raises TypeError for a field of a type that is not known, or whose values are not bounded.
    """
    variants = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    value = {**schema, **(variants[0] if variants else {})}
    dtype = _dtype(value)
    if dtype is None or len(variants) != 1 or not is_required or not _is_bounded(value, dtype):
        raise TypeError(f"{place}: found {_shown(schema)}; expected {EXPECTED}")
    return Feature(
        name=name,
        dtype=dtype,
        description=value.get("description", ""),
        unit=value.get("unit"),
        nullable=len(schema.get("anyOf", ())) > len(variants),
        minimum=_number(value, "minimum"),
        maximum=_number(value, "maximum"),
        exclusive_minimum=_number(value, "exclusiveMinimum"),
        choices=_choices(value),
        max_length=value.get("maxLength") if dtype == "text" else None,
    )


def _dtype(value: dict[str, Any]) -> DType | None:
    if value.get("type") != "string":
        return DTYPES.get(value.get("type", ""))
    if "format" in value:
        return FORMATS.get(value["format"])
    return "text" if "maxLength" in value else "category"


def _is_bounded(value: dict[str, Any], dtype: DType) -> bool:
    """Whether a schema limits its values in the one way that a contract can hold."""
    choices = _choices(value)
    has_minimum = "minimum" in value
    has_exclusive_minimum = "exclusiveMinimum" in value
    if (has_minimum and has_exclusive_minimum) or "multipleOf" in value:
        return False
    if choices is not None:
        return "" not in choices and dtype != "bool" and _fits_float64(choices)
    if dtype in ("bool", "date", "datetime"):
        return True
    if dtype == "text":
        return value.get("minLength", 0) >= 1 and "pattern" not in value
    if value.get(UNBOUNDED):
        return dtype == "float"
    has_both = "maximum" in value and (has_minimum or has_exclusive_minimum)
    bounds = [value[key] for key in ("minimum", "exclusiveMinimum", "maximum") if key in value]
    return dtype != "category" and has_both and (dtype != "int" or _fits_float64(bounds))


def _fits_float64(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) or abs(value) <= MOST_INT for value in values)


def _shown(schema: dict[str, Any]) -> str:
    """A schema in a sentence: a list of 5,000 choices is cut."""
    text = str(schema)
    return text if len(text) <= 300 else text[:299] + "…"


def _choices(value: dict[str, Any]) -> tuple[Any, ...] | None:
    if "enum" in value:
        return tuple(value["enum"])
    return (value["const"],) if "const" in value else None


def _number(value: dict[str, Any], key: str) -> float | None:
    return float(value[key]) if value.get(key) is not None else None


def differences(server: tuple[Feature, ...], bundle: tuple[Feature, ...]) -> list[str]:
    """Why a bundle cannot stand behind a server's contract: one line a field, empty when it can."""
    ours = {feature.name: feature for feature in server}
    theirs = {feature.name: feature for feature in bundle}
    lines = [f"{name}: missing in the bundle" for name in ours if name not in theirs]
    lines += [
        f"{name}: the bundle wants it, the server does not take it"
        for name in theirs
        if name not in ours
    ]
    lines += [
        f"{name}: the server takes {ours[name].dtype} {ours[name].allowed}, "
        f"the bundle {theirs[name].dtype} {theirs[name].allowed}"
        for name in ours
        if name in theirs and not theirs[name].accepts_all_of(ours[name])
    ]
    if not lines and list(ours) != list(theirs):
        lines.append("the fields come in another order")
    return lines
