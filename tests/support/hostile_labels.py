"""Hostile labels of predictions."""

import json
from collections.abc import Iterator
from typing import Any

from hostile_request import FEEDBACK, KB, MARKER, NUMBER, Hostile

from serve_app.contract import ModelSpec

FORGED = "A" * 64


def labels_of(spec: ModelSpec) -> Iterator[Hostile]:
    """Ids that nobody made, truths that are none, and bodies that are no label."""
    actual: Any = spec.classes[0] if spec.is_classifier else 1.5
    ids: dict[str, Any] = {
        "a forged id": FORGED,
        "an id of dashes": "-" * 64,
        "an id of 100,000 characters": MARKER * 7_000,
        "an empty id": "",
        "an id that is a number": int(NUMBER),
        "an id that is a list": [MARKER],
        "an id that is null": None,
        "an id beyond ASCII": "\u00e9" * 64,
    }
    for what, id_ in ids.items():
        body = {"prediction_id": id_, "actual": actual}
        alone = _json(body)
        listed = _json([body])
        # A label, also one of a list, has 64 KB at most.
        is_large = len(alone) > 64 * KB
        of_one, of_list = ((413,), (413,)) if is_large else ((404,), (200,))
        yield Hostile(f"feedback: {what}", FEEDBACK, alone, statuses=of_one)
        yield Hostile(f"feedback: {what}, in a list", FEEDBACK, listed, statuses=of_list)
    bodies: dict[str, Any] = {
        "a text": MARKER,
        "a number": int(NUMBER),
        "null": None,
        "no label": [],
        "1,001 labels": [{}] * 1_001,
        "an unknown field": {"prediction_id": FORGED, "actual": actual, MARKER: 1},
        "no truth": {"prediction_id": FORGED},
        "an operator of a query language": {"$gt": MARKER},
    }
    for what, value in bodies.items():
        yield Hostile(f"feedback: {what}", FEEDBACK, _json(value))
    for what, raw in {
        "bytes": b'{"prediction_id":"\xff"}',
        "half a body": b'{"prediction_id":"' + MARKER.encode(),
        "NaN": b'{"prediction_id":"a","actual":NaN}',
        "a surrogate": b'{"prediction_id":"\\ud800","actual":1}',
        "5,000 open lists": b"[" * 5_000,
    }.items():
        yield Hostile(f"feedback: {what}", FEEDBACK, raw, statuses=(400,))
    yield Hostile("feedback: 2 MB", FEEDBACK, b" " * 2_000 * KB, statuses=(413,))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
