"""The elements of a JSON list one at a time, so that a large body can be read in short steps.

Python's own scanner is told to read one value at a time, and objects as tuples of their (name,
value) pairs: both happen in C. pydantic's parser is three times as fast, but knows the whole body
only.
"""

import gc
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic_core import from_json

from serve_app.errors import BodyTooLarge, HttpError, InvalidRows, MalformedJson

# One value is read in one go, so this bounds how long that takes.
MAX_ROW_KB = 64
MAX_ROW_CHARS = MAX_ROW_KB * 1024
# What stands last in a piece that was cut off there: `\ud83d\ude00` at most.
CUT_CHARS = 12
UNTERMINATED = "Unterminated string"
NOT_A_LIST = "The body is expected to be a list of rows."
_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_DECODER = json.JSONDecoder(object_pairs_hook=tuple)

T = TypeVar("T")


def elements(body: bytes, use: Callable[[Any], T]) -> Iterator[tuple[T, int]]:
    """What `use` makes of each element of a list, and how many characters were read until then.

    Raises InvalidRows, MalformedJson or BodyTooLarge, also after elements that were good.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise MalformedJson("The body is not valid JSON: it is not UTF-8.") from None
    position = _after_space(text, 0)
    if not text.startswith("[", position):
        raise InvalidRows(NOT_A_LIST)
    position = _after_space(text, position + 1)
    is_open = not text.startswith("]", position)
    while is_open:
        with collected_later():
            value, position = _element(text, position)
            used = use(value)
            del value
        yield used, position
        position = _after_space(text, position)
        is_open = text.startswith(",", position)
        if is_open:
            position = _after_space(text, position + 1)
    if not text.startswith("]", position):
        raise _malformed(text, position)
    position = _after_space(text, position + 1)
    if position < len(text):
        raise _malformed(text, position)


def pairs(body: bytes) -> Any:
    """JSON that was read before, with each object as a tuple of its (name, value) pairs.

    `tuple` keeps it in C: with a function of ours, half a million objects would hold up the server.
    """
    return json.loads(body, object_pairs_hook=tuple)


@contextmanager
def collected_later() -> Iterator[None]:
    """No garbage collection meanwhile.

    What is read from JSON has no cycles, and is gone when its last reader is. But 30,000 lists that
    are made at once set off collections of all objects of the process, of up to 40 ms.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def json_error(reason: str) -> HttpError:
    """What the client is told of a fault that pydantic's parser found.

    400 for what is no JSON; 422 for JSON that no field can hold: a number of 5,000 digits, or half
    of a surrogate pair (`hex escape`, says the parser).
    """
    if "number out of range" in reason or "hex escape" in reason:
        return InvalidRows("The body holds a number or a text that cannot be represented.")
    position = re.search(r"at line \d+ column \d+$", reason)
    where = f" {position.group()}" if position else ""
    return MalformedJson(f"The body is not valid JSON{where}.")


def _element(text: str, position: int) -> tuple[Any, int]:
    """The value that begins here, and where it ends."""
    piece = text[position : position + MAX_ROW_CHARS]
    try:
        value, n_read = _DECODER.raw_decode(piece)
    except json.JSONDecodeError as error:
        if position + len(piece) < len(text) and _is_cut(error, piece):
            raise BodyTooLarge(
                f"One entry of the list is expected to be at most {MAX_ROW_KB} KB."
            ) from None
        raise _malformed(text, position + error.pos) from None
    except RecursionError:
        raise MalformedJson("The body is not valid JSON: it is nested too deep.") from None
    except ValueError:
        raise json_error("number out of range") from None
    if _SURROGATE.search(piece, 0, n_read):
        _refuse_half_pairs(piece[:n_read])
    return value, position + n_read


def _is_cut(error: json.JSONDecodeError, piece: str) -> bool:
    """Whether a piece cannot be read because it ends too early."""
    return error.msg.startswith(UNTERMINATED) or error.pos >= len(piece) - CUT_CHARS


def _refuse_half_pairs(text: str) -> None:
    """Python's scanner takes half of a surrogate pair, pydantic's parser does not."""
    try:
        from_json(text)
    except ValueError as error:
        raise json_error(str(error)) from None


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None
    return found.end()


def _malformed(text: str, position: int) -> MalformedJson:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return MalformedJson(f"The body is not valid JSON at line {line} column {column}.")
