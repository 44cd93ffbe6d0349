"""What a hostile request is, and what each of them carries."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serve_app.contract import ModelSpec

MARKER = "tell-tale-4829"
# A number that nobody would send by chance, for where a text cannot stand.
NUMBER = "48291548291"
SECRETS = (MARKER, NUMBER, MARKER.upper(), "74656c6c2d74616c652d34383239")
ONE, MANY = "/v1/predict", "/v1/predict/batch"
OUT = "/v1/rollout/out"
FEEDBACK = "/v1/feedback"
GETS = (
    *("/", "/health", "/ready", "/v1/model", "/v1/rollout", "/v1/drift", "/v1/quality"),
    *("/docs", "/openapi.json"),
)
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


def good_row(spec: ModelSpec) -> dict[str, Any]:
    """A row that is answered."""
    return spec.examples[0].row.model_dump(mode="json")


def encoded(row: Mapping[str, Any], raw: Mapping[str, str]) -> bytes:
    """A row as JSON text, in which the fields of `raw` hold this text as it is."""
    pairs = (f"{json.dumps(name)}:{raw.get(name, json.dumps(row[name]))}" for name in row)
    return ("{" + ",".join(pairs) + "}").encode()
