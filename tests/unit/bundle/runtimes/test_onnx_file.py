"""An ONNX file that leads to other files is refused before onnxruntime sees it."""

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from graphs import model_of, number, sound, write_graph
from onnx import helper, numpy_helper

from serve_app.bundle.loading import load
from serve_app.bundle.runtimes.onnx_file import INSIDE, onnx_fault
from serve_app.bundle.store import FolderStore
from serve_app.errors import BundleError
from serve_app.models import get_spec

ELSEWHERE = "data lies in another file"
DAMAGED = "is no ONNX file, or is damaged"


def external(name: str = "base") -> onnx.TensorProto:
    """A tensor whose data lies in a file of this machine."""
    tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=[1])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    return tensor


def only_located() -> onnx.TensorProto:
    """Said to be external, and not where."""
    tensor = external()
    del tensor.external_data[:]
    return tensor


def sparse_of(values: onnx.TensorProto, indices: onnx.TensorProto) -> onnx.SparseTensorProto:
    """A sparse tensor of these two."""
    return onnx.SparseTensorProto(values=values, indices=indices, dims=[1])


def in_subgraph(depth: int) -> onnx.NodeProto:
    """A node whose graph has a node … whose graph has an external initializer."""
    graph = helper.make_graph([], "inner", [], [], [external()])
    for _ in range(depth):
        graph = helper.make_graph([with_attribute(graph)], "outer", [], [])
    return with_attribute(graph)


def with_attribute(value: object) -> onnx.NodeProto:
    """A node with one attribute."""
    node = helper.make_node("If", ["x"], ["y"])
    node.attribute.append(helper.make_attribute("value", value))
    return node


def with_function() -> onnx.ModelProto:
    """A function of the model's own, whose constant is external."""
    model = sound()
    model.functions.append(
        helper.make_function("own", "f", [], ["y"], [with_attribute(external())], [])
    )
    return model


def with_training() -> onnx.ModelProto:
    """What a framework keeps for training is read by no replica, and refused all the same."""
    model = sound()
    model.training_info.add().algorithm.CopyFrom(helper.make_graph([], "g", [], [], [external()]))
    return model


BASE = number("base")
INDICES = numpy_helper.from_array(np.array([0], dtype=np.int64), "indices")
LEADING = {
    "an initializer": lambda: model_of([], [external()]),
    "only the location": lambda: model_of([], [only_located()]),
    "sparse values": lambda: model_of([], [BASE], [sparse_of(external(), INDICES)]),
    "sparse indices": lambda: model_of([], [BASE], [sparse_of(BASE, external())]),
    "a constant": lambda: model_of([with_attribute(external())]),
    "constants": lambda: model_of([with_attribute([BASE, external()])]),
    "a sparse constant": lambda: model_of([with_attribute(sparse_of(external(), INDICES))]),
    "a subgraph": lambda: model_of([in_subgraph(0)], [BASE]),
    "a subgraph of subgraphs": lambda: model_of([in_subgraph(9)], [BASE]),
    "a function": with_function,
    "training": with_training,
}


@pytest.mark.parametrize("where", LEADING)
def test_external_data_is_found_wherever_a_tensor_can_be(where: str) -> None:
    """It is read from a file that no hash covers."""
    assert ELSEWHERE in onnx_fault(LEADING[where]().SerializeToString())


def test_a_sound_file_has_no_fault_whatever_its_nodes_list() -> None:
    """Trees are long lists of numbers and texts, which are passed over in one step."""
    node = helper.make_node(
        "TreeEnsembleClassifier",
        [],
        ["y"],
        values=[float(n) for n in range(300)],
        ids=[0, 127, 128, 2**40, -1] * 50,
        modes=["BRANCH_LEQ", "", "x" * 31, "x" * 32, "x" * 300] * 20,
        tensor=BASE,
    )
    model = model_of([node], [BASE])
    assert onnx_fault(model.SerializeToString()) == ""
    model.graph.node[0].attribute.append(helper.make_attribute("last", external()))
    assert ELSEWHERE in onnx_fault(model.SerializeToString())


def test_a_location_in_any_spelling_of_protobuf_is_found() -> None:
    """A number with empty bytes behind it, or one that is cut to 32 bits, is the same number."""
    plain = model_of([], [only_located()]).SerializeToString()
    tensor = only_located().SerializeToString()
    assert tensor.endswith(b"\x70\x01")
    for spelling in (b"\xf0\x00\x01", b"\x70\x81\x00", b"\x70\x81\x80\x80\x80\x10"):
        other = tensor[:-2] + spelling
        again = bytes([len(tensor)]) + tensor
        assert again in plain
        graph = helper.make_graph([], "g", [], []).SerializeToString()
        graph += b"\x2a" + bytes([len(other)]) + other
        assert ELSEWHERE in onnx_fault(b"\x3a" + bytes([len(graph)]) + graph)


@pytest.mark.parametrize(
    "data",
    [
        b"\x3a\x05",
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0b\x0c",
        b"\x00",
        b"\xff" * 20,
        b"no model at all",
        b"\x00\x00\x00\x00ORTM" + bytes(20),
    ],
)
def test_what_is_no_protobuf_is_damaged(data: bytes) -> None:
    """It is said, and never a traceback; onnxruntime's own format is none either."""
    assert DAMAGED in onnx_fault(data)


def test_a_file_that_is_cut_off_is_damaged_wherever_that_is() -> None:
    """No end of it makes another sound file, but where a field of the model ends."""
    data = sound().SerializeToString()
    whole = {end for end in range(len(data)) if is_parsed(data[:end])}
    found = {end for end in range(len(data)) if onnx_fault(data[:end]) == ""}
    assert found == whole


def is_parsed(data: bytes) -> bool:
    """Whether protobuf itself reads it."""
    try:
        onnx.ModelProto.FromString(data)
    except Exception:
        return False
    return True


def test_messages_within_each_other_have_an_end() -> None:
    """protobuf reads a hundred levels; what is deeper takes no memory here."""
    graph = b""
    for _ in range(300):
        graph = field(1, field(5, field(6, graph)))
    assert DAMAGED in onnx_fault(field(7, graph))


def field(number: int, data: bytes) -> bytes:
    """A message as a field."""
    size = len(data)
    length = b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def test_every_field_of_onnx_that_can_hold_a_tensor_is_walked() -> None:
    """A release of ONNX with another place for tensors is noticed here."""
    known = {(name, number) for name, fields in INSIDE.items() for number in fields}
    assert known == set(holding(onnx.ModelProto.DESCRIPTOR, {}))


def holding(message: object, seen: dict[str, bool]) -> Iterator[tuple[str, int]]:
    """Message and number of each field below it that is, or can hold, a tensor."""
    name = message.name  # type: ignore[attr-defined]
    if name in seen:
        return
    seen[name] = True
    for one in message.fields:  # type: ignore[attr-defined]
        if one.message_type is None:
            continue
        if reaches_a_tensor(one.message_type, set()):
            yield name, one.number
        yield from holding(one.message_type, seen)


def reaches_a_tensor(message: object, seen: set[str]) -> bool:
    """Whether a message is a tensor, or has one somewhere."""
    name = message.name  # type: ignore[attr-defined]
    if name == "TensorProto":
        return True
    if name in seen:
        return False
    seen.add(name)
    inner = [one.message_type for one in message.fields]  # type: ignore[attr-defined]
    return any(found is not None and reaches_a_tensor(found, seen) for found in inner)


def test_a_bundle_with_external_data_is_not_opened(tmp_path: object) -> None:
    """The sentence names the file and what to do."""
    store = FolderStore(tmp_path)  # type: ignore[arg-type]
    write_graph(store, model_of([], [external()]).SerializeToString())
    with pytest.raises(BundleError, match=rf"churn/1\.0\.0/model\.onnx: .*{ELSEWHERE}.*Save the"):
        load(store, get_spec("churn"), "1.0.0")
