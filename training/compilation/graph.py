"""A graph in the making: nodes of our own, and parts that a converter made, behind two inputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from serve_app.bundle.runtimes.number_code import METADATA_KEY, CodedColumn, NumberCode
from serve_app.contract.block import Layout

OPSET = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 10
ML = "ai.onnx.ml"
Cuts = NDArray[np.float64]


@dataclass(frozen=True)
class Tensor:
    """A value in a graph: its name, and whether it is float64 (else float32)."""

    name: str
    is_double: bool

    @property
    def dtype(self) -> Any:
        """The NumPy type of its numbers."""
        return np.float64 if self.is_double else np.float32


class Graph:
    """Collects nodes; `bytes` makes the model when all are there.

    Trees are compared with the count of cuts below a number. All trees of a graph share the counts
    of a field, so that nodes that need them are made `later`, when every cut is known.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        # Raw cuts of trees by the position of the field among the numbers.
        self.cuts: dict[int, set[float]] = {}
        # Where tables of a number change, by field: probes go next to these too.
        self.steps: dict[int, set[float]] = {}
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._columns: list[tuple[str, int, Cuts | None]] = []
        self._n_names = 0
        self._takes_texts = False
        self._sorted: dict[int, Cuts] = {}

    def name(self, word: str) -> str:
        """A name that no other value has."""
        self._n_names += 1
        return f"{word}_{self._n_names}"

    def constant(self, values: Any, dtype: Any) -> str:
        """An initializer with these values."""
        name = self.name("constant")
        array = np.asarray(values, dtype=dtype, order="C")
        self._initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        """Add a node of one output, whose name it gives."""
        output = self.name(op.lower())
        self._nodes.append(
            helper.make_node(op, list(inputs), [output], domain=domain, name=output, **attributes)
        )
        return output

    def later(self, make: Callable[[str], None]) -> str:
        """Reserve a place for nodes that `make(output)` adds when all cuts are known."""
        output = self.name("later")
        self._nodes.append((make, output))
        return output

    def cast(self, tensor: Tensor, *, is_double: bool) -> Tensor:
        """The same value in the other precision."""
        if tensor.is_double == is_double:
            return tensor
        to = TensorProto.DOUBLE if is_double else TensorProto.FLOAT
        return Tensor(self.node("Cast", [tensor.name], to=to), is_double)

    def column(self, kind: str, source: int, cuts: Cuts | None = None) -> int:
        """The column of the input `numbers` of this kind, made on first use.

        `number` is the number itself, `rank` the count of all trees' cuts below it, and `bin` that
        of `cuts`.
        """
        for place, (known, field, edges) in enumerate(self._columns):
            is_same = edges is cuts or (
                edges is not None and cuts is not None and np.array_equal(edges, cuts)
            )
            if (known, field) == (kind, source) and is_same:
                return place
        self._columns.append((kind, source, cuts))
        return len(self._columns) - 1

    def take(self, columns: Sequence[int]) -> str:
        """(n_rows, n) of these columns of the input."""
        return self.node("Gather", ["numbers", self.constant(columns, np.int64)], axis=1)

    @property
    def _takes_float32(self) -> bool:
        """Whether all columns are counts, which a float32 holds; only when all are known."""
        return all(kind == "rank" for kind, _, _ in self._columns)

    def ranks(self, columns: Sequence[int]) -> str:
        """(n_rows, n) float32 of these columns of the input; only when all columns are known."""
        value = "numbers"
        if list(columns) != list(range(len(self._columns))):
            value = self.take(columns)
        return self.cast(Tensor(value, not self._takes_float32), is_double=False).name

    def text(self, field: int) -> str:
        """(n_rows,) the texts of a field."""
        self._takes_texts = True
        return self.node("Gather", ["categories", self.constant(field, np.int64)], axis=1)

    def sorted_cuts(self, field: int) -> Cuts:
        """All trees' cuts of a field, ascending; only when all are known."""
        if field not in self._sorted:
            self._sorted[field] = np.array(sorted(self.cuts.get(field, ())), dtype=np.float64)
        return self._sorted[field]

    def include(self, model: Any, feeds: dict[str, str], output: str) -> str:
        """Put a converted model here, fed by values of this graph; the name of its `output`."""
        prefix = self.name("part") + "/"
        part = onnx.compose.add_prefix(model, prefix).graph
        for name, value in feeds.items():
            self._nodes.append(helper.make_node("Identity", [value], [prefix + name]))
        self._nodes += list(part.node)
        self._initializers += list(part.initializer)
        return prefix + output

    def bytes(self, score: Tensor, name: str) -> bytes:
        """The model in serving's shape. Raises where it is no valid graph."""
        nodes = self._resolved()
        nodes.append(helper.make_node("Identity", [score.name], ["score"]))
        kind = TensorProto.DOUBLE if score.is_double else TensorProto.FLOAT
        inputs = []
        if self._columns:
            shape = [None, len(self._columns)]
            type_ = TensorProto.FLOAT if self._takes_float32 else TensorProto.DOUBLE
            inputs.append(helper.make_tensor_value_info("numbers", type_, shape))
        if self._takes_texts:
            shape = [None, len(self.layout.category_names)]
            inputs.append(helper.make_tensor_value_info("categories", TensorProto.STRING, shape))
        graph = helper.make_graph(
            nodes,
            name,
            inputs,
            [helper.make_tensor_value_info("score", kind, [None, None])],
            self._initializers,
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSET.items()]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="sluice")
        model.ir_version = IR_VERSION
        helper.set_model_props(model, {METADATA_KEY: self._code().to_text()})
        onnx.checker.check_model(model)
        data: bytes = model.SerializeToString(deterministic=True)
        return data

    def _resolved(self) -> list[Any]:
        """All nodes, with those that had to wait in their places."""
        waiting = self._nodes
        self._nodes = []
        for node in waiting:
            if isinstance(node, tuple):
                make, output = node
                make(output)
            else:
                self._nodes.append(node)
        return list(self._nodes)

    def rename(self, value: str, output: str) -> None:
        """Give a value the name that was reserved for it."""
        self._nodes.append(helper.make_node("Identity", [value], [output]))

    def _code(self) -> NumberCode:
        return NumberCode(
            tuple(
                CodedColumn(source, self.sorted_cuts(source) if kind == "rank" else cuts)
                for kind, source, cuts in self._columns
            )
        )
