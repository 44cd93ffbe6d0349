"""A JSON list read one element at a time: the same values as at once, and the same refusals."""

import gc
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from serve_app.contract.elements import MAX_ROW_CHARS, elements
from serve_app.errors import BodyTooLarge, HttpError, InvalidRows, MalformedJson

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


def plain(value: Any) -> Any:
    """With dictionaries in place of the tuples of pairs."""
    if isinstance(value, tuple):
        return {name: plain(inner) for name, inner in value}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def read(body: bytes) -> list[Any]:
    """All elements of a body."""
    return [value for value, _ in elements(body, plain)]


def test_no_garbage_is_collected_while_an_element_is_read() -> None:
    """A body of many small lists would set off collections of all objects of the process; after
    each element the collector is as it was.
    """
    assert gc.isenabled()
    found = [used for used, _ in elements(b"[1, 2]", lambda _: gc.isenabled())]
    assert found == [False, False]
    assert gc.isenabled()
    with pytest.raises(MalformedJson):
        read(b"[?]")
    assert gc.isenabled()
    gc.disable()
    try:
        read(b"[1]")
        assert not gc.isenabled()
    finally:
        gc.enable()


def refused(body: bytes) -> HttpError:
    """How a body is refused."""
    with pytest.raises(HttpError) as caught:
        read(body)
    return caught.value


@settings(max_examples=40)
@given(st.lists(values, max_size=6), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_every_list_is_read_as_pydantic_reads_it(
    given_values: list[Any], indent: Any, ascii_only: bool
) -> None:
    """Whatever it holds, and however it is written: spaces, line breaks, escapes, surrogates."""
    body = json.dumps(given_values, indent=indent, ensure_ascii=ascii_only)
    encoded = body.encode("utf-8", "surrogatepass")
    try:
        expected = from_json(encoded)
    except ValueError:
        assert refused(encoded)
        return
    assert read(encoded) == expected


@given(st.text(alphabet='[]{},:"\\u1d8ae0- \n', max_size=12))
def test_what_is_no_json_is_refused(text: str) -> None:
    """What pydantic's parser refuses is refused here too, and nothing else is raised."""
    body = f"[{text}]".encode()
    try:
        expected = from_json(body)
    except ValueError:
        assert refused(body).status in (400, 422)
        return
    assert read(body) == expected


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (b"", InvalidRows, "a list of rows"),
        (b"{}", InvalidRows, "a list of rows"),
        (b"[1,\n ?]", MalformedJson, "line 2 column 2"),
        (b"[1] x", MalformedJson, "line 1 column 5"),
        (b"[1,]", MalformedJson, "line 1 column 4"),
        (b"[1", MalformedJson, "line 1 column 3"),
        (b"[1}", MalformedJson, "line 1 column 3"),
        (b'["\xff"]', MalformedJson, "not UTF-8"),
        (b"[" * 60_000, MalformedJson, "nested too deep"),
        (b"[" + b"9" * 5_000 + b"]", InvalidRows, "cannot be represented"),
        (b'["\\ud800"]', InvalidRows, "cannot be represented"),
        (b'[1,"' + b"x" * 70_000 + b'"]', BodyTooLarge, "64 KB"),
        (b"[[" + b"0," * 70_000 + b"0]]", BodyTooLarge, "64 KB"),
        (b'[["' + b"\\u00e9" * 20_000 + b'"]]', BodyTooLarge, "64 KB"),
        (b"[" + b"[0," * 20 + b"?" + b" " * 70_000 + b"]", MalformedJson, "line 1 column 62"),
    ],
)
def test_a_list_that_cannot_be_used_is_told_why(
    body: bytes, kind: type[HttpError], told: str
) -> None:
    """Where it is no JSON the place is named, by line and column of the whole body."""
    error = refused(body)
    assert type(error) is kind
    assert told in error.detail


@pytest.mark.parametrize("size", [MAX_ROW_CHARS - 2, MAX_ROW_CHARS - 1])
def test_an_element_may_have_just_the_characters_of_a_row(size: int) -> None:
    """The bound is on one element, not on the list."""
    text = "é" * (size - 2)
    body = json.dumps([text, text, text], ensure_ascii=False).encode()
    assert read(body) == [text, text, text]
