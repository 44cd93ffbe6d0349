"""Hostile headers, ids, bytes, paths and methods."""

from collections.abc import Iterator
from dataclasses import replace

from hostile_request import GETS, JSON, MANY, MARKER, ONE, OUT, Hostile, encoded, good_row

from serve_app.contract import ModelSpec


def headers_of(spec: ModelSpec) -> Iterator[Hostile]:
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


def ids_of(spec: ModelSpec) -> Iterator[Hostile]:
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


def bytes_of(spec: ModelSpec) -> Iterator[Hostile]:
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


def paths_of(spec: ModelSpec) -> Iterator[Hostile]:
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
        # A proxy may write it plainly, and then it is the path of no route.
        statuses = (400, 404, 405) if "%" in target else (404, 405)
        yield Hostile(f"GET {shown}", target, headers=(), method="GET", statuses=statuses)
        yield Hostile(f"POST {shown}", target, b"{}", statuses=statuses)
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


def handshakes_of(spec: ModelSpec) -> Iterator[Hostile]:
    """Offers of WebSockets, which nobody takes: each is a plain request, too."""
    offer = (
        (b"connection", b"upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", b"x3JJHMbDL1EzLkh9GBhXDw=="),
        (b"sec-websocket-protocol", MARKER.encode()),
    )
    for path in ("/", "/health", "/v1/model"):
        yield Hostile(f"a handshake at {path}", path, headers=offer, method="GET", statuses=(200,))
    # A path of Ray's own, which is none of the model's.
    yield Hostile(
        "a handshake at Ray's", "/-/healthz", headers=offer, method="GET", statuses=(200, 404)
    )
    yield Hostile(
        "a handshake at no route", f"/{MARKER}", headers=offer, method="GET", statuses=(404,)
    )
    for what, header, statuses in (
        ("an id that is no text", (b"x-request-id", b"\xff" + MARKER.encode()), (400,)),
        ("a header of 9 KB", (b"x-made-up", b"a" * 9_216), (200,)),
        ("a body that does not come", (b"content-length", b"3"), (200,)),
    ):
        headers = (*offer, header)
        name = f"a handshake with {what}"
        yield Hostile(name, "/health", headers=headers, method="GET", statuses=statuses)


def methods_of(spec: ModelSpec) -> Iterator[Hostile]:
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
