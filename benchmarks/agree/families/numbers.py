"""Imputers, bins, scalers and curves of numbers."""

from collections.abc import Iterator

import numpy as np
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

from benchmarks.agree.case import NUMBERS, Case
from benchmarks.agree.parts import forest, hist, imputed, log_of_room, logistic


def number_cases() -> Iterator[Case]:
    """What is done to numbers."""

    def case(name: str, number: object, model: object = None, **words: object) -> Case:
        last = logistic() if model is None else model
        return Case(name, lambda: make_pipeline(number, last), NUMBERS, **words)  # type: ignore[arg-type]

    yield case("gaps by neighbours", make_pipeline(StandardScaler(), KNNImputer(n_neighbors=3)))
    yield case(
        "gaps by the most frequent",
        make_pipeline(SimpleImputer(strategy="most_frequent"), StandardScaler()),
    )
    yield case(
        "gaps by a constant, with indicators",
        make_pipeline(
            SimpleImputer(strategy="constant", fill_value=-1, add_indicator=True), StandardScaler()
        ),
    )
    yield case(
        "bins, one-hot",
        make_pipeline(
            SimpleImputer(), KBinsDiscretizer(6, quantile_method="averaged_inverted_cdf")
        ),
    )
    yield case(
        "bins, ordinal",
        make_pipeline(SimpleImputer(), KBinsDiscretizer(6, encode="ordinal", strategy="uniform")),
        hist(),
    )
    yield case("splines", imputed(SplineTransformer(n_knots=4)))
    yield case("powers", make_pipeline(SimpleImputer(), PowerTransformer()))
    yield case("quantiles", make_pipeline(SimpleImputer(), QuantileTransformer(n_quantiles=100)))
    yield case(
        "quantiles, normal",
        make_pipeline(
            SimpleImputer(), QuantileTransformer(n_quantiles=100, output_distribution="normal")
        ),
        Ridge(),
        target="price",
    )
    yield case("polynomials", imputed(PolynomialFeatures(2)), Ridge(), target="price")
    yield case("principal components", imputed(PCA(3)))
    yield case("whitened components", imputed(PCA(3, whiten=True)), forest(max_depth=6))
    yield case("the best three", imputed(SelectKBest(k=3)))
    yield case("robust scaler", make_pipeline(SimpleImputer(), RobustScaler()), target="answer")
    yield Case(
        "logarithms",
        lambda: make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), Ridge()),
        ("amount", "age", "since"),
        "price",
    )
    yield Case(
        "logarithms of what may be negative",
        lambda: make_pipeline(FunctionTransformer(log_of_room), StandardScaler(), logistic()),
        ("amount", "age"),
    )
