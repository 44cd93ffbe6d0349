"""Bad input over real HTTP, through Ray's own proxy and through HAProxy: a 4xx each, and the next
request is served.
"""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from serve_app.models import get_spec

GOOD = get_spec("churn").examples[0].row.model_dump()
SECRET = "31337.4242"
JSON = {"Content-Type": "application/json"}


def _with(field: str, text: str) -> bytes:
    """The good row with the JSON text of one field replaced."""
    pairs = (
        f"{json.dumps(name)}: {text if name == field else json.dumps(value)}"
        for name, value in GOOD.items()
    )
    return ("{" + ", ".join(pairs) + "}").encode()


CASES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "NaN": (_with("monthly_spend_usd", "NaN"), JSON, 422),
    "Infinity": (_with("monthly_spend_usd", "Infinity"), JSON, 422),
    "1e999": (_with("monthly_spend_usd", "1e999"), JSON, 422),
    "lone surrogate": (_with("nps_score", '"\\ud800"'), JSON, 422),
    "boolean for an integer": (_with("nps_score", "true"), JSON, 422),
    "boolean for a choice": (_with("contract_length_months", "true"), JSON, 422),
    "string for an integer": (_with("nps_score", '"3"'), JSON, 422),
    "out of range": (_with("nps_score", "11"), JSON, 422),
    "secret value": (_with("nps_score", SECRET), JSON, 422),
    "4,000 digits": (_with("nps_score", "9" * 4_000), JSON, 422),
    "10,000 digits": (_with("nps_score", "9" * 10_000), JSON, 422),
    "unknown field": (_with("nps_score", '3, "extra": 1'), JSON, 422),
    "missing field": (b'{"nps_score": 3}', JSON, 422),
    "broken JSON": (b'{"nps_score": ', JSON, 400),
    "bad UTF-8": (_with("nps_score", '"') + b'\xff"', JSON, 400),
    "empty body": (b"", JSON, 400),
    "deep nesting": (b"[" * 50_000, JSON, 400),
    "list for one row": (b"[]", JSON, 422),
    "no content type": (_with("nps_score", "3"), {}, 415),
    "form": (b"nps_score=3", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "10 MB": (b" " * 10_000_000, JSON, 413),
}


@pytest.mark.parametrize(("body", "headers", "status"), CASES.values(), ids=list(CASES))
def test_bad_input_gets_its_4xx_and_the_next_request_is_served(
    stage: Any, body: bytes, headers: dict[str, str], status: int
) -> None:
    """Each as problem+json with the request id, never with the value that was sent."""
    sent = {**headers, "X-Request-ID": "bad-1"}
    answer = requests.post(f"{stage.url}/v1/predict", data=body, headers=sent, timeout=300)
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        status,
        "application/problem+json",
    )
    assert answer.json()["request_id"] == "bad-1"
    assert SECRET not in answer.text
    assert requests.post(f"{stage.url}/v1/predict", json=GOOD, timeout=300).status_code == 200


# JSON that nobody can read is a fault of the body; any other fault of a row is an entry.
ROW_FAULTS = {name for name, case in CASES.items() if case[2] == 422} - {
    "lone surrogate",
    "10,000 digits",
}


@pytest.mark.parametrize("name", list(CASES))
def test_bad_input_in_a_batch_is_an_entry_or_its_4xx_and_the_next_request_is_served(
    stage: Any, name: str
) -> None:
    """Beside a good row, which is answered unless the body itself cannot be used; never the value
    that was sent.
    """
    body, headers, status = CASES[name]
    sent = b"[" + json.dumps(GOOD).encode() + b"," + body + b"]" if status == 422 else body
    answer = requests.post(f"{stage.url}/v1/predict/batch", data=sent, headers=headers, timeout=300)
    if name in ROW_FAULTS:
        assert answer.status_code == 200
        assert [entry["status"] for entry in answer.json()["predictions"]] == ["success", "error"]
    else:
        assert (answer.status_code, answer.headers["Content-Type"]) == (
            status,
            "application/problem+json",
        )
    assert SECRET not in answer.text
    assert requests.post(f"{stage.url}/v1/predict", json=GOOD, timeout=300).status_code == 200


def test_a_list_longer_than_max_rows_is_refused_and_an_empty_one_too(stage: Any) -> None:
    """101 rows are a 400, none a 422; 100 are answered in order, the bad one among them as an error
    entry.
    """
    url = f"{stage.url}/v1/predict/batch"
    assert requests.post(url, json=[GOOD] * 101, timeout=300).status_code == 400
    assert requests.post(url, json=[], timeout=300).status_code == 422
    mixed = [GOOD] * 49 + [{**GOOD, "nps_score": 11}] + [GOOD] * 50
    answer = requests.post(url, json=mixed, timeout=300).json()
    assert (answer["total"], answer["succeeded"], answer["failed"]) == (100, 99, 1)
    assert [i for i, entry in enumerate(answer["predictions"]) if entry["status"] == "error"] == [
        49
    ]


def test_a_body_without_a_length_is_refused_when_it_grows_too_large(stage: Any) -> None:
    """A chunked upload is cut off at the limit."""
    chunks = (b" " * 65_536 for _ in range(40))
    try:
        answer = requests.post(f"{stage.url}/v1/predict", data=chunks, headers=JSON, timeout=300)
        assert answer.status_code == 413
    except requests.ConnectionError:
        pass  # the proxy may close the connection while the client still sends
    assert requests.post(f"{stage.url}/v1/predict", json=GOOD, timeout=300).status_code == 200


def test_docs_load_nothing_from_the_internet(stage: Any) -> None:
    """Every script and style of /docs comes from the server itself."""
    page = requests.get(f"{stage.url}/docs", timeout=300).text
    assert "https://" not in page
    script = requests.get(f"{stage.url}/static-offline-docs/swagger-ui-bundle.js", timeout=300)
    assert script.status_code == 200
    assert len(script.content) > 500_000


PATIENCE_S = 300.0
BODY = json.dumps(GOOD).encode()
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"


def _raw(url: str, head: bytes, body: bytes = BODY, *, is_closed: bool = False) -> tuple[int, str]:
    """Status and all text of the answer to a prediction with these header lines, byte by byte."""
    to = urlsplit(url)
    assert to.hostname is not None
    assert to.port is not None
    head = b"POST %b/v1/predict HTTP/1.1\r\nHost: x\r\n" % to.path.rstrip("/").encode() + head
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection((to.hostname, to.port), PATIENCE_S) as client:
        client.sendall(head + body)
        if is_closed:
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.rstrip().endswith(b"}"):
            received = client.recv(65_536)
            if not received:
                break
            answer += received
    text = answer.decode()
    return int(text.split(" ")[1]), text


@pytest.mark.parametrize(
    "name", [b"X-Request-ID", b"X-Request-Timeout-Seconds", b"X-Session-ID", b"X-Routing-Key"]
)
def test_header_bytes_that_are_no_text_are_a_400_in_both_modes(stage: Any, name: bytes) -> None:
    """Ray reads some of them as UTF-8: that was a 500 in plain text."""
    status, text = _raw(stage.url, name + b": zyx\xe9\r\n")
    assert status == 400
    assert "application/problem+json" in text
    assert '"code":"bad_header"' in text
    assert "zyx" not in text


@pytest.mark.parametrize("given", ["<script>alert(1)</script>", "a" * 12_000, ""])
def test_an_id_that_cannot_be_kept_comes_back_nowhere(stage: Any, given: str) -> None:
    """Neither in the header, which Ray adds in plain mode, nor in the body."""
    headers = {"X-Request-ID": given}
    for path in ("/v1/predict", "/nothing"):
        answer = requests.post(
            f"{stage.url}{path}", data=b"{", headers={**JSON, **headers}, timeout=300
        )
        assert answer.headers["X-Request-ID"] == answer.json()["request_id"]
        assert len(answer.headers["X-Request-ID"]) == 32


def test_every_answer_has_the_headers_of_every_answer_in_both_modes(stage: Any) -> None:
    """Good ones, errors and pages alike: none of them goes past the door."""
    for answer in (
        requests.post(f"{stage.url}/v1/predict", json=GOOD, timeout=300),
        requests.post(f"{stage.url}/v1/predict", data=b"{", headers=JSON, timeout=300),
        requests.get(f"{stage.url}/health", timeout=300),
        requests.get(f"{stage.url}/docs", timeout=300),
    ):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_an_offer_of_http_2_costs_no_body(stage: Any) -> None:
    """Every Java client makes it over http://."""
    assert _raw(stage.url, H2C)[0] == 200


def test_a_client_that_closes_its_half_is_answered(stage: Any) -> None:
    """It has sent all that it wanted to, and still reads."""
    assert _raw(stage.url, b"", is_closed=True)[0] == 200
