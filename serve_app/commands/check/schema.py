"""Strict reading with lenient pydantic models: Ray's drop an unknown key without a word."""

import difflib
import warnings
from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from serve_app.bundle.manifest import VERSION_PATTERN
from serve_app.commands.check.document import Fault, Place, kind_of
from serve_app.settings import PUBLIC_KEY_PATTERN

M = TypeVar("M", bound=BaseModel)
TRIPPED = "cannot be read"
PATTERNS = {
    VERSION_PATTERN: "a version such as 1.0.0",
    r"^[0-9a-f]{64}$": "64 hexadecimal digits",
    PUBLIC_KEY_PATTERN: "a public key as `sluice keygen` prints it",
}


class Part(NamedTuple):
    """A value that a model describes.

    `unchecked` means that it is annotated `Dict | Model`, so that pydantic takes it as it is.
    """

    place: Place
    model: type[BaseModel]
    value: Any
    unchecked: bool = False


def parts_of(part: Part) -> Iterator[Part]:
    """Yield the part itself and every part inside it, through optional values, lists and dicts."""
    yield part
    if not isinstance(part.value, dict):
        return
    for key, value in part.value.items():
        field = part.model.model_fields.get(key)
        if field is not None:
            yield from _within(field.annotation, value, (*part.place, key))


def _within(annotation: Any, value: Any, place: Place) -> Iterator[Part]:
    options = list(_options(annotation))
    for option in options:
        kind = get_origin(option)
        arguments = get_args(option)
        if _is_model(option) and (value is not None or type(None) not in options):
            unchecked = any(dict in (other, get_origin(other)) for other in options)
            yield from parts_of(Part(place, option, value, unchecked))
        elif kind is list and isinstance(value, list):
            for position, item in enumerate(value):
                yield from _within(arguments[0], item, (*place, position))
        elif kind is dict and arguments and isinstance(value, dict):
            for key, item in value.items():
                yield from _within(arguments[1], item, (*place, key))


def _options(annotation: Any) -> Iterator[Any]:
    """The members of a union, without what `Annotated` adds."""
    if get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _options(member)
    else:
        yield annotation


def _is_model(option: Any) -> bool:
    return get_origin(option) is None and isinstance(option, type) and issubclass(option, BaseModel)


def take_unknown(part: Part) -> list[Fault]:
    """Remove the keys that a part's model does not have, so that the rest can be checked."""
    if not isinstance(part.value, dict):
        return [Fault(part.place, f"found {kind_of(part.value)}, expected a mapping")]
    unknown = [key for key in part.value if key not in part.model.model_fields]
    for key in unknown:
        del part.value[key]
    return [
        Fault((*part.place, key), f"unknown key; {_hint(str(key), part.model)}") for key in unknown
    ]


def _hint(key: str, model: type[BaseModel]) -> str:
    homes = [
        name
        for name, field in model.model_fields.items()
        if any(key in inner.model_fields for inner in _models_in(field.annotation))
    ]
    if homes:
        return f"it belongs in {' or '.join(homes)}"
    close = difflib.get_close_matches(key, model.model_fields, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"expected one of: {', '.join(model.model_fields) or 'none'}"


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if _is_model(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def validated(model: type[M], value: Any, place: Place) -> tuple[M | None, list[Fault]]:
    """Make the model if the value can be one, and list what its validators say of it."""
    made: M | None = None
    faults: list[Fault] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            made = model.model_validate(value)
        except ValidationError as error:
            faults = _faults_of(error, value, place)
        except Exception as error:
            # Ray's validators trip over what they do not expect.
            faults = [Fault(place, f"{TRIPPED} ({type(error).__name__}: {error})")]
    for warning in caught:
        named, text = _named(value, str(warning.message))
        faults.append(Fault((*place, *named), text, "warning"))
    return made, faults


def read(model: type[M], value: Any, place: Place) -> tuple[M | None, list[Fault]]:
    """Make the model without its unknown keys, which leave `value`; list every fault."""
    unknown = [
        fault for part in list(parts_of(Part(place, model, value))) for fault in take_unknown(part)
    ]
    made, faults = validated(model, value, place)
    return made, without_echoes([*unknown, *faults])


def without_echoes(faults: list[Fault]) -> list[Fault]:
    """Keep the first fault of each place, and none that only follows from a fault inside it."""
    first: dict[Any, Fault] = {}
    for fault in faults:
        first.setdefault((fault.place, fault.severity), fault)
    return [
        fault
        for fault in first.values()
        if not any(_is_echo(fault, other) for other in first.values())
    ]


def _is_echo(fault: Fault, other: Fault) -> bool:
    is_inside = (
        len(other.place) > len(fault.place) and other.place[: len(fault.place)] == fault.place
    )
    return is_inside and (fault.text.startswith(TRIPPED) or fault.text.lstrip("`") == other.text)


def _faults_of(error: ValidationError, value: Any, place: Place) -> list[Fault]:
    texts: dict[Place, list[str]] = {}
    for fault in error.errors(include_url=False):
        keys, there = _inside(value, fault["loc"])
        named, text = _named(there, _text(fault))
        if fault["type"] == "missing":
            named = (fault["loc"][-1],)
        texts.setdefault((*place, *keys, *named), []).append(text)
    # A union says one line for each of its members.
    return [Fault(where, " or ".join(dict.fromkeys(lines))) for where, lines in texts.items()]


def _text(fault: Any) -> str:
    if fault["type"] == "missing":
        return "missing, and it is required"
    pattern = fault.get("ctx", {}).get("pattern")
    if pattern in PATTERNS:
        return f"expected {PATTERNS[pattern]}"
    text = fault["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    quotes = fault["type"] == "string_type" and kind_of(fault["input"]) in (
        "a number",
        "a date",
        "true or false",
    )
    return f"{text}: write it in quotes" if quotes else str(text)


def _inside(value: Any, loc: tuple[int | str, ...]) -> tuple[Place, Any]:
    """pydantic's location as a place in the file, and the value there.

    A location also has parts that are no keys of the file: names of union members, `[key]`.
    """
    place: Place = ()
    for part in loc:
        key = next((key for key in _keys(value) if str(key) == str(part)), None)
        if key is not None:
            place = (*place, key)
            value = value[key]
    return place, value


def _keys(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return range(len(value))
    return ()


def _named(value: Any, text: str) -> tuple[Place, str]:
    """The keys that a whole model's validator names in its text, and the rest of the text.

    Such a text begins with `limits.deadline_ms: …`.
    """
    text = text.lstrip("`")
    for key in value if isinstance(value, dict) else ():
        if text.startswith((f"{key} ", f"{key}` ")):
            return (key,), text
        if text.startswith((f"{key}.", f"{key}: ")):
            inner, rest = _named(value[key], text[len(str(key)) + 1 :].lstrip())
            return (key, *inner), rest
    return (), text
