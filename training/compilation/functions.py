"""Small functions on values of a graph."""

from typing import Any

import numpy as np

from training.compilation.asker import NotCompiled
from training.compilation.graph import Graph, Tensor


def sigmoid(graph: Graph, raw: Tensor) -> Tensor:
    """1 / (1 + e^−x)."""
    return Tensor(graph.node("Sigmoid", [raw.name]), raw.is_double)


def logistic(graph: Graph, raw: Tensor) -> Tensor:
    """(n_rows, 2) probabilities of both classes from the raw score of the second (n_rows, 1)."""
    both = graph.node("Mul", [raw.name, graph.constant([[-1.0, 1.0]], raw.dtype)])
    return sigmoid(graph, Tensor(both, raw.is_double))


def softmax(graph: Graph, raw: Tensor) -> Tensor:
    """Probabilities that sum to one, row by row."""
    return Tensor(graph.node("Softmax", [raw.name], axis=1), raw.is_double)


def exponential(graph: Graph, raw: Tensor) -> Tensor:
    """Add the node of e^x."""
    return Tensor(graph.node("Exp", [raw.name]), raw.is_double)


def times(graph: Graph, value: Tensor, factor: float) -> Tensor:
    """Add a node that multiplies a value."""
    return Tensor(
        graph.node("Mul", [value.name, graph.constant(factor, value.dtype)]), value.is_double
    )


def plus(graph: Graph, value: Tensor, amount: Any) -> Tensor:
    """Add a node that adds to a value."""
    return Tensor(
        graph.node("Add", [value.name, graph.constant(amount, value.dtype)]), value.is_double
    )


def two_classes(graph: Graph, positive: Tensor) -> Tensor:
    """(n_rows, 2) from the probability of the second class (n_rows, 1)."""
    signed = graph.node("Mul", [positive.name, graph.constant([[-1.0, 1.0]], positive.dtype)])
    both = graph.node("Add", [signed, graph.constant([[1.0, 0.0]], positive.dtype)])
    return Tensor(both, positive.is_double)


def mean(graph: Graph, parts: list[Tensor], weights: Any) -> Tensor:
    """The weighted mean of values of one shape, float64."""
    if weights is None:
        weights = np.ones(len(parts))
    shares = np.asarray(weights, dtype=np.float64)
    shares = shares / shares.sum()
    scaled = [
        times(graph, graph.cast(part, is_double=True), share).name
        for part, share in zip(parts, shares, strict=True)
    ]
    if len(scaled) == 1:
        return Tensor(scaled[0], True)
    return Tensor(graph.node("Sum", scaled), True)


def inverse_of(graph: Graph, transformer: Any, value: Tensor) -> Tensor:
    """The target that a fitted transformer made this value from, float64."""
    name = type(transformer).__name__
    if name == "FunctionTransformer":
        function = getattr(transformer.inverse_func, "__name__", None)
        if function == "expm1":
            return plus(graph, exponential(graph, value), -1.0)
        if function == "exp":
            return exponential(graph, value)
        if function == "square":
            return Tensor(graph.node("Mul", [value.name, value.name]), True)
        if function == "sqrt":
            return Tensor(graph.node("Sqrt", [value.name]), True)
        if transformer.inverse_func is None:
            return value
    if name in ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler"):
        width = getattr(transformer, "n_features_in_", 1)
        ends = transformer.inverse_transform(np.array([[0.0] * width, [1.0] * width]))
        factor = graph.constant(ends[1] - ends[0], np.float64)
        scaled = Tensor(graph.node("Mul", [value.name, factor]), True)
        return plus(graph, scaled, ends[0])
    raise NotCompiled(f"the target goes through {name}, whose inverse has no graph")
