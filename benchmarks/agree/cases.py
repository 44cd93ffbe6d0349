"""The pipelines: what people have, and what has gone wrong somewhere."""

from collections.abc import Iterator

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
)
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from benchmarks.agree.boosters import booster_cases
from benchmarks.agree.case import NUMBERS, TEXTS, WHOLE, Case
from benchmarks.agree.parts import (
    as_float,
    columns,
    day_numbers,
    filled_with_missing,
    imputed,
    log_of_room,
    of_texts,
    one_hot,
)

N_TREES = 25
BOTH = (*NUMBERS, *TEXTS)
DATES = ("signup", "seen_at")


def all_cases() -> list[Case]:
    """Every pipeline, also those whose library is missing."""
    return [
        *linear_cases(),
        *tree_cases(),
        *boosting_cases(),
        *combined_cases(),
        *other_cases(),
        *encoder_cases(),
        *number_cases(),
        *field_cases(),
        *booster_cases(),
    ]


def logistic(**words: object) -> LogisticRegression:
    """A logistic regression that converges."""
    return LogisticRegression(**{"max_iter": 1_000, **words})


def hist(**words: object) -> HistGradientBoostingClassifier:
    """A small boosting of histograms."""
    return HistGradientBoostingClassifier(**{"max_iter": N_TREES, "random_state": 0, **words})


def hist_values(**words: object) -> HistGradientBoostingRegressor:
    """The same for values."""
    return HistGradientBoostingRegressor(**{"max_iter": N_TREES, "random_state": 0, **words})


def forest(**words: object) -> RandomForestClassifier:
    """A forest of deep trees."""
    return RandomForestClassifier(**{"n_estimators": N_TREES, "random_state": 0, **words})


def linear_cases() -> Iterator[Case]:
    """Models that add and multiply."""

    def case(name: str, model: object, **words: object) -> Case:
        return Case(name, lambda: make_pipeline(columns(NUMBERS, TEXTS), model), **words)  # type: ignore[arg-type]

    yield case("logistic regression", logistic())
    yield case("logistic regression, labels yes and no", logistic(), target="answer")
    yield case("logistic regression, no is positive", logistic(), target="answer", positive="no")
    yield case("logistic regression, three classes", logistic(), target="tier")
    yield Case(
        "logistic regression, indicators of gaps",
        lambda: make_pipeline(
            columns(NUMBERS, TEXTS, number=imputed(strategy="median", add_indicator=True)),
            logistic(C=0.1),
        ),
    )
    yield Case(
        "linear regression of prices, cents and seconds as they are",
        LinearRegression,
        WHOLE,
        "price",
    )
    yield case("ridge regression of prices", Ridge(), target="price")
    yield case("lasso", Lasso(alpha=10), target="price")
    yield case("elastic net of rates", ElasticNet(alpha=1e-7), target="rate")
    yield case("huber", HuberRegressor(max_iter=500), target="weeks")
    yield case("poisson", PoissonRegressor(), target="weeks")
    yield case("SGD, log loss", SGDClassifier(loss="log_loss", random_state=0))
    yield case("SGD, three classes", SGDClassifier(loss="log_loss", random_state=0), target="tier")
    yield case("SGD, values", SGDRegressor(random_state=0), target="weeks")
    yield case("linear SVR", LinearSVR(random_state=0, max_iter=5_000), target="weeks")
    yield case("ridge, two outputs", Ridge(), target=("low", "high"))
    yield case(
        "target through a logarithm",
        TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
        target="price",
    )
    yield case("threshold of 0.2", FixedThresholdClassifier(logistic(), threshold=0.2))
    yield case(
        "threshold on the class that is not asked for",
        FixedThresholdClassifier(logistic(), threshold=0.3, pos_label="no"),
        target="answer",
    )
    yield case(
        "threshold on the decision function",
        FixedThresholdClassifier(logistic(), threshold=0.4, response_method="decision_function"),
    )
    yield case("tuned threshold", TunedThresholdClassifierCV(logistic(), scoring="recall", cv=3))
    yield case("grid search", GridSearchCV(logistic(), {"C": [0.1, 1]}, cv=3))


def tree_cases() -> Iterator[Case]:
    """Trees and forests, with gaps of their own, on cents and epoch seconds."""
    yield Case(
        "single tree, gaps as they are", lambda: DecisionTreeClassifier(max_depth=4), NUMBERS
    )
    yield Case("single tree of rates", lambda: DecisionTreeRegressor(max_depth=7), WHOLE, "rate")
    yield Case("forest, gaps as they are", forest, NUMBERS)
    yield Case("forest, gaps never seen", forest, NUMBERS, fit_gaps=False)
    yield Case("forest, three classes", forest, NUMBERS, "tier")
    yield Case(
        "forest of even size, no is positive",
        lambda: forest(n_estimators=10),
        NUMBERS,
        "answer",
        positive="no",
    )
    yield Case(
        "forest of prices",
        lambda: RandomForestRegressor(N_TREES, random_state=0),
        NUMBERS,
        "price",
    )
    yield Case(
        "forest, two outputs",
        lambda: RandomForestRegressor(N_TREES, max_depth=8, random_state=0),
        NUMBERS,
        ("low", "high"),
    )
    yield Case(
        "extra trees behind ordinals",
        lambda: make_pipeline(
            columns(
                NUMBERS,
                TEXTS,
                number=SimpleImputer(),
                text=OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            ),
            ExtraTreesClassifier(N_TREES, random_state=0),
        ),
    )
    yield Case(
        "extra trees of values, scaled",
        lambda: make_pipeline(StandardScaler(), ExtraTreesRegressor(N_TREES, random_state=0)),
        NUMBERS,
        "weeks",
    )


def boosting_cases() -> Iterator[Case]:
    """What scikit-learn boosts."""
    yield Case(
        "gradient boosting, gaps that it refuses",
        lambda: GradientBoostingClassifier(n_estimators=N_TREES, random_state=0),
        NUMBERS,
        fit_gaps=False,
    )
    yield Case(
        "gradient boosting, imputed",
        lambda: make_pipeline(
            columns(NUMBERS, TEXTS, number=SimpleImputer(strategy="median", add_indicator=True)),
            GradientBoostingClassifier(n_estimators=N_TREES, random_state=0),
        ),
    )
    yield Case(
        "gradient boosting of prices",
        lambda: GradientBoostingRegressor(n_estimators=N_TREES, random_state=0),
        WHOLE,
        "price",
    )
    yield Case(
        "gradient boosting, scaled",
        lambda: make_pipeline(
            imputed(), GradientBoostingClassifier(n_estimators=N_TREES, random_state=0)
        ),
        NUMBERS,
        "answer",
    )
    yield Case(
        "gradient boosting, three classes",
        lambda: GradientBoostingClassifier(n_estimators=10, random_state=0),
        WHOLE,
        "tier",
    )
    yield Case("hist boosting, gaps as they are", hist, NUMBERS)
    yield Case("hist boosting of prices", hist_values, NUMBERS, "price")
    yield Case("hist boosting, three classes", hist, NUMBERS, "tier")
    yield Case("hist boosting, gamma", lambda: hist_values(loss="gamma"), NUMBERS, "weeks")
    yield Case(
        "hist boosting, quantile",
        lambda: hist_values(loss="quantile", quantile=0.5),
        NUMBERS,
        "price",
    )
    yield Case(
        "hist boosting, two outputs",
        lambda: MultiOutputRegressor(hist_values(max_iter=10)),
        NUMBERS,
        ("low", "high"),
    )
    yield Case("hist boosting, monotonic", lambda: hist(monotonic_cst=[1, 0, 0, -1, 0]), NUMBERS)
    yield Case("hist boosting, categories by pandas", hist, BOTH, texts="category")
    yield Case(
        "hist boosting, categories by ordinal",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    (
                        "texts",
                        OrdinalEncoder(
                            handle_unknown="use_encoded_value",
                            unknown_value=np.nan,
                            encoded_missing_value=np.nan,
                        ),
                        list(TEXTS),
                    )
                ],
                remainder="passthrough",
            ),
            hist(categorical_features=[0, 1]),
        ),
    )
    yield Case(
        "hist boosting, categories by number",
        lambda: hist(categorical_features=["store"]),
        ("amount", "store"),
    )
    yield Case(
        "hist boosting behind a scaler",
        lambda: make_pipeline(StandardScaler(), hist()),
        NUMBERS,
    )
    yield Case(
        "AdaBoost",
        lambda: make_pipeline(
            columns(NUMBERS, TEXTS), AdaBoostClassifier(n_estimators=20, random_state=0)
        ),
    )
    yield Case(
        "AdaBoost of values",
        lambda: AdaBoostRegressor(n_estimators=10, random_state=0),
        WHOLE,
        "price",
    )
    yield Case(
        "bagging",
        lambda: make_pipeline(
            columns(NUMBERS, TEXTS),
            BaggingClassifier(DecisionTreeClassifier(max_depth=5), random_state=0),
        ),
    )


def combined_cases() -> Iterator[Case]:
    """Models of models."""

    def case(name: str, model: object, target: str = "churned") -> Case:
        return Case(name, lambda: make_pipeline(columns(NUMBERS, TEXTS), model), target=target)

    yield case(
        "calibrated boosting, isotonic",
        CalibratedClassifierCV(hist(max_iter=10), method="isotonic", cv=3),
    )
    yield case("calibrated linear SVC, sigmoid", CalibratedClassifierCV(LinearSVC(), cv=3))
    yield case("calibrated SVC", CalibratedClassifierCV(SVC(), cv=2))
    yield case(
        "calibrated forest, three classes",
        CalibratedClassifierCV(forest(n_estimators=10), cv=2),
        "tier",
    )
    yield Case(
        "calibrated around a pipeline",
        lambda: CalibratedClassifierCV(make_pipeline(columns(NUMBERS, TEXTS), logistic()), cv=3),
    )
    yield case(
        "stacked",
        StackingClassifier(
            [("trees", forest(n_estimators=10, max_depth=5)), ("linear", logistic())], cv=3
        ),
    )
    yield case(
        "stacked values",
        StackingRegressor(
            [("trees", DecisionTreeRegressor(max_depth=5)), ("linear", Ridge())], cv=3
        ),
        "price",
    )
    yield case(
        "voting",
        VotingClassifier(
            [("trees", DecisionTreeClassifier(max_depth=5)), ("linear", logistic())], voting="soft"
        ),
    )
    yield case(
        "voting of values",
        VotingRegressor([("trees", DecisionTreeRegressor(max_depth=5)), ("linear", Ridge())]),
        "weeks",
    )


def other_cases() -> Iterator[Case]:
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


def encoder_cases() -> Iterator[Case]:
    """Every encoder with every way to meet what it has not seen, and what is missing."""

    def case(name: str, text: object, model: object = None, **words: object) -> Case:
        last = logistic() if model is None else model
        return Case(
            name,
            lambda: make_pipeline(columns(WHOLE, TEXTS, number=StandardScaler(), text=text), last),
            (*WHOLE, *TEXTS),
            **words,  # type: ignore[arg-type]
        )

    yield case("one-hot, unseen raises", one_hot(handle_unknown="error"))
    yield case("one-hot, unseen warns", one_hot(handle_unknown="warn", min_frequency=0.1))
    yield case("one-hot, first dropped", one_hot(drop="first"))
    yield case("one-hot, sparse", one_hot(sparse_output=True))
    yield case(
        "one-hot, rare by share", one_hot(handle_unknown="infrequent_if_exist", min_frequency=0.15)
    )
    yield case(
        "one-hot, at most two", one_hot(handle_unknown="infrequent_if_exist", max_categories=2)
    )
    yield case("one-hot, rare, unseen is nothing", one_hot(min_frequency=0.15))
    yield case("one-hot, gaps are None", one_hot(), texts="none")
    yield case("one-hot, categories by pandas", one_hot(), texts="category")
    yield case("one-hot, gaps never seen", one_hot(), fit_gaps=False)
    yield case(
        "one-hot, the most frequent for a gap",
        make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot()),
    )
    yield case(
        "one-hot, the most frequent for None",
        make_pipeline(SimpleImputer(missing_values=None, strategy="most_frequent"), one_hot()),
        texts="none",
    )
    yield case(
        "one-hot, a word for a gap",
        make_pipeline(SimpleImputer(strategy="constant", fill_value="missing"), one_hot()),
    )
    yield case(
        "one-hot, a word for a gap, with an indicator",
        make_pipeline(
            SimpleImputer(strategy="constant", fill_value="missing", add_indicator=True), one_hot()
        ),
    )
    yield case(
        "one-hot, a word for a gap by a function",
        make_pipeline(FunctionTransformer(filled_with_missing), one_hot()),
    )
    yield case("ordinal, unseen raises", OrdinalEncoder(), hist())
    yield case(
        "ordinal, unseen is a number",
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        hist(),
    )
    yield case(
        "ordinal, unseen and gaps are numbers",
        OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
        ),
        forest(max_depth=8),
        texts="none",
    )
    yield case(
        "ordinal, rare",
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=9, min_frequency=0.15),
        hist(),
    )
    yield case("target encoder", TargetEncoder(cv=StratifiedKFold(5)), hist())
    yield case("target encoder, None", TargetEncoder(cv=StratifiedKFold(5)), texts="none")
    yield case("target encoder, three classes", TargetEncoder(cv=StratifiedKFold(5)), target="tier")
    yield Case(
        "columns chosen by type, categories",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("texts", one_hot(), make_column_selector(dtype_include="category")),
                    ("numbers", imputed(), make_column_selector(dtype_include="number")),
                ]
            ),
            logistic(),
        ),
        texts="category",
    )
    yield Case(
        "one-hot of floats and of whole numbers",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("kinds", one_hot(min_frequency=20), ["visits", "store", "age"]),
                    ("numbers", StandardScaler(), ["amount"]),
                ]
            ),
            logistic(),
        ),
        ("amount", "visits", "store", "age"),
    )


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


def field_cases() -> Iterator[Case]:
    """Fields of other types."""
    yield Case(
        "free text",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("words", TfidfVectorizer(), "note"),
                    ("numbers", StandardScaler(), ["amount"]),
                ]
            ),
            logistic(),
        ),
        ("note", "amount"),
    )
    yield Case(
        "free text alone, pairs of letters",
        lambda: make_pipeline(
            FunctionTransformer(of_texts),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), max_features=200),
            logistic(),
        ),
        ("note",),
        "tier",
    )
    yield Case(
        "open text, one-hot",
        lambda: make_pipeline(
            columns(("amount",), ("city",), text=one_hot(min_frequency=20)), logistic()
        ),
        ("amount", "city"),
    )
    yield Case(
        "open text, rare together",
        lambda: make_pipeline(
            columns(
                ("amount",),
                ("city",),
                text=one_hot(handle_unknown="infrequent_if_exist", min_frequency=0.1),
            ),
            logistic(),
        ),
        ("amount", "city"),
        texts="none",
    )
    yield Case(
        "open text, target encoder",
        lambda: make_pipeline(
            columns(("amount",), ("city",), text=TargetEncoder(cv=StratifiedKFold(5))), hist()
        ),
        ("amount", "city"),
    )
    yield Case(
        "open text, unseen raises",
        lambda: make_pipeline(
            columns(("amount",), ("city",), text=one_hot(handle_unknown="error")), logistic()
        ),
        ("amount", "city"),
    )
    yield Case(
        "dates, boosted",
        lambda: make_pipeline(
            ColumnTransformer(
                [("days", FunctionTransformer(day_numbers), list(DATES))], remainder="passthrough"
            ),
            hist_values(),
        ),
        (*DATES, "amount"),
        "price",
    )
    yield Case(
        "dates, linear",
        lambda: make_pipeline(FunctionTransformer(day_numbers), imputed(), logistic()),
        DATES,
        "answer",
    )
    yield Case("truth values, as they are", lambda: logistic(), ("share", "is_new"))
    yield Case(
        "truth values with gaps",
        lambda: make_pipeline(
            ColumnTransformer(
                [("truths", FunctionTransformer(as_float), ["is_new", "has_card"])],
                remainder="passthrough",
            ),
            hist(),
        ),
        ("is_new", "has_card", "amount"),
    )
    yield Case(
        "truth values with gaps, one-hot",
        lambda: make_pipeline(columns(("amount",), ("is_new", "has_card")), logistic()),
        ("is_new", "has_card", "amount"),
    )
    yield Case(
        "numbers without bounds, linear",
        lambda: make_pipeline(StandardScaler(), logistic()),
        ("income", "share"),
    )
    yield Case(
        "numbers without bounds, forest", lambda: forest(max_depth=4), ("income", "share", "amount")
    )
    yield Case("large whole numbers, boosted", hist, ("account", "store", "amount"))
    yield Case("large whole numbers, forest", forest, ("account", "since", "amount"))
