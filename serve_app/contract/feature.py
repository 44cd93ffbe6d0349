"""One field of a contract, and whether a bundle takes all that a server takes."""

from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["binary_classifier", "regressor"]


class Feature(BaseModel):
    """The contract of one field, as it is kept in a bundle's manifest."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: str
    dtype: Literal["int", "float", "category"]
    description: str = ""
    unit: str | None = None
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    choices: tuple[int, ...] | tuple[str, ...] | None = None

    @cached_property
    def allowed(self) -> str:
        """What the field may hold, in words for people."""
        kind = {"int": "integer", "float": "number", "category": "text"}[self.dtype]
        if self.choices is not None:
            text = "one of " + ", ".join(str(choice) for choice in self.choices)
        elif self.exclusive_minimum is not None:
            text = f"{kind} > {self.exclusive_minimum:.12g} and <= {self.maximum:.12g}"
        else:
            text = f"{kind} from {self.minimum:.12g} to {self.maximum:.12g}"
        return text + (" or null" if self.nullable else "")

    def accepts(self, value: int | float | str | None) -> bool:
        """True when a row may hold this value here; `None` stands for missing."""
        if value is None:
            return self.nullable
        if self.dtype == "category" or isinstance(value, str):
            return isinstance(value, str) and value in (self.choices or ())
        if self.dtype == "int" and not isinstance(value, int):
            return False
        return value in self.choices if self.choices is not None else self._in_range(value)

    def accepts_all_of(self, other: "Feature") -> bool:
        """True when every value that `other` allows is allowed here too."""
        if (self.name, self.dtype) != (other.name, other.dtype):
            return False
        if other.nullable and not self.nullable:
            return False
        if self.choices is not None:
            return other.choices is not None and set(other.choices) <= set(self.choices)
        if other.choices is not None:
            return self.dtype == "category" or all(self._in_range(float(c)) for c in other.choices)
        return _lowest(self) <= _lowest(other) and _highest(other) <= _highest(self)

    def _in_range(self, value: float) -> bool:
        return _lowest(self) <= (value, 0) and value <= _highest(self)


def _lowest(feature: Feature) -> tuple[float, int]:
    """The lower bound as a sortable pair; an exclusive bound lies just above its number."""
    if feature.exclusive_minimum is not None:
        return (feature.exclusive_minimum, 1)
    return (float("-inf") if feature.minimum is None else feature.minimum, 0)


def _highest(feature: Feature) -> float:
    return float("inf") if feature.maximum is None else feature.maximum


DTYPES: dict[str, Literal["int", "float", "category"]] = {
    "integer": "int",
    "number": "float",
    "string": "category",
}


def feature_of(place: str, name: str, schema: dict[str, Any], *, is_required: bool) -> Feature:
    """One field of a contract from its JSON schema; `place` names it in errors.

    Raises TypeError for a field whose values are not bounded.
    """
    variants = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    value = {**schema, **(variants[0] if variants else {})}
    dtype = DTYPES.get(value.get("type", ""))
    if dtype is None or len(variants) != 1 or not is_required or not _is_bounded(value, dtype):
        raise TypeError(
            f"{place}: found {schema}; expected a required int or float with a lower and an upper "
            "bound, or text limited by Literal (not of the empty text, which stands for missing), "
            "each with `| None` where data may be missing; no multiple_of, and not both gt and ge"
        )
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
    )


def _is_bounded(value: dict[str, Any], dtype: str) -> bool:
    """Whether a schema limits its values in the one way that a contract can hold."""
    choices = _choices(value)
    has_minimum = "minimum" in value
    has_exclusive_minimum = "exclusiveMinimum" in value
    if (has_minimum and has_exclusive_minimum) or "multipleOf" in value:
        return False
    if choices is not None:
        return "" not in choices
    return dtype != "category" and "maximum" in value and (has_minimum or has_exclusive_minimum)


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
