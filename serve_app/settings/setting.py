"""The base of all settings, and how a fault of one is told: its place, and what was expected."""

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from serve_app.errors import SettingsError

# How many characters of a key a sentence shows.
MOST_SHOWN = 60


class Setting(BaseModel):
    """Base of all settings: strict, so that a typing error is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


S = TypeVar("S", bound=Setting)


def parse_settings(kind: type[S], values: Mapping[str, Any] | None, place: str) -> S:
    """Settings from YAML.

    Raises SettingsError with one line for each fault: place, and what was expected.
    """
    found: Any = {} if values is None else values
    try:
        return kind.model_validate(dict(found) if isinstance(found, Mapping) else found)
    except ValidationError as error:
        raise SettingsError("\n".join(fault_lines(error, kind, place))) from None


def fault_lines(error: ValidationError, kind: type[BaseModel], place: str) -> list[str]:
    """One line a fault, naming the key and its place."""
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        where = ".".join([place, *(_shown(part) for part in fault["loc"] if part != "[key]")])
        if fault["type"] == "extra_forbidden":
            known = ", ".join(_keys_at(kind, fault["loc"][:-1])) or "none"
            lines.append(f"{where}: unknown key; expected one of: {known}")
        else:
            lines.append(f"{where}: {fault['msg'].removeprefix('Value error, ')}")
    return lines


def _shown(key: int | str) -> str:
    """A key as it can be shown at a terminal: a file may hold escapes for keys, or a page."""
    text = str(key)
    if len(text) > MOST_SHOWN:
        text = text[: MOST_SHOWN - 1] + "…"
    return text if text.isprintable() else ascii(text)


def _keys_at(kind: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys that a nested setting has."""
    for part in path:
        field = kind.model_fields.get(str(part))
        # A part without a field is a key of a dictionary, such as a version: its settings were
        # found a part before.
        if field is not None:
            kind = _setting_in(field.annotation) or kind
    return list(kind.model_fields)


def _setting_in(annotation: Any) -> type[BaseModel] | None:
    """The setting that a field holds, by itself, or as an optional one, or as the values of a
    dictionary.
    """
    for option in (annotation, *get_args(annotation)):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None
