"""Hostile rows, bodies, media types and commands."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

from hostile_request import JSON, KB, MANY, MARKER, NUMBER, ONE, OUT, Hostile, encoded, good_row

from serve_app.contract import Feature, ModelSpec

# Raw JSON that no field of any type takes.
FOR_ALL = {
    "NaN": "NaN",
    "minus infinity": "-Infinity",
    "an exponent beyond floats": f"1e{NUMBER}",
    "a list": f'["{MARKER}"]',
    "an empty list": "[]",
    "an object": f'{{"{MARKER}":{NUMBER}}}',
    "an operator of a query language": f'{{"$gt":"{MARKER}"}}',
    "lists in lists": "[" * 50 + f'"{MARKER}"' + "]" * 50,
    "a text with a script": f'"<script>{MARKER}</script>"',
    "a text with SQL": f'"{MARKER}\'; DROP TABLE users; --"',
    "a text with a template": f'"{{{{7*7}}}}${{{MARKER}}}"',
    "a text with a lookup": f'"${{jndi:ldap://{MARKER}/a}}"',
    "a text with a format": f'"%n%s%x{MARKER}"',
    "a text with a zero": f'"{MARKER}\\u0000"',
    "a text with line breaks": f'"{MARKER}\\r\\nX-Injected: 1"',
    "a text with a terminal's escape": f'"{MARKER}\\u001b[31m"',
    "a text that is turned": f'"\\u202e{MARKER}"',
    "a text of 4,000 characters": f'"{MARKER * 300}"',
    "a surrogate alone": f'"{MARKER}\\ud800"',
}
FOR_NUMBERS = {
    "true": "true",
    "a text": f'"{MARKER}"',
    "a number in quotes": '"3"',
    "an empty text": '""',
    "a number of 400 digits": NUMBER * 40,
    "far too large": NUMBER * 2,
    "far too small": f"-{NUMBER * 2}",
    "a date": '"2026-11-28"',
}
FOR_TEXTS = {"a number": NUMBER, "true": "true", "an unknown text": f'"{MARKER}"'}
# What cannot be read at all, so that no row of a batch is.
UNREADABLE = ("a surrogate alone",)


def cells_of(spec: ModelSpec) -> Iterator[Hostile]:
    """Each field with each bad value, alone and next to a good row."""
    good = good_row(spec)
    beside = encoded(good, {})
    for feature in spec.contract:
        for name, raw in _raw_values(feature).items():
            row = encoded(good, {feature.name: raw})
            what = f"{feature.name}: {name}"
            yield Hostile(what, ONE, row, in_rows=True)
            status = 422 if name in UNREADABLE else 200
            body = b"[" + beside + b"," + row + b"]"
            yield Hostile(f"{what}, in a batch", MANY, body, statuses=(status,), in_rows=True)


def _raw_values(feature: Feature) -> dict[str, str]:
    values = FOR_ALL | (FOR_TEXTS if feature.is_text else FOR_NUMBERS)
    if not feature.nullable:
        values["null"] = "null"
    return values


def shapes_of(spec: ModelSpec) -> Iterator[Hostile]:
    """Rows with too few, too many and made-up fields."""
    good = good_row(spec)
    first = next(iter(good))
    without = {name: value for name, value in good.items() if name != first}
    made_up = {
        "an unknown field": MARKER.replace("-", "_"),
        "a field with a script": f"<script>{MARKER}</script>",
        "a field of Python": "__class__",
        "a field of JavaScript": "__proto__",
        "a field with a zero": f"{MARKER}\0",
        "a field in another case": first.upper(),
        "a field with a space": f" {first}",
        "a field of 10,000 characters": MARKER * 700,
        "a field without a name": "",
        "a field that is a number": NUMBER,
    }
    rows: dict[str, Any] = {
        "a missing field": without,
        "no field": {},
        "a thousand fields": good | {f"{MARKER}_{i}": MARKER for i in range(1_000)},
        "all fields null, and one more": dict.fromkeys(good) | {MARKER: None},
    }
    rows |= {what: good | {name: MARKER} for what, name in made_up.items()}
    for what, row in rows.items():
        text = json.dumps(row).encode()
        # It is no secret that `__class__` is no field, but the value must not come back.
        yield Hostile(what, ONE, text)
        yield Hostile(f"{what}, in a batch", MANY, b"[" + text + b"]", statuses=(200,))
    twice = encoded(good, {})[:-1] + f',"{first}":"{MARKER}"}}'.encode()
    yield Hostile("a field twice", ONE, twice)
    yield Hostile("a field twice, in a batch", MANY, b"[" + twice + b"]", statuses=(200,))


def bodies_of(spec: ModelSpec) -> Iterator[Hostile]:
    """Bodies that are wrong as a whole."""
    row = encoded(good_row(spec), {})
    mark = MARKER.encode()
    malformed = {
        "an empty body": b"",
        "white space": b" \r\n\t",
        "a cut row": row[:-9],
        "a row and more": row + mark,
        "two rows": row + row,
        "a trailing comma": row[:-1] + b",}",
        "single quotes": b"{'" + mark + b"':1}",
        "a comment": row + b"//" + mark,
        "bytes that are not UTF-8": b'{"' + mark + b'":"\xff\xfe"}',
        "an overlong slash": b'{"' + mark + b'":"\xc0\xaf"}',
        "an encoded surrogate": b'{"' + mark + b'":"\xed\xa0\x80"}',
        "a byte order mark": b"\xef\xbb\xbf" + row,
        "UTF-16": row.decode().encode("utf-16"),
        "UTF-32": row.decode().encode("utf-32"),
        "a raw zero": b'{"' + mark + b'":"\0"}',
        "raw control characters": b'{"' + mark + b'":"\x1b[31m\x07"}',
        "only zeros": b"\0" * 64,
        "a broken escape": b'{"' + mark + b'":"\\x41"}',
        "half an escape": b'{"' + mark + b'":"\\u00',
        "50,000 open lists": b"[" * 50_000,
        "10,000 open objects": b'{"a":' * 10_000,
        "a form": b"nps_score=" + mark,
        "a multipart form": b'--x\r\nContent-Disposition: form-data; name="' + mark + b'"\r\n\r\n',
        "XML with an entity": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        "YAML that makes an object": b"!!python/object/apply:os.system ['" + mark + b"']",
        "a pickle": b"\x80\x04\x95\x0f\0\0\0\0\0\0\0\x8c\x0btell-tale-4\x94.",
        "a request inside": b"POST /v1/rollout/abort HTTP/1.1\r\nHost: x\r\n\r\n",
        "gzip that is not said": gzip.compress(row, mtime=0),
        "minus nothing": b"-",
        "hexadecimal": b'{"' + mark + b'":0x10}',
        "a leading zero": b'{"' + mark + b'":007}',
        "a plus sign": b'{"' + mark + b'":+1}',
        "undefined": b"undefined",
    }
    invalid = {
        "null": b"null",
        "true": b"true",
        "a number": NUMBER.encode(),
        "a text": b'"' + mark + b'"',
        "an empty list": b"[]",
        "a number of 10,000 digits": b"[" + NUMBER.encode() * 1_000 + b"]",
    }
    for target in (ONE, MANY):
        for what, body in malformed.items():
            yield Hostile(f"{what}, to {target}", target, body, statuses=(400,))
        for what, body in invalid.items():
            yield Hostile(f"{what}, to {target}", target, body)
    batch = b",".join([row] * 101)
    yield Hostile("a list to the route of one", ONE, b"[" + row + b"]")
    yield Hostile("a row to the route of many", MANY, row)
    yield Hostile("rows under a key", MANY, b'{"rows":[' + row + b"]}")
    yield Hostile("101 rows", MANY, b"[" + batch + b"]", statuses=(400,))
    yield Hostile("100,000 numbers", MANY, b"[" + b"1," * 100_000 + b"1]", statuses=(400,))
    yield Hostile("65 KB for one row", ONE, b" " * (65 * KB) + row, statuses=(413,))
    yield Hostile("1.1 MB of rows", MANY, b" " * (1_100 * KB) + row, statuses=(413,))
    deep = b'{"' + mark + b'":[' + b"[[[[[[[[]]]]]]]]," * 2_000 + b"0]}"
    yield Hostile("2,000 nested lists in a field", ONE, deep)
    for what, entry in {
        "texts": json.dumps(MARKER),
        "lists": "[]",
        "nulls": "null",
        "numbers": NUMBER,
        "lists in lists": "[[[[[]]]]]",
        "empty rows": "{}",
    }.items():
        body = b"[" + b",".join([entry.encode()] * 100) + b"]"
        yield Hostile(f"100 {what} for rows", MANY, body, statuses=(200,))


def media_types_of(spec: ModelSpec) -> Iterator[Hostile]:
    """A good row that is declared as something else."""
    row = encoded(good_row(spec), {})
    types = (
        *(
            "",
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
        ),
        *("application/jsonp", "application/json-patch+json", "application/ld+json", "json", "*/*"),
        *("application/octet-stream", "application/xml", "application/x-msgpack", "application/"),
        *("application/json; charset=latin-1", "application/json;charset=utf-16", "Application"),
        *(f"application/{MARKER}", f"{MARKER}; application/json", "application/json, text/plain"),
        "application/json; charset=utf-8; charset=latin-1",
        f"application/json; charset={MARKER}",
        "text/html; " + MARKER * 100,
    )
    for target in (ONE, MANY, OUT):
        yield Hostile(f"no type, to {target}", target, row, headers=(), statuses=(415,))
        for type_ in types:
            headers = ((b"content-type", type_.encode()),)
            what = f"declared as {type_[:60]!r}, to {target}"
            yield Hostile(what, target, row, headers=headers, statuses=(415,))
    for encoding in ("gzip", "br", "deflate", "zstd", "identity, gzip", f"x-{MARKER}", "GZIP "):
        headers = (*JSON, (b"content-encoding", encoding.encode()))
        body = gzip.compress(row, mtime=0)
        yield Hostile(f"packed as {encoding!r}", ONE, body, headers, statuses=(415,))


def commands_of(spec: ModelSpec) -> Iterator[Hostile]:
    """Commands that are none, and bodies that are none of a command."""
    bodies: dict[str, Any] = {
        "a list": [MARKER],
        "a text": MARKER,
        "a number": int(NUMBER),
        "null": None,
        "an unknown field": {MARKER: 1},
        "an empty name": {"by": ""},
        "a name of 101 characters": {"by": (MARKER * 20)[:101]},
        "a name that is a list": {"by": [MARKER]},
        "a name that is null": {"by": None},
        "a name that is a number": {"by": int(NUMBER)},
        "a reason of 501 characters": {"reason": (MARKER * 50)[:501]},
        "a reason that is an object": {"reason": {MARKER: MARKER}},
        "a reason that is true": {"reason": True},
    }
    for what, value in bodies.items():
        yield Hostile(f"out with {what}", OUT, json.dumps(value).encode())
    for what, body in {
        "bytes": b'{"by":"\xff"}',
        "half a body": b'{"by":"' + MARKER.encode(),
        "5,000 open lists": b"[" * 3_000,
        "a surrogate": b'{"by":"\\ud800"}',
    }.items():
        yield Hostile(f"out with {what}", OUT, body)
    yield Hostile("out with 5 KB", OUT, b" " * 5 * KB, statuses=(413,))
    for name in (MARKER, "OUT", "out%20", "out;x", "%6fut%00", "start%0a", "*", "out,start", "ou"):
        target = f"/v1/rollout/{name}"
        yield Hostile(f"the command {name}", target, b"{}", statuses=(400, 404, 422))
