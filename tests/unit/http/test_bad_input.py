"""What clients send by mistake or on purpose.

Each gets its 4xx, no value comes back, and the next request is answered.

Faults inside a row are sent alone and inside a batch; faults of the whole body to both routes.
"""

import gzip
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from every_kind import CLASSIFIER
from fakes import Api, assert_problem, example_rows

from serve_app.contract import Feature, ModelSpec
from serve_app.errors import UnknownVersion
from serve_app.models import MODELS, get_spec

SENTINEL = "tell-tale-4829"  # stands in what is sent, and must stand in no answer
DIGITS = "48291" * 4
SINGLE, BATCH = "/v1/predict", "/v1/predict/batch"
PATHS = pytest.mark.parametrize("path", [SINGLE, BATCH])
JSON = {"content-type": "application/json"}
MB = 1024 * 1024


def encoded(row: Mapping[str, Any], **raw: str) -> str:
    """A row as JSON text in which some fields hold this text as it is, valid JSON or not."""
    return (
        "{"
        + ",".join(f'"{name}":{raw.get(name, json.dumps(value))}' for name, value in row.items())
        + "}"
    )


def field_of(spec: ModelSpec, *dtypes: str, choices: bool = False) -> Feature | None:
    """The first field of the contract of one of these kinds."""
    return next(
        (f for f in spec.contract if f.dtype in dtypes and bool(f.choices) == choices), None
    )


@dataclass(frozen=True)
class BadValue:
    """A value that no row may hold, for the first field of the kind that it is wrong for."""

    name: str
    raw: str
    dtypes: tuple[str, ...]
    reasons: tuple[str, ...]
    choices: bool = False
    hidden: str = ""


NUMBER, OUT = ("float",), ("is out of range",)
BAD_VALUES = (
    BadValue("NaN", "NaN", NUMBER, ("is not a finite number",)),
    BadValue("Infinity", "Infinity", NUMBER, ("is not a finite number",)),
    BadValue("minus Infinity", "-Infinity", NUMBER, ("is not a finite number",)),
    BadValue("NaN for an integer", "NaN", ("int",), ("is not an integer",)),
    BadValue("1e999", "1e999", NUMBER, ("is not a finite number",)),
    BadValue("1e999 for an integer", "1e999", ("int",), ("is not an integer",)),
    BadValue("huge exponent", f"1e{DIGITS}", NUMBER, ("is not a finite number",), hidden=DIGITS),
    BadValue(
        "huge exponent for an integer",
        f"1e{DIGITS}",
        ("int",),
        ("is not an integer",),
        hidden=DIGITS,
    ),
    BadValue("true for an integer", "true", ("int",), ("is not an integer",)),
    BadValue("true for a choice", "true", ("int",), ("is not an integer",), choices=True),
    BadValue("1.0 for a choice", "1.0", ("int",), ("is not an integer",), choices=True),
    BadValue(
        "5 for a choice of 1, 6, 12",
        "482915",
        ("int",),
        ("is not one of the allowed values",),
        True,
        "482915",
    ),
    BadValue("true for a number", "true", NUMBER, ("is not a number",)),
    BadValue("text for an integer", '"3"', ("int",), ("is not an integer",)),
    BadValue("text for a number", f'"{SENTINEL}"', NUMBER, ("is not a number",), hidden=SENTINEL),
    BadValue("1.5 for an integer", "1.5482915", ("int",), ("is not an integer",), hidden="482915"),
    BadValue("1.0 for an integer", "1.0", ("int",), ("is not an integer",)),
    BadValue("too large", "482915482", ("int",), OUT, hidden="482915482"),
    BadValue("too small", "-482915482.5", NUMBER, OUT, hidden="482915482"),
    BadValue("integer of 4,000 digits", "48291" * 800, ("int",), OUT, hidden=DIGITS),
    BadValue(
        "number of 4,000 digits",
        "48291" * 800,
        NUMBER,
        ("is not a finite number", "is not a number"),
        hidden=DIGITS,
    ),
    BadValue("null", "null", ("int",), ("is not an integer",)),
    BadValue("null for a number", "null", NUMBER, ("is not a number",)),
    BadValue(
        "list for an integer", f'["{SENTINEL}"]', ("int",), ("is not an integer",), hidden=SENTINEL
    ),
    BadValue(
        "object for a number",
        f'{{"a":"{SENTINEL}"}}',
        NUMBER,
        ("is not a number",),
        hidden=SENTINEL,
    ),
    BadValue(
        "another category",
        f'"{SENTINEL}"',
        ("category",),
        ("is not one of the allowed values",),
        True,
        SENTINEL,
    ),
    BadValue("empty category", '""', ("category",), ("is not one of the allowed values",), True),
    BadValue(
        "number for a category",
        "482915",
        ("category",),
        ("is not one of the allowed values",),
        True,
        "482915",
    ),
    BadValue(
        "null for a category", "null", ("category",), ("is not one of the allowed values",), True
    ),
)


BOOL, DATE, DATETIME, TEXT = ("bool",), ("date",), ("datetime",), ("text",)
NOT_TRUE, NOT_ISO = ("is not true or false",), ("is not an ISO date of this form",)
# Of types of fields that no registered model has.
MORE_BAD_VALUES = (
    BadValue("1 for a truth value", "1", BOOL, NOT_TRUE),
    BadValue("1.0 for a truth value", "1.0", BOOL, NOT_TRUE),
    BadValue("text for a truth value", f'"{SENTINEL}"', BOOL, NOT_TRUE, hidden=SENTINEL),
    BadValue("true in quotes", '"true"', BOOL, NOT_TRUE),
    BadValue("null for a truth value", "null", BOOL, NOT_TRUE),
    BadValue("text for a date", f'"{SENTINEL}"', DATE, NOT_ISO, hidden=SENTINEL),
    BadValue("a day that is none", '"2026-02-30"', DATE, NOT_ISO, hidden="2026-02-30"),
    BadValue("a date without dashes", '"20261128"', DATE, NOT_ISO, hidden="20261128"),
    BadValue("a day of a week", '"2026-W48-6"', DATE, NOT_ISO, hidden="W48"),
    BadValue("a date with a time", '"2026-11-28T00:00:00"', DATE, NOT_ISO),
    BadValue("a German date", '"28.11.2026"', DATE, NOT_ISO, hidden="28.11.2026"),
    BadValue("a date before pandas", '"1600-01-01"', DATE, NOT_ISO, hidden="1600-01-01"),
    BadValue("seconds since 1970", "1764354600", DATE, NOT_ISO, hidden="1764354600"),
    BadValue("empty date", '""', DATE, NOT_ISO),
    BadValue("true for a date", "true", DATE, NOT_ISO),
    BadValue("a time with a zone", '"2026-11-28T18:30:00Z"', DATETIME, NOT_ISO),
    BadValue("a time with an offset", '"2026-11-28T18:30:00+01:00"', DATETIME, NOT_ISO),
    BadValue("a date for a time", '"1993-07-19"', DATETIME, NOT_ISO, hidden="1993-07-19"),
    BadValue("a time without colons", '"2026-11-28T183000"', DATETIME, NOT_ISO, hidden="1830"),
    BadValue("hour 25", '"2026-11-28T25:00:00"', DATETIME, NOT_ISO, hidden="T25"),
    BadValue("null for a time", "null", DATETIME, NOT_ISO),
    BadValue("list for a time", f'["{SENTINEL}"]', DATETIME, NOT_ISO, hidden=SENTINEL),
    BadValue("number for a text", "482915", TEXT, ("is not text",), hidden="482915"),
    BadValue("null for a text", "null", TEXT, ("is not text",)),
    BadValue("empty text", '""', TEXT, ("is empty; send null where it is missing",)),
    BadValue("too long a text", f'"{SENTINEL * 4}"', TEXT, ("is too long",), hidden=SENTINEL),
)

CASES = [
    pytest.param(spec, feature, bad, id=f"{spec.name}: {bad.name}")
    for spec, bad_values in (
        *((get_spec(name), BAD_VALUES) for name in MODELS),
        (CLASSIFIER, MORE_BAD_VALUES),
    )
    for bad in bad_values
    if (feature := field_of(spec, *bad.dtypes, choices=bad.choices))
]


def test_every_bad_value_is_tried_on_some_model() -> None:
    """No line of the table is idle."""
    assert {case.values[2].name for case in CASES} == {
        bad.name for bad in (*BAD_VALUES, *MORE_BAD_VALUES)
    }


@pytest.mark.parametrize(("spec", "feature", "bad"), CASES)
async def test_a_bad_value_is_a_422_that_names_the_field_and_what_is_allowed(
    api: Api, feature: Feature, bad: BadValue
) -> None:
    """A problem alone, an entry in a batch: field, reason and allowed values, never the value."""
    good = example_rows(api.spec)[0]
    row = encoded(good, **{feature.name: bad.raw})
    response = await api.post(SINGLE, row.encode())
    (fault,) = assert_problem(response, 422, "invalid_rows")["errors"]
    api.assert_documented(SINGLE, response)
    many = await api.post(BATCH, f"[{encoded(good)},{row}]".encode())
    assert many.status_code == 200
    assert [entry["status"] for entry in many.json()["predictions"]] == ["success", "error"]
    (same,) = many.json()["predictions"][1]["error"]["errors"]
    for found in (fault, same):
        assert found["field"] == feature.name
        assert found["reason"] in bad.reasons
        assert found["allowed"] == feature.allowed
    if bad.hidden:
        assert bad.hidden not in response.text + many.text
    await assert_still_answering(api)


UNKNOWN_FIELDS = {
    "plain": "favourite_colour",
    "long": SENTINEL.replace("-", "_") * 500,
    "html": f"<img src=x onerror=alert('{SENTINEL}')>",
    "control characters": f"{SENTINEL}\u0000\u001b[31m\r\nX-Injected: 1",
    "line separators": f"{SENTINEL}\u2028\u202e",
    "an address": f"{SENTINEL}@example.com",
    "empty": "",
    "digits": "482915482",
    "nearly a field": " nps_score",
}


@pytest.mark.parametrize("name", UNKNOWN_FIELDS.values(), ids=UNKNOWN_FIELDS)
async def test_an_unknown_field_is_refused_and_a_hostile_name_is_not_repeated(
    api: Api, name: str
) -> None:
    """A plain name is shown, to find a typing error by; any other may carry data, and is not."""
    row = example_rows(api.spec)[0] | {name: SENTINEL}
    response = await api.post(SINGLE, row)
    (fault,) = assert_problem(response, 422, "invalid_rows")["errors"]
    many = await api.post(BATCH, [row])
    (same,) = many.json()["predictions"][0]["error"]["errors"]
    for found in (fault, same):
        assert found["reason"] == "is not a field of this model"
        assert found["field"] == ("favourite_colour" if name == "favourite_colour" else "")
        assert all(feature.name in found["allowed"] for feature in api.spec.contract)
    assert SENTINEL not in response.text + many.text
    assert SENTINEL.replace("-", "_") not in response.text + many.text
    assert "482915482" not in response.text + many.text
    await assert_still_answering(api)


async def test_every_missing_field_is_named(api: Api) -> None:
    """An empty object lists all fields at once, so that a client need not find them one by one."""
    response = await api.post(SINGLE, {})
    faults = assert_problem(response, 422, "invalid_rows")["errors"]
    assert [(fault["field"], fault["reason"]) for fault in faults] == [
        (feature.name, "is missing") for feature in api.spec.contract
    ]


async def test_one_missing_field_is_named_alone(api: Api) -> None:
    """Only what is wrong is listed."""
    row = example_rows(api.spec)[0]
    last = list(row)[-1]
    del row[last]
    (fault,) = assert_problem(await api.post(SINGLE, row), 422, "invalid_rows")["errors"]
    assert (fault["field"], fault["reason"]) == (last, "is missing")


async def test_a_thousand_unknown_fields_give_a_short_answer(churn_api: Api) -> None:
    """Many faults make no long answer: 20 are listed, and the text says how many there were."""
    row = example_rows(churn_api.spec)[0] | {f"made_up_{i}": 1 for i in range(1_000)}
    response = await churn_api.post(SINGLE, row)
    body = assert_problem(response, 422, "invalid_rows")
    assert len(body["errors"]) == 20
    assert "1000" in body["detail"]
    assert len(response.content) < 10_000


@dataclass(frozen=True)
class BadBody:
    """A body that is wrong as a whole, and what both routes say to it. `{row}` is a valid row."""

    name: str
    body: bytes
    status: int
    code: str
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    paths: tuple[str, ...] = (SINGLE, BATCH)


MALFORMED = (400, "malformed_json")
INVALID = (422, "invalid_rows")
MEDIA = (415, "unsupported_media_type")
LARGE = (413, "body_too_large")
BAD_BODIES = (
    BadBody("empty", b"", *MALFORMED),
    BadBody("white space", b" \n\t ", *MALFORMED),
    BadBody("truncated", b'{"nps_score": 4829154', *MALFORMED),
    BadBody("truncated text", b'{"nps_score": "tell-tale-4829', *MALFORMED),
    BadBody("trailing garbage", b"{row} tell-tale-4829", *MALFORMED),
    BadBody("two documents", b"{row}{row}", *MALFORMED),
    BadBody("trailing comma", b"[{row},]", *MALFORMED),
    BadBody("single quotes", b"{'tell-tale-4829': 1}", *MALFORMED),
    BadBody("a comment", b"{row} // tell-tale-4829", *MALFORMED),
    BadBody("form", b"nps_score=tell-tale-4829", *MALFORMED),
    BadBody("bad UTF-8", b'{"tell-tale-4829": "\xff\xfe"}', *MALFORMED),
    BadBody("overlong UTF-8", b'{"tell-tale-4829": "\xc0\xaf"}', *MALFORMED),
    BadBody("UTF-8 encoded surrogate", b'{"tell-tale-4829": "\xed\xa0\x80"}', *MALFORMED),
    BadBody("byte order mark", b"\xef\xbb\xbf{row}", *MALFORMED),
    BadBody("UTF-16", '{"tell-tale-4829": 1}'.encode("utf-16"), *MALFORMED),
    BadBody("a zero byte", b'{"tell-tale-4829": "\x00"}', *MALFORMED),
    BadBody("broken escape", b'{"tell-tale-4829": "\\x41"}', *MALFORMED),
    BadBody("half an escape", b'{"tell-tale-4829": "\\ud8', *MALFORMED),
    BadBody("deep nesting of lists", b"[" * 50_000, *MALFORMED),
    BadBody("deep nesting of objects", b'{"a":' * 10_000, *MALFORMED),
    BadBody("deep and balanced", b"[" * 5_000 + b"]" * 5_000, *MALFORMED),
    BadBody("lone surrogate escape", b'[{"tell-tale-4829": "\\ud800"}]', *INVALID),
    BadBody("lone low surrogate escape", b'[{"tell-tale-4829": "\\udc00"}]', *INVALID),
    BadBody("two leading surrogates", b'[{"tell-tale-4829": "\\ud800\\ud800"}]', *INVALID),
    BadBody("surrogate and text", b'[{"tell-tale-4829": "\\ud800tell-tale"}]', *INVALID),
    BadBody("broken escape of a code", b'[{"tell-tale-4829": "\\ud8zz"}]', *MALFORMED),
    BadBody("integer of 10,000 digits", b'[{"tell-tale": ' + b"48291" * 2_000 + b"}]", *INVALID),
    BadBody("null", b"null", *INVALID),
    BadBody("a number", b"482915482", *INVALID),
    BadBody("text", b'"tell-tale-4829"', *INVALID),
    BadBody("true", b"true", *INVALID),
    BadBody("empty list", b"[]", *INVALID),
    BadBody("list for a single row", b"[{row}]", *INVALID, paths=(SINGLE,)),
    BadBody("object for a batch", b"{row}", *INVALID, paths=(BATCH,)),
    BadBody("rows under a key", b'{"rows": [{row}]}', *INVALID),
    BadBody(
        "too many rows", b"[" + b"{row}," * 100 + b"{row}]", 400, "too_many_rows", paths=(BATCH,)
    ),
    BadBody("too many bad rows", b"[" + b"0," * 100 + b"0]", 400, "too_many_rows", paths=(BATCH,)),
    BadBody(
        "half a million bad rows",
        b"[" + b"0," * 500_000 + b"0]",
        400,
        "too_many_rows",
        paths=(BATCH,),
    ),
    BadBody("10 MB", b"[" + b"{row}," * 50_000 + b"{row}]", *LARGE),
    BadBody("one byte over 1 MB", b" " * (MB + 1), *LARGE),
    BadBody("no content type", b"{row}", *MEDIA, headers={}),
    BadBody("text/plain", b"{row}", *MEDIA, headers={"content-type": "text/plain"}),
    BadBody(
        "a form", b"{row}", *MEDIA, headers={"content-type": "application/x-www-form-urlencoded"}
    ),
    BadBody("nearly JSON", b"{row}", *MEDIA, headers={"content-type": "application/jsonp"}),
    BadBody("empty content type", b"{row}", *MEDIA, headers={"content-type": ""}),
    BadBody(
        "latin-1", b"{row}", *MEDIA, headers={"content-type": "application/json; charset=latin-1"}
    ),
    BadBody("gzip", gzip.compress(b"{}"), *MEDIA, headers=JSON | {"content-encoding": "gzip"}),
    BadBody("said to be gzip", b"{row}", *MEDIA, headers=JSON | {"content-encoding": "gzip"}),
    BadBody("brotli in capitals", b"{row}", *MEDIA, headers=JSON | {"content-encoding": "BR"}),
    BadBody(
        "packed twice", b"{row}", *MEDIA, headers=JSON | {"content-encoding": "identity, gzip"}
    ),
    BadBody(
        "utf-8 in name alone",
        b"{row}",
        *MEDIA,
        headers={"content-type": "application/json; charset=not-utf-8"},
    ),
    BadBody("10 MB of text/plain", b" " * 10 * MB, *MEDIA, headers={"content-type": "text/plain"}),
    BadBody("negative length", b"{row}", *LARGE, headers=JSON | {"content-length": "-5"}),
    BadBody(
        "length that is no number",
        b"{row}",
        *LARGE,
        headers=JSON | {"content-length": "tell-tale-4829"},
    ),
    BadBody(
        "length of 5,000 digits", b"{row}", *LARGE, headers=JSON | {"content-length": "9" * 5_000}
    ),
    BadBody(
        "length that promises 10 MB",
        b"{row}",
        *LARGE,
        headers=JSON | {"content-length": str(10 * MB)},
    ),
    BadBody(
        "empty routing key",
        b"{row}",
        400,
        "bad_header",
        headers=JSON | {"x-routing-key": ""},
        paths=(SINGLE,),
    ),
    BadBody(
        "long routing key",
        b"{row}",
        400,
        "bad_header",
        headers=JSON | {"x-routing-key": SENTINEL * 20},
        paths=(SINGLE,),
    ),
    BadBody(
        "long routing key of a batch",
        b"[{row}]",
        400,
        "bad_header",
        JSON | {"x-routing-key": SENTINEL * 20},
        (BATCH,),
    ),
)


@pytest.mark.parametrize("bad", BAD_BODIES, ids=lambda bad: bad.name)
async def test_a_bad_body_is_a_problem_that_repeats_nothing(api: Api, bad: BadBody) -> None:
    """Status and code are the table's, on each of its routes, with nothing of what was sent."""
    row = json.dumps(example_rows(api.spec)[0]).encode()
    for path in bad.paths:
        response = await api.send(path, bad.body.replace(b"{row}", row), bad.headers)
        assert_problem(response, bad.status, bad.code)
        api.assert_documented(path, response)
        for part in (SENTINEL, SENTINEL[:9], DIGITS[:9], "482915482"):
            assert part not in response.text
        assert len(response.content) < 10_000
    assert api.backend.asked == []
    await assert_still_answering(api)


async def in_chunks(n_bytes: int, sent: list[int]) -> AsyncIterator[bytes]:
    """White space without end, as chunked transfer sends it."""
    for _ in range(n_bytes // 65_536):
        sent.append(65_536)
        yield b" " * 65_536


@PATHS
async def test_a_chunked_body_is_cut_off_at_the_limit(churn_api: Api, path: str) -> None:
    """Without a length the bytes are counted as they come, and the rest of 10 MB is not read."""
    sent: list[int] = []
    response = await churn_api.send(path, in_chunks(10 * MB, sent), JSON)
    assert "content-length" not in response.request.headers
    assert_problem(response, 413, "body_too_large")
    assert sum(sent) < 2 * MB
    await assert_still_answering(churn_api)


@PATHS
async def test_a_declared_10_mb_is_refused_before_a_byte_is_read(churn_api: Api, path: str) -> None:
    """The declared length alone is enough."""
    sent: list[int] = []
    response = await churn_api.send(
        path, in_chunks(10 * MB, sent), JSON | {"content-length": str(10 * MB)}
    )
    assert_problem(response, 413, "body_too_large")
    assert sum(sent) <= 65_536


async def test_a_body_that_lies_about_its_length_is_cut_off_all_the_same(churn_api: Api) -> None:
    """A small declared length does not open the door for a large body."""
    sent: list[int] = []
    response = await churn_api.send(
        SINGLE, in_chunks(10 * MB, sent), JSON | {"content-length": "10"}
    )
    assert_problem(response, 413, "body_too_large")
    assert sum(sent) < 2 * MB


async def test_a_body_of_just_the_limit_is_read(churn_api: Api) -> None:
    """Exactly 1 MB passes for a list, 64 KB for one row, and not a byte more."""
    row = json.dumps(example_rows(churn_api.spec)[0]).encode()
    for route, body, limit in ((BATCH, b"[" + row + b"]", MB), (SINGLE, row, 64 * 1024)):
        padded = body + b" " * (limit - len(body))
        assert (await churn_api.post(route, padded)).status_code == 200
        assert (await churn_api.post(route, padded + b" ")).status_code == 413


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json; charset=utf8",
        'application/json; profile=x; Charset = "UTF8"',
        " application/json ",
        "application/json; profile=x",
    ],
)
async def test_json_is_taken_however_it_is_declared(churn_api: Api, content_type: str) -> None:
    """Upper case, quotes and parameters are all legal in a content type."""
    content = json.dumps(example_rows(churn_api.spec)[0]).encode()
    response = await churn_api.send(SINGLE, content, {"content-type": content_type})
    assert response.status_code == 200


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
async def test_a_body_that_says_it_is_not_compressed_is_taken(
    churn_api: Api, encoding: str
) -> None:
    """`identity` is the word for it (RFC 9110, 8.4.1)."""
    content = json.dumps(example_rows(churn_api.spec)[0]).encode()
    headers = JSON | {"content-encoding": encoding}
    assert (await churn_api.send(SINGLE, content, headers)).status_code == 200


async def test_a_compressed_body_is_told_what_to_do(churn_api: Api) -> None:
    """The text says that the encoding is the fault, and how to send it."""
    headers = JSON | {"content-encoding": "gzip"}
    body = assert_problem(
        await churn_api.send(SINGLE, gzip.compress(b"{}"), headers), 415, "unsupported_media_type"
    )
    assert "Content-Encoding" in body["detail"]
    assert "send the JSON as it is" in body["detail"]


async def test_the_whole_range_of_a_field_is_accepted(api: Api) -> None:
    """What `allowed` promises is taken: both ends of every number, and every choice."""
    rows = []
    for feature in api.spec.contract:
        base = example_rows(api.spec)[0]
        ends = feature.choices or [feature.minimum, feature.maximum]
        cast = {"int": int, "float": float, "category": str}[feature.dtype]
        rows += [base | {feature.name: cast(end)} for end in ends if end is not None]
    for row in rows:
        assert (await api.post(SINGLE, row)).status_code == 200
    assert (await api.post(BATCH, rows)).json()["failed"] == 0


async def test_just_outside_the_range_is_refused(api: Api) -> None:
    """The bounds are where the contract says they are."""
    for feature in api.spec.contract:
        if feature.choices is None:
            lowest = feature.exclusive_minimum if feature.minimum is None else feature.minimum - 1
            for value in (lowest, feature.maximum + 1):
                cast = int if feature.dtype == "int" else float
                row = example_rows(api.spec)[0] | {feature.name: cast(value)}
                (fault,) = assert_problem(await api.post(SINGLE, row), 422, "invalid_rows")[
                    "errors"
                ]
                assert (fault["field"], fault["reason"]) == (feature.name, "is out of range")


async def test_an_integer_is_a_good_number(api: Api) -> None:
    """`3` is sent for `3.0` by every JSON library."""
    feature = field_of(api.spec, "float")
    assert feature is not None
    assert (
        await api.post(SINGLE, example_rows(api.spec)[0] | {feature.name: 3})
    ).status_code == 200


async def test_a_field_that_stands_twice_is_refused_alone_and_in_a_batch(api: Api) -> None:
    """Which of the two values is meant is not ours to guess; in a batch only that row fails."""
    good = example_rows(api.spec)[0]
    field = api.spec.contract[0]
    name = field.name
    value = json.dumps(good[name])
    escaped = name.replace(name[0], f"\\u{ord(name[0]):04x}", 1)
    for other in (
        f'{{"{name}":{value},{encoded(good)[1:]}',
        f'{encoded(good)[:-1]},"{name}":{value}}}',
        f'{{"{name}":"{SENTINEL}",{encoded(good)[1:]}',
        f'{encoded(good)[:-1]},"{escaped}":{value}}}',
    ):
        response = await api.post(SINGLE, other.encode())
        (fault,) = assert_problem(response, 422, "invalid_rows")["errors"]
        assert fault == {"field": name, "reason": "stands twice", "allowed": field.allowed}
        for beside, outcomes in ((encoded(good), ["success", "error"]), ("{}", ["error", "error"])):
            many = await api.post(BATCH, f"[{beside},{other}]".encode())
            entries = many.json()["predictions"]
            assert [entry["status"] for entry in entries] == outcomes
            assert entries[1]["error"]["errors"] == [fault]
        assert SENTINEL not in response.text
    last_is_bad = f'{encoded(good)[:-1]},"{name}":"{SENTINEL}"}}'
    response = await api.post(SINGLE, last_is_bad.encode())
    (fault,) = assert_problem(response, 422, "invalid_rows")["errors"]
    assert fault["field"] == name
    assert SENTINEL not in response.text


async def test_a_malformed_body_is_told_where(churn_api: Api) -> None:
    """The position is no secret, and is what one needs."""
    body = assert_problem(
        await churn_api.post(SINGLE, b'{\n "nps_score": ?}'), 400, "malformed_json"
    )
    assert "line 2 column 15" in body["detail"]


@pytest.mark.parametrize("value", ["9.9.9", "latest", "", SENTINEL, "1.0.0\tx"])
async def test_an_unknown_forced_version_is_a_400(churn_api: Api, value: str) -> None:
    """The router's refusal of X-Model-Version reaches the client, without what it sent."""
    churn_api.backend.error = UnknownVersion("X-Model-Version: expected one of 1.0.0.")
    response = await churn_api.post(SINGLE, example_rows(churn_api.spec)[0], x_model_version=value)
    assert_problem(response, 400, "unknown_version")
    assert churn_api.backend.asked[0].forced == value
    assert SENTINEL not in response.text


async def assert_still_answering(api: Api) -> None:
    """The next good request gets its answer, alone and in a batch."""
    row = example_rows(api.spec)[0]
    assert (await api.post(SINGLE, row)).status_code == 200
    assert (await api.post(BATCH, [row])).json()["succeeded"] == 1
