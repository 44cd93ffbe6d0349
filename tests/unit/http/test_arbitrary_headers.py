"""Whatever stands in headers and in the body of a command, the fault is named as the client's."""

import asyncio
import json
import re
from typing import Any

from arbitrary import json_values, mutated
from fakes import FakeBackend, FakeOperator
from hostile_request import Hostile, encoded, good_row
from hypothesis import given
from hypothesis import strategies as st
from labelled import Predicting
from raw_requests import RawAnswer, asked_in_process

from serve_app.contract.plain_text import control_fault
from serve_app.http.application import create_app
from serve_app.models import get_spec

SPEC = get_spec("churn")
ROW = encoded(good_row(SPEC), {})
OPERATOR = FakeOperator()
PREDICTING = Predicting(SPEC)
APP = create_app(SPEC, FakeBackend(SPEC), OPERATOR, feedback=PREDICTING.feedback)
NAMES = st.sampled_from(
    [
        *(b"x-request-id", b"x-routing-key", b"x-model-version", b"content-type"),
        *(b"content-length", b"content-encoding", b"host", b"accept", b"x-made-up"),
    ]
)
# Words that are close to what is expected, and any bytes that a header can carry.
VALUES = st.sampled_from(
    [
        *(b"", b" ", b"application/json", b"application/json;", b"application/json;charset"),
        *(b"application/json; charset=utf-8", b'application/json; charset="UTF8"', b"identity"),
        *(b"0", b"-0", b"1e3", b"9" * 30, "٣".encode(), b"1.2.3", b"k" * 200, b"k" * 201),
    ]
) | st.binary(max_size=30).filter(lambda value: not {10, 13} & set(value))


def answer_to(request: Hostile) -> RawAnswer:
    """What the application says."""
    return asyncio.run(asked_in_process(APP, request, ""))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_any_headers_are_answered_or_refused(headers: list[tuple[bytes, bytes]]) -> None:
    """A refusal says which header it is about; nothing else changes the answer."""
    headers = [*headers, (b"content-type", b"application/json")]
    answer = answer_to(Hostile("", "/v1/predict", ROW, tuple(headers)))
    assert answer.status in (200, 400, 413, 415)
    if answer.status == 200:
        # The first one counts of a header that is sent twice.
        first = dict(reversed(headers))
        assert b"json" in first[b"content-type"].lower()
        assert 0 < len(first.get(b"x-routing-key", b"k")) <= 200
        assert int(first.get(b"content-length", b"0")) <= 64 * 1024


@given(VALUES | st.from_regex(rb"[A-Za-z0-9._-]{0,130}", fullmatch=True))
def test_an_id_comes_back_whole_or_another_one_is_made(given: bytes) -> None:
    """It stands in the answer and in the log: neither may be changed by what is in it."""
    headers = ((b"content-type", b"application/json"), (b"x-request-id", given))
    answer = answer_to(Hostile("", "/v1/predict", b"{", headers))
    assert answer.status == 400
    found = json.loads(answer.body)["request_id"]
    assert re.fullmatch("[A-Za-z0-9._-]{1,128}", found)
    is_plain = re.fullmatch(rb"[A-Za-z0-9._-]{1,128}", given) is not None
    assert (found.encode() == given) == is_plain


KNOWN = {"by": 1, "reason": 0}
MOST = {"by": 100, "reason": 500}


def is_command(body: Any) -> bool:
    """Whether a body names who commands, and why, as the document says."""
    return isinstance(body, dict) and all(is_word(name, text) for name, text in body.items())


def is_word(name: str, text: Any) -> bool:
    """Whether this may stand under this name: its length, and nothing that a terminal obeys."""
    if name not in KNOWN or not isinstance(text, str):
        return False
    return KNOWN[name] <= len(text) <= MOST[name] and not control_fault(text)


@given(mutated({"by": "ada", "reason": "tickets went up"}) | json_values)
def test_a_command_is_carried_out_only_if_its_body_is_one(body: Any) -> None:
    """The coordinator hears exactly what a body said, or nothing."""
    OPERATOR.commands.clear()
    text = json.dumps(body).encode()
    answer = answer_to(Hostile("", "/v1/rollout/out", text))
    if len(text) > 4 * 1024:
        assert answer.status == 413
    elif is_command(body):
        assert answer.status == 200
        assert OPERATOR.commands == [("out", body.get("by", "http"), body.get("reason", ""))]
    else:
        assert answer.status == 422
    if answer.status != 200:
        assert OPERATOR.commands == []


(LABELLED,) = PREDICTING.answer([0.5])
LABEL = {"prediction_id": LABELLED, "actual": 1}
LABEL_BODIES = (
    json_values.map(lambda value: json.dumps(value).encode())
    | mutated([LABEL, LABEL]).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=40)
    | json_values.map(lambda value: json.dumps([LABEL | {"actual": value}]).encode())
    | json_values.map(lambda value: json.dumps(LABEL | {"prediction_id": value}).encode())
)


@given(LABEL_BODIES, st.sampled_from([b"", b" " * 70_000]))
def test_any_body_of_labels_is_answered_or_refused_as_the_clients_fault(
    body: bytes, padding: bytes
) -> None:
    """Small ones are read at once, and large ones in steps: none is a fault of the server."""
    request = Hostile("labels", "/v1/feedback", body + padding)
    answer = asyncio.run(asked_in_process(APP, request, ""))
    assert answer.status in (200, 400, 404, 413, 422)
    PREDICTING.feedback.take()
