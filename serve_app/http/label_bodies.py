"""Labels as clients send them: one object, or a list of them."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic_core import from_json

from serve_app.contract.elements import MAX_ROW_KB, elements, pairs
from serve_app.contract.rows import STEP_CHARS
from serve_app.errors import BodyTooLarge, InvalidLabel, InvalidRows, MalformedJson

MAX_LABELS = 1_000
# Opening an id takes some microseconds, and others must be answered between.
LABELS_A_STEP = 100
NOT_LABELS = (
    "The body is expected to be an object with prediction_id and actual, or a list of 1 to "
    f"{MAX_LABELS:,} of them."
)
NOT_JSON = "The body is expected to be JSON in UTF-8."


class SentLabel(NamedTuple):
    """What a client sent as a label; what can be neither an id nor a truth is None."""

    prediction_id: str | None
    actual: Any


def labels_at_once(body: bytes) -> SentLabel | list[SentLabel | InvalidLabel]:
    """The label of a small body, or its list of them. Raises MalformedJson or InvalidLabel."""
    try:
        from_json(body, allow_inf_nan=False)
        found = pairs(body)
    except (ValueError, RecursionError):
        raise MalformedJson(NOT_JSON) from None
    if isinstance(found, tuple):
        return _label(found)
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_LABELS:
        raise InvalidLabel(NOT_LABELS)
    return [_label_or_error(entry) for entry in found]


async def labels_in_steps(body: bytes) -> Sequence[SentLabel | InvalidLabel]:
    """The list of labels of a large body. Others are answered between the steps.

    All are read before one is taken: of a body that is no JSON in the end none counts. Raises
    MalformedJson, InvalidLabel or BodyTooLarge.
    """
    start = body.lstrip(b" \t\r\n")[:1]
    if start == b"{":
        raise BodyTooLarge(f"One label is expected to be at most {MAX_ROW_KB} KB.")
    if start != b"[":
        raise InvalidLabel(NOT_LABELS)
    sent: list[SentLabel | InvalidLabel] = []
    begin = 0
    try:
        for label, end in elements(body, _label_or_error):
            sent.append(label)
            if len(sent) > MAX_LABELS:
                raise InvalidLabel(NOT_LABELS)
            if end - begin > STEP_CHARS or len(sent) % LABELS_A_STEP == 0:
                begin = end
                await asyncio.sleep(0)
    except InvalidRows:
        # It is JSON that nothing here can hold; as a small body it is told so too.
        raise MalformedJson(NOT_JSON) from None
    if not sent:
        raise InvalidLabel(NOT_LABELS)
    return sent


def _label_or_error(entry: Any) -> SentLabel | InvalidLabel:
    try:
        return _label(entry)
    except InvalidLabel as error:
        return error


def _label(entry: Any) -> SentLabel:
    """A label of JSON whose objects are tuples of their (name, value) pairs."""
    fields = _fields(entry) if isinstance(entry, tuple) else {}
    if set(fields) != {"prediction_id", "actual"}:
        raise InvalidLabel("A label is expected to be an object of prediction_id and actual alone.")
    id_ = fields["prediction_id"]
    actual = fields["actual"]
    if isinstance(actual, tuple):
        truth: Any = {name: _plain(value) for name, value in _fields(actual).items()}
    else:
        truth = _plain(actual)
    return SentLabel(id_ if isinstance(id_, str) else None, truth)


def _plain(value: Any) -> Any:
    """A text or a number; None in the place of lists: 10,000 of them take long to throw away, and
    so they go at once, with the step that has read them.
    """
    return value if isinstance(value, str | int | float) else None


def _fields(found: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    fields = dict(found)
    if len(fields) < len(found):
        # Which of both is meant nobody knows.
        raise InvalidLabel("A label is expected to hold each name once; one stands twice.")
    return fields
