"""One field of a contract as bundles keep it, and whether a bundle takes all that a server takes."""

from functools import cached_property
from typing import Literal

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
        if (self.name, self.dtype) != (other.name, other.dtype) or (
            other.nullable and not self.nullable
        ):
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


def differences(server: tuple[Feature, ...], bundle: tuple[Feature, ...]) -> list[str]:
    """Why a bundle cannot stand behind a server's contract: one line a field, empty when it can."""
    ours, theirs = {f.name: f for f in server}, {f.name: f for f in bundle}
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
    if not lines and [f.name for f in server] != [f.name for f in bundle]:
        lines.append("the fields come in another order")
    return lines
