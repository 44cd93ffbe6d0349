"""Several hundred hostile requests, each with a name and the statuses that answer it rightly.

Each carries MARKER wherever it can, and no answer may repeat it. Nothing here is random.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from serve_app.contract import Feature, ModelSpec

MARKER = "tell-tale-4829"
# A number that nobody would send by chance, for where a text cannot stand.
NUMBER = "48291548291"
SECRETS = (MARKER, NUMBER, MARKER.upper(), "74656c6c2d74616c652d34383239")
ONE, MANY = "/v1/predict", "/v1/predict/batch"
OUT = "/v1/rollout/out"
GETS = ("/", "/health", "/ready", "/v1/model", "/v1/rollout", "/docs", "/openapi.json")
KB = 1024
JSON = ((b"content-type", b"application/json"),)

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Hostile:
    """A request as it goes over the wire, below the prefix of a model.

    `statuses` are the right ones; 200 for a batch whose bad row is an entry, and for a route that
    reads nothing of what was sent. `in_rows` says that only the cells of a row are hostile.
    """

    name: str
    target: str
    body: bytes = b""
    headers: Headers = JSON
    method: str = "POST"
    statuses: tuple[int, ...] = (422,)
    in_rows: bool = False


def hostile_requests(spec: ModelSpec) -> list[Hostile]:
    """All of them for a model, in an order that stays; no two have the same name."""
    families = (
        *(_cells, _shapes, _bodies, _media_types),
        *(_headers, _ids, _bytes, _paths, _methods, _commands),
    )
    return [request for family in families for request in family(spec)]


def good_row(spec: ModelSpec) -> dict[str, Any]:
    """A row that is answered."""
    return spec.examples[0].row.model_dump(mode="json")


def encoded(row: Mapping[str, Any], raw: Mapping[str, str]) -> bytes:
    """A row as JSON text, in which the fields of `raw` hold this text as it is."""
    pairs = (f"{json.dumps(name)}:{raw.get(name, json.dumps(row[name]))}" for name in row)
    return ("{" + ",".join(pairs) + "}").encode()


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


def _cells(spec: ModelSpec) -> Iterator[Hostile]:
    """Each field with each bad value, alone and beside a good row."""
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


def _shapes(spec: ModelSpec) -> Iterator[Hostile]:
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


def _bodies(spec: ModelSpec) -> Iterator[Hostile]:
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


def _media_types(spec: ModelSpec) -> Iterator[Hostile]:
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


def _headers(spec: ModelSpec) -> Iterator[Hostile]:
    """A good row with headers that lie, hide or attack what stands behind."""
    row = encoded(good_row(spec), {})
    marked = MARKER.encode()
    bad = {
        "an empty key": (b"x-routing-key", b"", 400),
        "a key of 201 characters": (b"x-routing-key", (MARKER * 20)[:201].encode(), 400),
        "a key of 8,000 characters": (b"x-routing-key", b"k" * 8_000, 400),
        "an unknown version": (b"x-model-version", b"9.9.9", 400),
        "an empty version": (b"x-model-version", b"", 400),
        "a version that is a path": (b"x-model-version", b"../../" + marked, 400),
        "a version with a script": (b"x-model-version", b"<script>" + marked, 400),
        "a version that is not UTF-8": (b"x-model-version", b"\xff\xfe", 400),
        "a version of 8,000 characters": (b"x-model-version", b"1" * 8_000, 400),
        "a list of versions": (b"x-model-version", b"1.0.0, 1.1.0", 400),
        "a negative length": (b"content-length", b"-5", 413),
        "a length that is a text": (b"content-length", marked, 413),
        "a length of 5,000 digits": (b"content-length", b"9" * 5_000, 413),
        "a length in hexadecimal": (b"content-length", b"0x10", 413),
        "a length with a sign": (b"content-length", b"+5", 413),
        "two lengths in one": (b"content-length", b"5, 5", 413),
        "a length of 10 MB": (b"content-length", b"10485760", 413),
    }
    for what, (name, value, status) in bad.items():
        yield Hostile(what, ONE, row, (*JSON, (name, value)), statuses=(status,))
    harmless = {
        "a key with a script": (b"x-routing-key", b"<script>" + marked),
        "a key that is a path": (b"x-routing-key", b"../../" + marked),
        "a host that is another's": (b"host", b"evil.example." + marked),
        "a forwarded host": (b"x-forwarded-host", marked),
        "a forwarded address": (b"x-forwarded-for", b"127.0.0.1, " + marked),
        "a forwarded prefix": (b"x-forwarded-prefix", b"/" + marked),
        "a rewritten path": (b"x-original-url", b"/v1/rollout/abort"),
        "another method": (b"x-http-method-override", b"DELETE"),
        "another type wanted": (b"accept", b"text/html, " + marked),
        "another language": (b"accept-language", marked * 100),
        "another origin": (b"origin", b"https://" + marked),
        "a cookie": (b"cookie", b"session=" + marked * 100),
        "a password": (b"authorization", b"Basic " + marked),
        "a bad trace": (b"traceparent", b"00-" + marked + b"-00"),
        "a range": (b"range", b"bytes=0-" + b"9" * 400),
        "a condition": (b"if-none-match", marked),
        "a shell": (b"user-agent", b"() { :; }; echo " + marked),
        "a lookup": (b"user-agent", b"${jndi:ldap://" + marked + b"/a}"),
        "an upgrade": (b"upgrade", b"websocket"),
        "a hop": (b"te", b"trailers, " + marked),
        "a second type": (b"content-type", b"text/plain; " + marked),
    }
    for what, header in harmless.items():
        yield Hostile(what, ONE, row, (*JSON, header), statuses=(200,))
    many = tuple((f"x-{MARKER}-{i}".encode(), marked) for i in range(60))
    yield Hostile("60 more headers", ONE, row, JSON + many, statuses=(200,))


def _ids(spec: ModelSpec) -> Iterator[Hostile]:
    """Ids that cannot stand in an answer and in a log: another one is made, whoever answers."""
    row = encoded(good_row(spec), {})
    marked = MARKER.encode()
    values = {
        "empty": b"",
        "a space": b" ",
        "a script": b"<script>" + marked + b"</script>",
        "two words": marked + b" " + marked,
        "129 characters": (marked * 10)[:129],
        "12,000 characters": marked * 850,
        "a colour": b"\x1b[31m" + marked,
        "a tab": marked + b"\t1",
        "a quote": b'"' + marked + b'"',
        "a semicolon": marked + b";a=1",
        "a lookup": b"${jndi:ldap://" + marked + b"}",
        "a letter with an accent": "é".encode() + marked,
        "a character that turns": "\u202e".encode() + marked,
        "a path": b"../" + marked,
        "a percent sign": b"%0d%0a" + marked,
    }
    for what, value in values.items():
        header = (b"x-request-id", value)
        answered = Hostile(f"an id: {what}", ONE, row, (*JSON, header), statuses=(200,))
        yield answered
        yield replace(answered, name=f"an id of a bad body: {what}", body=b"{", statuses=(400,))
        elsewhere = replace(answered, name=f"an id of no route: {what}", statuses=(404,))
        yield replace(elsewhere, target="/nothing", method="GET")
    twice = ((b"x-request-id", b"<" + marked), (b"x-request-id", b"<<" + marked))
    yield Hostile("two bad ids", ONE, row, JSON + twice, statuses=(200,))


def _bytes(spec: ModelSpec) -> Iterator[Hostile]:
    """Bytes that are no text, in each header that anybody reads."""
    row = encoded(good_row(spec), {})
    names = (
        *("x-request-id", "x-routing-key", "x-model-version", "x-api-key", "host", "user-agent"),
        *("accept", "authorization", "cookie", "origin", "traceparent", "x-forwarded-for"),
        *("x-request-timeout-seconds", "x-request-disconnect-disabled", "x-made-up"),
    )
    for name in names:
        for what, value in {
            "bytes": b"\xff\xfe",
            "half a character": b"\xc3",
            "latin-1": "é".encode("latin-1"),
        }.items():
            headers = (*JSON, (name.encode(), value + MARKER.encode()))
            yield Hostile(f"{what} in {name}", ONE, row, headers, statuses=(400,))
            yield Hostile(f"{what} in {name}, of no work", "/health", b"", headers, "GET", (400,))


def _paths(spec: ModelSpec) -> Iterator[Hostile]:
    """Paths that are written otherwise, climb, or are none."""
    targets = (
        *(f"/{MARKER}", f"/v1/{MARKER}", f"/v1/predict/{MARKER}", f"/v1/rollout/{MARKER}/x"),
        *("//", "//health", "/health/", "/health//", "/./health", "/v1/../health", "/v1/./model"),
        *("/%2e%2e/health", "/v1/%2e%2e/health", "/..%2f..%2fetc/passwd", "/%2e%2e%2fetc%2fpasswd"),
        *("/../../../etc/passwd", "/..\\..\\windows\\win.ini", "/%5c..%5cetc", "/....//etc/passwd"),
        *("/static-offline-docs/../../../etc/passwd", "/static-offline-docs/%2e%2e/%2e%2e/app.py"),
        *("/static-offline-docs/..%2f..%2fapp.py", f"/static-offline-docs/{MARKER}.js"),
        *("/static-offline-docs/%00", "/static-offline-docs/swagger-ui.css%00.js"),
        *("/static-offline-docs//etc/passwd", "/static-offline-docs/%2fetc%2fpasswd"),
        *("/static-offline-docs/" + "a" * 300, "/static-offline-docs/" + "a/" * 500),
        *("/health%00", "/%00", "/health%0d%0aX-Injected:1", "/health%20", "/%20/health"),
        *("/health;a=1", "/health.json", "/HEALTH", "/hea%6cth%2f", "/health%3f", "/health%23a"),
        *("/%ff%fe", "/%c0%ae%c0%ae/health", "/%u002e", "/%zz", "/%", "/%2", "/h%C3%A9alth"),
        *("/.env", "/.git/config", "/wp-login.php", "/actuator/env", "/-/routes/x", "/metrics/x"),
        *("/admin", "/api/v1/namespaces", "/server-status", "/debug/pprof", "/graphql", "/redoc"),
        *("/" + "a" * 2_000, "/" + "a/" * 1_000, "/" + "%41" * 600),
        *("/v1/predict/", "/v1/predict/batch/", "/v2/predict", "/v1/predictions", "/v1"),
        *("/v1/rollout/", "/v1/rollout/out/", "/v1//rollout", "/v1/rollout//out"),
    )
    for target in targets:
        shown = target if len(target) < 60 else f"{target[:40]}… of {len(target)}"
        yield Hostile(f"GET {shown}", target, headers=(), method="GET", statuses=(404, 405))
        yield Hostile(f"POST {shown}", target, b"{}", statuses=(404, 405))
    # Written otherwise, but the same path: answered, or refused as a path that is no plain one.
    for target in ("/hea%6cth", "/%68ealth", "/v1/mode%6c"):
        yield Hostile(f"GET {target}", target, headers=(), method="GET", statuses=(200, 400, 404))
    for path in GETS:
        for what, query in {
            "a marker": MARKER,
            "a script": f"a=<script>{MARKER}</script>".replace("<", "%3C").replace(">", "%3E"),
            "bytes": "%ff%00%0d%0a" + MARKER,
            "4,000 characters": "a=" + MARKER * 285,
            "100 parameters": "&".join(f"a{i}={MARKER}" for i in range(100)),
        }.items():
            target = f"{path}?{query}"
            yield Hostile(f"{path} with {what}", target, headers=(), method="GET", statuses=(200,))


def _methods(spec: ModelSpec) -> Iterator[Hostile]:
    """Methods that a route does not take."""
    row = encoded(good_row(spec), {})
    for path in (ONE, MANY, "/predict", "/predict/batch", OUT):
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            yield Hostile(f"{method} {path}", path, row, method=method, statuses=(405,))
    for path in GETS:
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", MARKER.upper()):
            yield Hostile(f"{method} {path}", path, row, method=method, statuses=(405,))
        # A body that nobody asked for is not read.
        yield Hostile(f"GET {path} with a body", path, row, method="GET", statuses=(200,))


def _commands(spec: ModelSpec) -> Iterator[Hostile]:
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
