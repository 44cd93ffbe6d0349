"""Reading bodies: what it costs, and what a quote in a text does to it."""

import json
from collections.abc import Callable
from typing import Any, Literal

import pytest
from fakes import PARAMETERS
from pydantic_core import from_json

from serve_app.contract import Features, ModelSpec
from serve_app.contract.rows import RowReader
from serve_app.errors import BodyTooLarge, HttpError, InvalidRows, TooManyRows
from serve_app.models import get_spec

CHURN = get_spec("churn")
ROW = CHURN.examples[0].row.model_dump()
READER = RowReader(CHURN)
MAX_ROWS = 100
NESTED = b"[" * 12 + b"]" * 12


def one(body: bytes) -> Any:
    """What the route of a single row does."""
    return READER.one(body)


def many(body: bytes) -> Any:
    """What the route of a batch does."""
    return READER.many(body, MAX_ROWS)


def raised(read: Callable[[bytes], Any], body: bytes) -> HttpError | None:
    """The error of reading a body, if there is one."""
    try:
        read(body)
    except HttpError as error:
        return error
    return None


def error_of(read: Callable[[bytes], Any], body: bytes) -> Any:
    """The error of a body, or that of its last row where the body itself can be read."""
    try:
        (*_, last) = read(body)
    except HttpError as error:
        return error
    return last


A_ROW = json.dumps(ROW).encode()
DOUBLED = A_ROW[:-1] + b',"nps_score":3}'
# How a body is read, the body, and how it is refused: the error, and what it names.
HOSTILE = {
    "60 KB of nested lists for one row": (
        one,
        b'{"nps_score":[' + b",".join([NESTED] * 2_550) + b"]}",
        InvalidRows,
        "nps_score",
    ),
    "7,000 unknown fields of one row": (
        one,
        b"{" + b",".join(b'"%d":1' % i for i in range(7_000)) + b"}",
        InvalidRows,
        "7000 fields",
    ),
    "60 KB of nested lists in a row of a batch": (
        many,
        b"[" + A_ROW + b',{"nps_score":[' + b",".join([NESTED] * 2_550) + b"]}]",
        InvalidRows,
        "nps_score",
    ),
    "100 KB of nested lists in a row of a batch": (
        many,
        b'[{"nps_score":[' + b",".join([NESTED] * 4_000) + b"]}]",
        BodyTooLarge,
        "64 KB",
    ),
    "1 MB of nested lists and a lone surrogate": (
        many,
        b"[" + b",".join([NESTED] * 41_000) + b',"\\ud800"]',
        TooManyRows,
        "at most 100",
    ),
    "1 MB of nested lists next to a row with a field that stands twice": (
        many,
        b"[" + DOUBLED + b',{"nps_score":[' + b",".join([NESTED] * 40_000) + b"]}]",
        BodyTooLarge,
        "64 KB",
    ),
    "half a million bad rows": (
        many,
        b"[" + b"0," * 500_000 + b"0]",
        TooManyRows,
        "Found more than 100",
    ),
    "100,000 unknown fields": (
        many,
        b"[{" + b",".join(b'"%d":1' % i for i in range(100_000)) + b"}]",
        BodyTooLarge,
        "64 KB",
    ),
    "700 KB of rows that are all wrong": (
        many,
        b"[" + b",".join([b'{"nps_score":"' + b"x" * 7_000 + b'"}'] * 100) + b"]",
        InvalidRows,
        "nps_score",
    ),
}


@pytest.mark.parametrize(("read", "body", "refused", "named"), HOSTILE.values(), ids=HOSTILE)
def test_no_parser_is_given_more_of_a_hostile_body_than_one_row_may_have(
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[bytes], Any],
    body: bytes,
    refused: type[HttpError],
    named: str,
) -> None:
    """Whatever a parser is given it reads in one go, and nobody else is answered meanwhile. The
    client is still told what is wrong.
    """
    sizes: list[int] = []
    raw_decode = json.JSONDecoder.raw_decode

    def noted_decode(self: json.JSONDecoder, text: str, idx: int = 0) -> Any:
        sizes.append(len(text))
        return raw_decode(self, text, idx)

    def noted_json(data: bytes) -> Any:
        sizes.append(len(data))
        return from_json(data)

    monkeypatch.setattr(json.JSONDecoder, "raw_decode", noted_decode)
    monkeypatch.setattr("serve_app.contract.rows.from_json", noted_json)
    error = error_of(read, body)
    assert isinstance(error, refused)
    fields = [fault.field for fault in getattr(error, "errors", ())]
    assert named in error.detail or named in fields
    assert sizes
    assert max(sizes) <= 64 * 1024


def test_a_step_tells_of_one_bad_row_at_most_or_reads_some_kilobytes_of_good_ones() -> None:
    """Between two steps others are answered; to describe a bad row takes longest of all."""
    rows = [A_ROW] * 40 + [DOUBLED, b"{}", b"3"] + [A_ROW] * 300
    steps = list(READER.in_steps(b"[" + b",".join(rows) + b"]", max_rows=len(rows)))
    assert sum(len(step) for step in steps) == len(rows)
    assert max(sum(isinstance(row, InvalidRows) for row in step) for step in steps) == 1
    assert 10 < max(len(step) for step in steps) < 100


def test_the_names_of_all_fields_are_listed_a_few_times_and_not_for_each_of_2_000_faults() -> None:
    """An answer would have megabytes; what stands in place of the names says where they are."""
    made_up = {f"made_up_{i}": 1 for i in range(20)}
    rows = many(json.dumps([ROW | made_up] * 100).encode())
    allowed = [fault.allowed for row in rows for fault in row.errors]
    assert len(allowed) == 2_000
    assert [name for name in ROW if name not in allowed[0]] == []
    assert allowed.count(allowed[0]) == 20
    assert allowed[-1] == "a field of this model, as GET /v1/model lists them"
    assert sum(len(text) for text in allowed) < 200_000


def test_a_body_is_read_alike_at_once_and_in_steps() -> None:
    """The second reader is for large bodies and faults; a good row is the same from both."""
    body = b"[" + b",".join([A_ROW] * 30) + b"]"
    at_once = READER.good_rows(body, MAX_ROWS)
    assert at_once == [row for step in READER.in_steps(body, MAX_ROWS) for row in step]
    assert READER.good_rows(body + b" " * 65_536, MAX_ROWS) is None
    assert READER.many(body + b" " * 65_536, MAX_ROWS) == at_once


Quoted = Literal['say "no"', "yes", 'a"b"c"']


class QuotedFeatures(Features):
    """A contract whose texts hold quotes, and one of which may be missing."""

    word: Quoted
    other: Quoted | None


QUOTED = ModelSpec(
    name="quoted",
    title="Quoted",
    kind=CHURN.kind,
    target=CHURN.target,
    features=QuotedFeatures,
    prediction=CHURN.prediction,
    answer=CHURN.answer,
    examples=(),
)


@pytest.mark.parametrize("word", ['say "no"', "yes", 'a"b"c"'])
@pytest.mark.parametrize("other", ['say "no"', "yes", None])
def test_quotes_in_a_text_and_texts_that_are_missing_are_no_field_twice(
    word: str, other: str | None
) -> None:
    """Fields are counted by quotes first; that must cost no honest row its answer."""
    reader = RowReader(QUOTED)
    row = json.dumps({"word": word, "other": other})
    expected = QuotedFeatures(word=word, other=other)  # type: ignore[arg-type]
    assert reader.one(row.encode()) == expected
    assert reader.many(f"[{row},{row}]".encode(), MAX_ROWS) == [expected, expected]


@pytest.mark.parametrize("word", ['say "no"', "yes", 'a"b"c"'])
@pytest.mark.parametrize("other", ['say "no"', "yes", None])
def test_a_field_twice_is_found_beside_quotes_and_missing_texts(
    word: str, other: str | None
) -> None:
    """No other value of the row makes up for the quotes of the second one."""
    reader = RowReader(QUOTED)
    row = json.dumps({"word": word, "other": other})
    twice = row[:-1] + ',"other":null}'
    error = raised(reader.one, twice.encode())
    assert isinstance(error, InvalidRows)
    assert [fault.field for fault in error.errors] == ["other"]
    good, bad = reader.many(f"[{row},{twice}]".encode(), MAX_ROWS)
    assert isinstance(good, QuotedFeatures)
    assert isinstance(bad, InvalidRows)
    assert bad.errors == error.errors


def test_every_field_that_stands_twice_is_named_once() -> None:
    """The name is listed once, however often the field stands there."""
    name, other = list(ROW)[:2]
    extra = ",".join(f'"{key}":{json.dumps(ROW[key])}' for key in (name, other, name, other, name))
    error = raised(one, A_ROW[:-1] + b"," + extra.encode() + b"}")
    assert isinstance(error, InvalidRows)
    assert [fault.field for fault in error.errors] == [name, other]
    assert "2 of the fields" in error.detail


def test_the_model_of_these_tests_answers() -> None:
    """The made-up contract is one that could be served."""
    assert CHURN.answer(0.3, PARAMETERS)
    assert [feature.nullable for feature in QUOTED.contract] == [False, True]
