"""The calibrators of CalibratedClassifierCV as nodes, in float64."""

from typing import Any

import numpy as np

from training.compilation.asker import NotCompiled
from training.compilation.functions import logistic, plus, sigmoid, softmax, times, two_classes
from training.compilation.graph import Graph, Tensor

# How many times as fast an answer may rise as it would along one straight line from zero. Sums of
# float64 are off by some 1e-14: behind such a step by 1e-7 of what the calibration spans.
MAX_STEEPNESS = 1e7


def calibrated(graph: Graph, member: Any, answer: Tensor, method: str) -> Tensor:
    """(n_rows, n_classes) from the answer of one calibrated classifier's estimator, float64."""
    n_classes = len(member.classes)
    if member.method == "temperature":
        return _tempered(graph, member.calibrators[0], answer, method, n_classes)
    if list(member.estimator.classes_) != list(member.classes):
        raise NotCompiled("a fold of the calibration has not seen all classes")
    if n_classes == 2:
        place = 1 if method == "predict_proba" else 0
        return two_classes(graph, _one(graph, member.calibrators[0], _column(graph, answer, place)))
    parts = [
        _one(graph, calibrator, _column(graph, answer, place)).name
        for place, calibrator in enumerate(member.calibrators)
    ]
    joined = graph.node("Concat", parts, axis=1)
    total = graph.node("ReduceSum", [joined, graph.constant([1], np.int64)], keepdims=1)
    # Where every calibrator says zero, all classes are as likely.
    is_zero = graph.node("Equal", [total, graph.constant(0.0, np.float64)])
    safe = graph.node("Where", [is_zero, graph.constant(1.0, np.float64), total])
    share = graph.node("Div", [joined, safe])
    uniform = graph.constant(np.full((1, n_classes), 1 / n_classes), np.float64)
    return Tensor(graph.node("Where", [is_zero, uniform, share]), True)


def _tempered(graph: Graph, calibrator: Any, answer: Tensor, method: str, n_classes: int) -> Tensor:
    """Probabilities by one temperature: softmax of the scaled logits."""
    beta = float(calibrator.beta_)
    if method == "predict_proba":
        # As scikit-learn keeps the logarithm of zero away.
        shifted = plus(graph, answer, np.finfo(np.float64).eps)
        answer = Tensor(graph.node("Log", [shifted.name]), True)
    elif n_classes == 2:
        # The logits of the two classes are −x and x.
        return logistic(graph, times(graph, answer, 2 * beta))
    return softmax(graph, times(graph, answer, beta))


def _column(graph: Graph, value: Tensor, place: int) -> Tensor:
    name = graph.node("Gather", [value.name, graph.constant([place], np.int64)], axis=1)
    return Tensor(name, True)


def _one(graph: Graph, calibrator: Any, value: Tensor) -> Tensor:
    """(n_rows, 1) through one calibrator."""
    if hasattr(calibrator, "a_"):
        return sigmoid(graph, plus(graph, times(graph, value, -calibrator.a_), -calibrator.b_))
    return _isotonic(graph, calibrator, value)


def _isotonic(graph: Graph, calibrator: Any, value: Tensor) -> Tensor:
    """Straight lines between the thresholds, as `np.interp` draws them."""
    x = np.asarray(calibrator.X_thresholds_, dtype=np.float64)
    y = np.asarray(calibrator.y_thresholds_, dtype=np.float64)
    if calibrator.out_of_bounds != "clip" or len(x) < 2:
        raise NotCompiled("an isotonic calibration that does not clip has no graph here")
    slopes = np.diff(y) / np.diff(x)
    if slopes.max() * np.abs(x).max() > MAX_STEEPNESS * (y[-1] - y[0]):
        raise NotCompiled("a step of its isotonic calibration is steeper than sums are exact")
    low = graph.constant(x[0], np.float64)
    high = graph.constant(x[-1], np.float64)
    clipped = graph.node("Clip", [value.name, low, high])
    reached = graph.node("GreaterOrEqual", [clipped, graph.constant(x[None, 1:-1], np.float64)])
    # 7 is int64 in ONNX.
    counted = graph.node("Cast", [reached], to=7)
    axes = graph.constant([1], np.int64)
    piece = graph.node("ReduceSum", [counted, axes], keepdims=1)

    def of_piece(values: Any) -> str:
        return graph.node("Gather", [graph.constant(values, np.float64), piece], axis=0)

    way = graph.node("Sub", [clipped, of_piece(x[:-1])])
    rise = graph.node("Mul", [way, of_piece(slopes)])
    return Tensor(graph.node("Add", [rise, of_piece(y[:-1])]), True)
