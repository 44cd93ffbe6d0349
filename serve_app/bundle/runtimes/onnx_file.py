"""What an ONNX file must not hold, found in its bytes before onnxruntime sees them.

A tensor of external data is read from another file, which no hash of the bundle covers, or from an
address of memory. The bytes are walked as protobuf has them
(https://protobuf.dev/programming-guides/encoding), along the fields of onnx.proto in which a tensor
can be: in one pass, with no more memory than the depth of the messages takes.
"""

import re
from collections.abc import Mapping

# By message: the numbers of the fields that are, or can hold, a tensor.
INSIDE: Mapping[str, Mapping[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
}
EXTERNAL_DATA = 13
DATA_LOCATION = 14

# As protobuf's own parsers.
MOST_DEPTH = 100
MOST_TAG_BYTES = 5
MOST_VARINT_BYTES = 10
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
# Trees are lists of millions of numbers and short texts, each a field of its own: in one step.
SHORT = b"|".join(b"%b.{%d}" % (re.escape(bytes([n])), n) for n in range(32))
LISTED = re.compile(
    rb"(?:\x3d.{4}|\x40[\x80-\xff]{0,9}[\x00-\x7f]|\x4a(?:" + SHORT + rb"))++", re.S
)
# onnxruntime takes its own format from the same call; it is no ONNX, and can refer to files too.
ORT_FORMAT = b"ORTM"

NOT_ONNX = "is no ONNX file, or is damaged; expected one written by training"
ELSEWHERE = (
    "has a tensor whose data lies in another file, which no hash covers; expected all data inside. "
    "Save the model without external data"
)


class _Damaged(Exception):
    """The bytes are no protobuf."""


def onnx_fault(data: bytes) -> str:
    """Say why an ONNX file must not be opened; empty when it may."""
    if data[4:8] == ORT_FORMAT:
        return NOT_ONNX
    try:
        return ELSEWHERE if _leads_elsewhere(data) else ""
    except _Damaged:
        return NOT_ONNX


def _leads_elsewhere(data: bytes) -> bool:
    """Whether any tensor is of external data, or says where that would be."""
    message, at, end = "ModelProto", 0, len(data)
    above: list[tuple[str, int, int]] = []
    while True:
        if at == end:
            if not above:
                return False
            message, at, end = above.pop()
            continue
        if message == "AttributeProto":
            listed = LISTED.match(data, at, end)
            if listed:
                at = listed.end()
                continue
        tag, at = _varint(data, at, end, MOST_TAG_BYTES)
        number = tag >> 3
        is_of_tensor = message == "TensorProto"
        if is_of_tensor and number == EXTERNAL_DATA:
            return True
        size, at = _value(data, at, end, tag & 7)
        if tag & 7 != LENGTH:
            # DEFAULT is 0; a value that is not known could be cut to EXTERNAL.
            if is_of_tensor and number == DATA_LOCATION and size:
                return True
            continue
        inner = INSIDE[message].get(number)
        if inner is None:
            at += size
            continue
        if len(above) == MOST_DEPTH:
            raise _Damaged
        above.append((message, at + size, end))
        message, end = inner, at + size


def _value(data: bytes, at: int, end: int, wire_type: int) -> tuple[int, int]:
    """The number, or the length, that begins here, and where it ends."""
    if wire_type == VARINT:
        return _varint(data, at, end, MOST_VARINT_BYTES)
    if wire_type == LENGTH:
        size, at = _varint(data, at, end, MOST_TAG_BYTES)
        if at + size > end:
            raise _Damaged
        return size, at
    n_bytes = {FIXED64: 8, FIXED32: 4}.get(wire_type)
    # Groups are of old protobufs; ONNX has none.
    if n_bytes is None or at + n_bytes > end:
        raise _Damaged
    return 1, at + n_bytes


def _varint(data: bytes, at: int, end: int, most_bytes: int) -> tuple[int, int]:
    value = 0
    for place in range(min(most_bytes, end - at)):
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise _Damaged
