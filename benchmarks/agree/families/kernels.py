"""Neighbours, networks, kernels, densities and detectors."""

from collections.abc import Iterator

from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import IsolationForest
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import SimpleImputer
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OrdinalEncoder
from sklearn.svm import SVC, SVR, OneClassSVM

from benchmarks.agree.case import NUMBERS, TEXTS, WHOLE, Case
from benchmarks.agree.parts import N_TREES, columns, imputed


def kernel_cases() -> Iterator[Case]:
    """Neighbours, networks, kernels and densities."""

    def case(name: str, model: object, target: str = "churned") -> Case:
        return Case(name, lambda: make_pipeline(columns(NUMBERS, TEXTS), model), target=target)

    yield case("nearest neighbours", KNeighborsClassifier(9))
    yield case("nearest neighbours, three classes", KNeighborsClassifier(5), "tier")
    yield case("nearest neighbours, by distance", KNeighborsClassifier(8, weights="distance"))
    yield case("nearest neighbours of values", KNeighborsRegressor(7), "price")
    yield case("network", MLPClassifier(hidden_layer_sizes=(20,), max_iter=60, random_state=0))
    network = MLPRegressor(hidden_layer_sizes=(20,), max_iter=150, random_state=0)
    yield case("network of values", network, "weeks")
    yield case("SVC with its own probabilities", SVC(probability=True, random_state=0))
    yield case("SVR", SVR(), "weeks")
    yield case("naive Bayes", GaussianNB())
    yield Case(
        "naive Bayes of bits",
        lambda: make_pipeline(
            columns(NUMBERS, TEXTS, number=make_pipeline(SimpleImputer(), MinMaxScaler())),
            BernoulliNB(binarize=0.5),
        ),
    )
    yield Case(
        "naive Bayes of categories",
        lambda: make_pipeline(OrdinalEncoder(), CategoricalNB()),
        TEXTS,
        fit_gaps=False,
    )
    yield case("linear discriminant", LinearDiscriminantAnalysis())
    yield case("linear discriminant, three classes", LinearDiscriminantAnalysis(), "tier")
    yield case("quadratic discriminant", QuadraticDiscriminantAnalysis(reg_param=0.1))
    yield case("Gaussian process", GaussianProcessClassifier(optimizer=None))
    yield Case(
        "isolation forest",
        lambda: IsolationForest(n_estimators=N_TREES, contamination=0.1, random_state=0),
        WHOLE,
        (),
    )
    yield Case("one-class SVM", lambda: make_pipeline(imputed(), OneClassSVM(nu=0.1)), NUMBERS, ())
