"""Models that add and multiply, in float64: as exact as the fitted ones, with cents and seconds."""

from typing import Any

import numpy as np

from training.compilation.asker import NotCompiled
from training.compilation.functions import (
    exponential,
    logistic,
    plus,
    sigmoid,
    softmax,
)
from training.compilation.graph import Graph, Tensor

# With `coef_` and `intercept_`.
IDENTITY = {
    "LinearRegression",
    "Ridge",
    "RidgeCV",
    "Lasso",
    "LassoCV",
    "LassoLars",
    "LassoLarsCV",
    "Lars",
    "LarsCV",
    "ElasticNet",
    "ElasticNetCV",
    "MultiTaskLasso",
    "MultiTaskElasticNet",
    "BayesianRidge",
    "ARDRegression",
    "HuberRegressor",
    "TheilSenRegressor",
    "QuantileRegressor",
    "SGDRegressor",
    "LinearSVR",
    "OrthogonalMatchingPursuit",
    "PassiveAggressiveRegressor",
}
CLASSIFIERS = {
    "LogisticRegression",
    "LogisticRegressionCV",
    "SGDClassifier",
    "LinearSVC",
    "RidgeClassifier",
    "RidgeClassifierCV",
    "Perceptron",
    "LinearDiscriminantAnalysis",
}
LOGARITHMIC = {"PoissonRegressor", "GammaRegressor", "TweedieRegressor"}
REDUCTIONS = {"PCA", "TruncatedSVD"}
LINEAR = IDENTITY | CLASSIFIERS | LOGARITHMIC | REDUCTIONS


def linear_answer(graph: Graph, model: Any, matrix: Tensor, method: str) -> Tensor:
    """The answer of a linear model, or of a reduction, for a matrix float64."""
    name = type(model).__name__
    if name in REDUCTIONS:
        return _reduced(graph, model, matrix)
    raw = _weighted(graph, matrix, np.atleast_2d(model.coef_), model.intercept_)
    if name in LOGARITHMIC:
        return _by_link(graph, model, raw)
    if method != "predict_proba":
        return raw
    return _probabilities(graph, model, raw)


def _weighted(graph: Graph, matrix: Tensor, coefficients: Any, intercept: Any) -> Tensor:
    """(n_rows, n_outputs): matrix · coefficientsᵀ + intercept."""
    weights = graph.constant(np.asarray(coefficients).T, np.float64)
    product = Tensor(graph.node("MatMul", [matrix.name, weights]), True)
    return plus(graph, product, np.atleast_1d(intercept))


def _probabilities(graph: Graph, model: Any, raw: Tensor) -> Tensor:
    name = type(model).__name__
    n_classes = len(model.classes_)
    if name == "SGDClassifier" and (model.loss != "log_loss" or n_classes > 2):
        raise NotCompiled(f"SGDClassifier with {n_classes} classes and loss {model.loss}")
    is_binary = n_classes == 2
    one_vs_rest = getattr(model, "multi_class", None) == "ovr" or (
        getattr(model, "solver", None) == "liblinear"
    )
    if is_binary:
        return logistic(graph, raw)
    if one_vs_rest:
        each = sigmoid(graph, raw)
        axes = graph.constant([1], np.int64)
        total = graph.node("ReduceSum", [each.name, axes], keepdims=1)
        return Tensor(graph.node("Div", [each.name, total]), True)
    return softmax(graph, raw)


def _by_link(graph: Graph, model: Any, raw: Tensor) -> Tensor:
    loss = getattr(model, "_base_loss", None)
    if loss is not None and type(loss.link).__name__ == "IdentityLink":
        return raw
    return exponential(graph, raw)


def _reduced(graph: Graph, model: Any, matrix: Tensor) -> Tensor:
    components = model.components_
    if type(model).__name__ == "PCA":
        offset = -(components @ model.mean_)
        if model.whiten:
            scale = np.sqrt(model.explained_variance_)
            components = components / scale[:, None]
            offset = offset / scale
        return _weighted(graph, matrix, components, offset)
    return _weighted(graph, matrix, components, np.zeros(len(components)))


def perceptron_answer(graph: Graph, model: Any, matrix: Tensor) -> Tensor:
    """The answer of MLPClassifier.predict_proba or MLPRegressor.predict, float64."""
    hidden = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "identity": None}
    value = matrix
    last = len(model.coefs_) - 1
    for layer, (weights, offsets) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        value = _weighted(graph, value, weights.T, offsets)
        op = hidden[model.activation]
        if layer < last and op is not None:
            value = Tensor(graph.node(op, [value.name]), True)
    match model.out_activation_:
        case "logistic":
            return logistic(graph, value)
        case "softmax":
            return softmax(graph, value)
        case "identity":
            return value
    raise NotCompiled(f"its last layer is {model.out_activation_}")
